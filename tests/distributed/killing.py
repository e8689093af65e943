"""Processes that are started without paying for the imports again and again, waited for and killed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from launching import ROOT


HERE = Path(__file__).parent
LIMIT = 120  # seconds that a launch may take


class Server:
    """`killed_job.py`."""

    def __init__(self, log):
        path = os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT), str(HERE)])
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "killed_job.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def start(self, verb, argv, world_size=1, die=None):
        job = {"verb": verb, "argv": [str(word) for word in argv], "world_size": world_size, "die": die}
        return self._ask(json.dumps(job))

    def wait(self):
        """Exit codes of the processes."""
        return self._ask("wait")

    def run(self, verb, argv, world_size=1):
        """Run to the end, which must be a good one."""
        self.start(verb, argv, world_size)
        assert self.wait() == [0] * world_size, self.log.read_text()[-6000:]

    def _ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def wait_for(condition, processes):
    deadline = time.monotonic() + LIMIT
    while not condition() and time.monotonic() < deadline and any(map(alive, processes)):
        time.sleep(0.002)


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
