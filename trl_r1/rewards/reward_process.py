"""The process in which reward functions run for a trainer, beside its own work.

Run as a file by [`~trl_r1.rewards.remote.RewardProcess`]: the user's main script is not loaded again, and nothing but
what the reward functions import themselves. It answers one call after another, pickled in and out, and ends with the
process that started it, however that ends.
"""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


WATCH_SECONDS = 1.0


def serve(connection: Connection) -> None:
    """Answer calls until the other side closes the connection; its first message holds the functions."""
    try:
        functions = [_load(*packed) for packed in pickle.loads(connection.recv_bytes())]
        while True:
            index, batch, state, callbacks = pickle.loads(connection.recv_bytes())
            connection.send_bytes(_answer(functions[index], batch, state, callbacks))
    except (EOFError, OSError):
        return


def _load(payload: bytes, is_checked: bool) -> Callable[..., Any] | str:
    """
    A reward function, or why it cannot be loaded here.

    The checks and the error budget around one stay in the trainer's process, which counts in them.
    """
    try:
        reward = pickle.loads(payload)
    except Exception as error:  # noqa: BLE001  (whatever importing a user's module raises)
        return f"it does not load there ({type(error).__name__}: {error})"
    function: Callable[..., Any] = reward.function if is_checked else reward
    return function


def _answer(function: Callable[..., Any] | str, batch: bytes, state: bytes, callbacks: tuple[str, ...]) -> bytes:
    """The reply to one call: what it logged, and what it returned, raised, or could not do here."""
    if isinstance(function, str):
        return pickle.dumps({"failure": function})
    logged: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    try:
        arguments = pickle.loads(batch) | {"trainer_state": pickle.loads(state)}
    except Exception as error:  # noqa: BLE001
        return pickle.dumps({"failure": f"its arguments do not load there ({type(error).__name__}: {error})"})
    for name in callbacks:
        arguments[name] = _recorder(name, logged)
    reply: dict[str, Any] = {"logged": logged}
    try:
        reply["output"] = function(**arguments)
    except BaseException as error:  # noqa: BLE001  (handed on, and raised again by whoever asked)
        last = traceback.extract_tb(error.__traceback__)[-1]
        reply["error"] = error
        reply["place"] = (last.filename, last.lineno or 1)
        reply["traceback"] = "".join(traceback.format_exception(error))
    try:
        return pickle.dumps(reply)
    except Exception as error:  # noqa: BLE001  (the objects decide what pickling them raises)
        return pickle.dumps({"failure": f"its result does not pickle ({type(error).__name__}: {error})"})


def _recorder(name: str, logged: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> Callable[..., None]:
    def record(*args: Any, **kwargs: Any) -> None:
        logged.append((name, *copy.deepcopy((args, kwargs))))  # as it is now: the function may go on to change it

    return record


def _end_with(parent: int) -> None:
    """End this process when its parent has ended: it may be busy, and others may hold the connection open."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def main(descriptor: int, parent: int, seed: int, path: list[str]) -> None:
    """Set the process up and serve."""
    sys.path[:] = path
    random.seed(seed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the trainer gets it too, and decides
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    serve(Connection(descriptor))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
