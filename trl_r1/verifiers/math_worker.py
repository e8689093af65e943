"""The process in which computer algebra runs: a nursery that has imported it, and forks a worker in a millisecond.

Run as a file by [`~trl_r1.verifiers.worker_pool.WorkerPool`] (other workers import its nursery), and importing nothing
of the package: neither the user's main script nor torch is loaded here, and a worker that is killed takes nothing with
it.

A worker answers one request at a time, JSON in and out. It says when the gold answer is parsed, so that whoever kills
it knows whose fault the overrun was.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any


MEMORY_BYTES = 1024**3
DIGITS = 40
RELATIVE_TOLERANCE = 1e-25  # two numbers that agree to it are one, when algebra says so too
WARM_UP = (
    (r"x^2-\sqrt{2}", r"x^2-\sqrt{2}+0"),
    (r"\frac{\pi}{4}", r"\arctan 1"),
    (r"\sinh(x)", r"\frac{e^x-e^{-x}}{2}"),
    (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
    (r"\frac{1}{2}", r"\int_0^1 x dx"),
)
PR_SET_PDEATHSIG = 1  # linux/prctl.h

Answer = Callable[[dict[str, Any], Connection], dict[str, Any]]


def serve(connection: Connection, answer: Answer) -> None:
    """Answer requests until the other side closes the connection."""
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        # SIGPROF's default action ends the process from the kernel, even inside one long big-integer operation. It
        # counts processor time, so a busy machine does not turn a right answer into an overrun.
        signal.setitimer(signal.ITIMER_PROF, request["cpu_seconds"])
        reply = answer(request, connection)
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send_bytes(json.dumps(reply).encode())


def _answer(request: dict[str, Any], connection: Connection) -> dict[str, Any]:
    """
    Compare the values of a request: `pairs`, after making sure that those of the gold answer (`golds`) can be read.

    Returns:
        `dict[str, Any]`: `results`, for each pair `"equal"`, `"different"` or `"unparseable"`; or else
        `unusable_gold`, or `overrun` with the name of the limit that was met.
    """
    try:
        for gold in request["golds"]:
            if not parse_answer(gold):
                return {"unusable_gold": gold}
        connection.send_bytes(json.dumps({"progress": "gold"}).encode())
        return {"results": [_compare(*map(parse_answer, pair)) for pair in request["pairs"]]}
    except (MemoryError, RecursionError) as error:
        return {"overrun": type(error).__name__}


def _compare(left: tuple[Any, ...], right: tuple[Any, ...]) -> str:
    if not left or not right:
        return "unparseable"
    return "equal" if answers_equal(left, right) else "different"


@lru_cache(maxsize=4096)
def parse_answer(text: str) -> tuple[Any, ...]:
    """What Math-Verify reads in the whole of `text`; empty when it reads nothing."""
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=False)
    return tuple(
        parse(rf"\boxed{{{text}}}", extraction_config=[config], fallback_mode="no_fallback", parsing_timeout=None)
    )


def answers_equal(gold: tuple[Any, ...], answer: tuple[Any, ...]) -> bool:
    """Math-Verify's verdict, but for numbers that it takes as equal because they are close, or both near zero."""
    from math_verify import verify

    equal = verify(list(gold), list(answer), allow_set_relation_comp=True, timeout_seconds=None)
    return bool(equal) and not numbers_differ(gold[0], answer[0])


def numbers_differ(left: Any, right: Any) -> bool:
    """Whether both are numbers and differ in their first 25 digits."""
    from sympy import Expr

    if not all(isinstance(side, Expr) and not side.free_symbols for side in (left, right)):
        return False
    gap, scale = (left - right).evalf(DIGITS), abs(left.evalf(DIGITS)) + abs(right.evalf(DIGITS))
    if not gap.is_number or not scale.is_number or not scale.is_comparable:
        return False
    return bool(abs(gap) > RELATIVE_TOLERANCE * scale)


def run_nursery(control: socket.socket, answer: Answer, warm_up: Callable[[], None]) -> None:
    """
    Fork workers on request and report how they ended, until the other side closes the connection.

    Args:
        control (`socket.socket`):
            Connection to the pool.
        answer (`Callable`):
            What a worker does: gets a request and its connection, for reports of progress, and gives the reply.
        warm_up (`Callable`):
            Loads what the first request would load, once for all workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the trainer decides what it means
    logging.disable(logging.CRITICAL)  # Math-Verify warns that it has no time limit: here it has one
    children: set[int] = set()
    warm_up()
    control.sendall(b'{"ready": true}\n')
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 4096, 1)
        if not message:
            break
        request = json.loads(message)
        if request["operation"] == "fork":
            pid = _fork_worker(control, descriptors[0], answer)
            children.add(pid)
            control.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        else:
            os.kill(request["pid"], signal.SIGKILL)  # our child and not yet waited for, so the number is still its own
            _, status = os.waitpid(request["pid"], 0)
            children.discard(request["pid"])
            code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            control.sendall(json.dumps({"signal": code}).encode() + b"\n")
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _warm_up() -> None:
    """Load and compute what first comparisons would, once for all workers: a fresh one is then as fast as an old."""
    for left, right in WARM_UP:
        if not answers_equal(parse_answer(left), parse_answer(right)):
            raise RuntimeError(f"math-verify does not find {left} equal to {right}")
    gc.collect()
    gc.freeze()  # else the first collection in a worker copies every page it shares with the others


def _fork_worker(control: socket.socket, descriptor: int, answer: Answer) -> int:
    nursery = os.getpid()
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    code = 1
    try:
        control.close()
        _die_with(nursery)
        _limit(resource.RLIMIT_AS, MEMORY_BYTES)
        _limit(resource.RLIMIT_CORE, 0)
        serve(Connection(descriptor), answer)
        code = 0
    finally:
        os._exit(code)  # never back into the nursery's loop


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS knows no RLIMIT_AS
        resource.setrlimit(kind, (value, hard))


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, where the kernel can."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[2])
    sys.setrecursionlimit(3000)
    run_nursery(socket.socket(fileno=int(sys.argv[1])), _answer, _warm_up)
