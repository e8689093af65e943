"""Start several processes on this machine's CPU, with a time limit and the children's words when one fails."""

import os
import socket
import subprocess
import sys
from pathlib import Path


ROOT = Path(__file__).parents[2]
LIMIT = 240  # seconds; a hang in a collective would otherwise last gloo's half hour


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def torchrun(*command, processes=2):
    """Run `command` under torchrun. Returns its standard error."""
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
    return launch(*launcher, "--master_addr=127.0.0.1", f"--master_port={free_port()}", *command)


def accelerate_launch(config_file, *command):
    """Run `command` under `accelerate launch` with a configuration file. Returns its standard error."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", f"--config_file={config_file}"]
    return launch(*launcher, "--main_process_ip=127.0.0.1", f"--main_process_port={free_port()}", *command)


def launch(*command):
    """Run in the repository's root. Fails with what the processes wrote."""
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "GLOO_SOCKET_IFNAME": "lo"}
    # A session of its own: when time is up, the workers go with their launcher
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        _, errors = process.communicate()
        raise AssertionError(f"no end after {LIMIT} s:\n{errors[-8000:]}") from None
    assert process.returncode == 0, errors[-8000:]
    return errors
