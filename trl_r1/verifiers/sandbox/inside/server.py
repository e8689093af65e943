"""The fork server: one child a session, ended on request. It never runs a line of a candidate itself.

Its pages are all a child inherits, so it is told nothing: neither sources nor inputs pass through it.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

from . import harness


PRELOADED = (
    "abc array ast base64 binascii bisect builtins calendar cmath collections.abc contextlib copy csv ctypes"
    " dataclasses datetime decimal difflib enum fractions functools gc glob hashlib heapq hmac html inspect io"
    " itertools json keyword linecache locale logging math numbers operator os pathlib pickle pprint queue random re"
    " secrets shutil signal statistics string struct sys tempfile textwrap threading time timeit tokenize traceback"
    " types typing unicodedata unittest unittest.mock urllib.parse uuid warnings weakref zlib zoneinfo"
).split()
"""Imported once by the server, because importing costs a child more than forking does."""


def serve(control: socket.socket) -> None:
    """
    Fork and end children until the other side goes away.

    Args:
        control (`socket.socket`):
            Sequenced-packet socket. Requests are JSON: `{"operation": "fork", "limits": ...}`, which brings three
            file descriptors (session, standard input, standard output), and `{"operation": "end", "pid": ..., "kill": ...}`.
    """
    children: set[int] = set()
    while True:
        packet, descriptors, _, _ = socket.recv_fds(control, 4096, 3)
        if not packet:
            break
        request = json.loads(packet)
        if request["operation"] == "fork":
            reply = _fork(request["limits"], descriptors, children)
        else:
            reply = _end(request["pid"], request["kill"], children)
        control.send(json.dumps(reply).encode())
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _fork(limits: dict[str, Any], descriptors: list[int], children: set[int]) -> dict[str, Any]:
    try:
        pid = os.fork()
    except OSError as error:
        pid = -1
        reply = {"error": str(error)}
    if pid == 0:
        harness.become_candidate(descriptors, limits)
        os._exit(0)
    for descriptor in descriptors:
        os.close(descriptor)
    if pid > 0:
        children.add(pid)
        reply = {"pid": pid}
    return reply


def _end(pid: int, kill: bool, children: set[int]) -> dict[str, Any]:
    """How a child ended; one that still runs is killed first, or left alone."""
    if pid not in children:
        return {"error": f"no child {pid}"}
    ended, status, usage = os.wait4(pid, os.WNOHANG)
    killed = ended == 0
    if killed and not kill:
        return {"running": True}
    if killed:
        os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
    children.discard(pid)
    return {"code": os.waitstatus_to_exitcode(status), "killed": killed, "cpu": usage.ru_utime + usage.ru_stime}


def main(descriptor: int, isolation: str) -> None:
    """Load what candidates will want, shut the doors, say so, serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in PRELOADED:
        importlib.import_module(name)
    import gc

    control = socket.socket(fileno=descriptor)
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (hard if hard != resource.RLIM_INFINITY else 1 << 26, hard))
    control.send(json.dumps({"ready": isolation}).encode())
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    gc.collect()
    gc.freeze()
    serve(control)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
