"""The fork server: one child a session, ended on request. It never runs a line of a candidate itself.

Its pages are all a child inherits, so it is told nothing: neither sources nor inputs pass through it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import site
import socket
import sys
from typing import Any

from . import enclose, harness


# fmt: off
PRELOADED = (
    "abc", "argparse", "array", "ast", "asyncio", "base64", "binascii", "bisect", "bz2", "calendar", "cmath",
    "collections.abc", "colorsys", "concurrent.futures.thread", "configparser", "contextlib", "copy", "csv", "ctypes",
    "dataclasses", "datetime", "decimal", "difflib", "doctest", "encodings.ascii", "encodings.idna",
    "encodings.latin_1", "enum", "fcntl", "fractions", "functools", "gc", "glob", "graphlib", "gzip", "hashlib",
    "heapq", "hmac", "html", "inspect", "io", "ipaddress", "itertools", "json", "keyword", "linecache", "locale",
    "logging", "lzma", "math", "mmap", "numbers", "operator", "os", "pathlib", "pickle", "platform", "pprint",
    "queue", "random", "re", "sched", "secrets", "select", "selectors", "shlex", "shutil", "signal", "socket",
    "sqlite3", "statistics", "string", "stringprep", "struct", "subprocess", "symtable", "tempfile", "textwrap",
    "threading", "time", "timeit", "tokenize", "tomllib", "traceback", "types", "typing", "unicodedata", "unittest",
    "unittest.mock", "urllib.parse", "uuid", "warnings", "weakref", "xml.etree.ElementTree", "zipfile", "zlib",
    "zoneinfo",
)
# fmt: on
"""Imported once by the server, because importing costs a child more than forking does."""


def serve(control: socket.socket, enclosure: enclose.Enclosure) -> None:
    """
    Fork and end children until the other side goes away.

    Args:
        control (`socket.socket`):
            Sequenced-packet socket. Requests are JSON: `{"operation": "fork", "limits": ...}`, which brings three
            file descriptors (session, standard input, standard output), and `{"operation": "end", "pid": ..., "kill":
            ...}`.
        enclosure ([`Enclosure`]):
            What every child is shut in by.
    """
    children: set[int] = set()
    while True:
        packet, descriptors, _, _ = socket.recv_fds(control, 4096, 3)
        if not packet:
            break
        request = json.loads(packet)
        if request["operation"] == "fork":
            reply = _fork(request["limits"], descriptors, children, enclosure)
        else:
            reply = _end(request["pid"], request["kill"], children)
        control.send(json.dumps(reply).encode())
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _fork(
    limits: dict[str, Any], descriptors: list[int], children: set[int], enclosure: enclose.Enclosure
) -> dict[str, Any]:
    try:
        pid = os.fork()
    except OSError as error:
        for descriptor in descriptors:
            os.close(descriptor)
        return {"error": str(error)}
    if pid == 0:
        try:
            enclosure.keep_descriptors(descriptors)
            enclosure.close_child(limits)
            harness.serve(limits["output_bytes"])
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    children.add(pid)
    return {"pid": pid}


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


def main(descriptor: int) -> None:
    """Load what candidates will want, shut the doors, prove that they are shut, serve."""
    control = socket.socket(fileno=descriptor)
    told = json.loads(control.recv(1 << 20))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in PRELOADED:
        with contextlib.suppress(ImportError):  # some are built without SQLite or compression
            importlib.import_module(name)
    site.setquit()  # `exit` and `help`, which an interpreter started without its site lacks
    site.sethelper()
    sys.path.remove(sys.argv[1])
    sys.path.extend(filter(None, [told["numpy"]]))
    del sys.argv[1:]
    enclosure = enclose.Enclosure(told["isolation"])
    enclosure.close_server(told["readable"], told["folders"], told["writable"])
    enclosure.prove(told["forbidden"])
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    del told
    gc.collect()
    gc.freeze()  # so that a child's collector leaves shared pages alone
    control.send(b"ready")
    serve(control, enclosure)
