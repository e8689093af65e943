"""`trl-r1 publish` in a process of its own: arrives, survives being killed anywhere, shows no token."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from loopback_hub import LoopbackHub

from trl_r1.hub import HubTarget, plan_files
from trl_r1.scripts import publish as script
from trl_r1.stage_record import hash_json, read_stage_record, write_stage_record


TOKEN = "hf_" + "Secret" * 6
DOWNLOAD = "import sys; from huggingface_hub import snapshot_download; sys.stdout.write(snapshot_download('me/zero'))"
KILLED_ONES = """
import os, signal, sys
import httpx2, huggingface_hub.hf_api, trl_r1.hub.cards.text, trl_r1.scripts.publish
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores Ctrl-C
for line in sys.stdin:
    folder, said = line.split()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        os._exit(trl_r1.scripts.publish.main([folder, "--repo_id", "me/zero", "--revision", "zero"]))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def hub():
    with LoopbackHub(multipart_threshold=50_000, part_size=40_000) as made:
        made.add_user("me", token=TOKEN)
        yield made


@pytest.fixture
def environment(hub, tmp_path):
    return os.environ | hub.environment(tmp_path / "cache")


def run(environment, *arguments):
    command = [sys.executable, "-m", "trl_r1.cli", "publish", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def local(folder):
    return {file.path: (folder / file.path).read_bytes() for file in plan_files(folder)}


class Killer(list):
    """Takes the place of `hub.requests`, and sends a process a signal when the n-th request arrives."""

    def __init__(self, n=None, sign=signal.SIGKILL):
        super().__init__()
        self.n, self.sign, self.victim, self.known = n, sign, None, threading.Event()

    def append(self, request):
        self.known.wait()
        super().append(request)
        if len(self) == self.n:
            os.kill(self.victim, self.sign)


def kind(request):
    """A request without what differs between those of a kind."""
    return request.method, re.match(r"(/api)?(/models)?(/me/zero(\.git)?)?/?[a-z_-]*", request.path)[0]


def test_bytes_arrive_and_come_back(hub, environment, finished, tmp_path):
    done = run(environment, finished, "--repo_id", "me/zero")
    assert done.returncode == 0, done.stderr
    assert f"published: {hub.url}/me/zero/tree/main" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    found = subprocess.run(
        [sys.executable, "-c", DOWNLOAD], env=environment, capture_output=True, text=True, check=True
    )
    for path, content in local(finished).items():
        with open(f"{found.stdout}/{path}", "rb") as stream:
            assert stream.read() == content
    again = run(environment, finished)  # published.json knows where
    assert again.returncode == 0, again.stderr
    assert "sent: 0 B" in again.stdout
    assert len(hub.commits("me/zero")) == 2
    assert not [path for path in finished.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert not [request for request in hub.requests if TOKEN.encode() in request.body]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["kinds", "all"])
def test_stopped_at_any_request_the_same_command_completes(environment, hub, finished, tmp_path, every):
    """By Ctrl-C and by being killed, at the first request of each kind and at the last, or at every one."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_ONES], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:

        def publish(killer):
            hub.requests = killer
            driver.stdin.write(f"{finished} {tmp_path / 'said'}\n")
            driver.stdin.flush()
            killer.victim = int(driver.stdout.readline())
            killer.known.set()
            return int(driver.stdout.readline())

        def check_arrived():
            assert publish(Killer()) == 0
            found = hub.files("me/zero", revision="zero")
            assert {path: found[path] for path in found if path != ".gitattributes"} == local(finished)
            assert len(hub.commits("me/zero", revision="zero")) == 2  # never a second one
            (finished / "published.json").unlink()
            hub.repositories.clear()

        check_arrived()
        first = {kind(request): number for number, request in reversed(list(enumerate(hub.requests, start=1)))}
        assert len(first) > 12
        numbers = range(1, len(hub.requests) + 1) if every else sorted({*first.values(), len(hub.requests)})
        for number in numbers:
            sign = (signal.SIGINT, signal.SIGKILL)[number % 2]
            assert publish(Killer(number, sign)) == {signal.SIGINT: 130, signal.SIGKILL: -9}[sign]
            assert ("the same command goes on" in (tmp_path / "said").read_text()) == (sign == signal.SIGINT)
            assert not (finished / "published.json").exists()
            check_arrived()
        driver.stdin.close()


@pytest.mark.parametrize("flag", ["--dry_run", "--dry-run"])
def test_a_dry_run_shows_files_sizes_and_place(finished, capsys, flag):
    assert script.main([str(finished), "--repo_id", "me/zero", "--revision", "zero", flag]) == 0
    shown = capsys.readouterr().out
    for text in ("model.safetensors", "96.0 kB", "merged/config.json", "model me/zero, branch zero, tag zero-"):
        assert text in shown
    assert "nothing was sent" in shown
    assert "checkpoint-5" not in shown


def refused(capsys, *arguments):
    assert script.main([str(word) for word in arguments]) == 2
    return " ".join(capsys.readouterr().err.split())


def test_wrong_command_lines_are_named(finished, capsys, monkeypatch):
    assert "repo_id: missing; give --repo_id" in refused(capsys, finished)
    assert "--namespace, --title: not for" in refused(capsys, finished, "--namespace", "me", "--title", "x")
    monkeypatch.delenv("NOBODY", raising=False)
    message = refused(capsys, finished, "--repo_id", "me/x", "--token_env", "NOBODY")
    assert "token_env: the variable 'NOBODY' is not set" in message
    assert "HF_HUB_OFFLINE: is set" in refused(capsys, finished, "--repo_id", "me/x", "--token_env", "HOME")
    assert "patience: nan seconds; give 0" in refused(capsys, finished, "--repo_id", "me/x", "--patience", "nan")
    assert "has not finished" in refused(capsys, finished.parent, "--repo_id", "me/x")
    (finished.parent / "pipeline.json").write_text("{}")
    assert "--repo_id: not for" in refused(capsys, finished.parent, "--repo_id", "me/x")
    assert "namespace: missing; give --namespace ME" in refused(capsys, finished.parent)


@pytest.mark.parametrize(
    "flag", [["--token", "my-own-token"], ["--token=my-own-token"], ["--hub-token", "my-own-token"]]
)
def test_a_token_on_the_command_line_is_refused_and_not_shown(finished, capsys, flag):
    message = refused(capsys, finished, "--repo_id", "me/x", *flag)
    assert "can be read by everybody" in message
    assert "or name a variable with --token_env" in message
    assert "my-own-token" not in message


def target(*arguments):
    return script.stage_target(script.make_parser().parse_args([str(word) for word in arguments]))


def test_the_place_is_the_command_lines_then_the_recipes_then_the_last(finished, monkeypatch):
    (finished / "published.json").write_text(json.dumps({"repo_id": "me/last", "revision": "last"}))
    assert target(finished) == HubTarget(repo_id="me/last", revision="last")
    assert target(finished, "--repo_id", "me/other") == HubTarget(repo_id="me/other")
    config = {"hub_model_id": "me/recipe", "hub_revision": "zero", "hub_tag": "v1", "hub_private_repo": False}
    record = dataclasses.replace(read_stage_record(finished), config=config, config_sha256=hash_json(config))
    write_stage_record(finished, record)
    assert target(finished) == HubTarget(repo_id="me/recipe", revision="zero", tag="v1", private=False)
    monkeypatch.setenv("MY_TOKEN", "hf_mine")
    given = target(finished, "--repo-id", "me/x", "--revision", "r", "--tag", "t", "--token-env", "MY_TOKEN")
    assert (given.repo_id, given.revision, given.tag, given.token) == ("me/x", "r", "t", "hf_mine")
