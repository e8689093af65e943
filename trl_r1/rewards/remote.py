"""Reward functions in a process of their own: which can go there, and the process as the trainer sees it."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from trl_r1.redaction import without_secrets
from trl_r1.rewards.checked import AsyncCheckedReward, CheckedReward
from trl_r1.rewards.registry import ensure_checked


SCRIPT = Path(__file__).with_name("reward_process.py")
PATIENCE_SECONDS = 1.0  # for a process to end by itself
# May hold a password, and without them a reward that asks a service would reach none.
PROXIES = tuple(name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (proxy, proxy.lower()))


class RewardProcessError(RuntimeError):
    """A reward process could not be started, or ended before it answered."""


def why_not_remote(function: Callable[..., Any]) -> str | None:
    """
    Why a reward function must run in the trainer's process, in words, or `None` when it need not.

    Args:
        function (`Callable`):
            A reward as the trainer holds it, synchronous.
    """
    checked = ensure_checked(function)
    if isinstance(checked, AsyncCheckedReward):
        return "it is asynchronous, and TRL runs such functions side by side"
    if checked.loads_model:
        return "it loads a model"
    try:
        payload = pickle.dumps(function)
    except Exception as error:  # noqa: BLE001  (the object decides what pickling it raises)
        return f"it does not pickle ({type(error).__name__}: {error})"
    if b"__main__" in payload:  # that script would have to be run again
        return "it is defined in the script that is being run; move it to a module"
    return None


class RewardProcess:
    """
    One process that runs reward functions. It starts when first asked for, and again when it has ended.

    Calls wait for each other. One thread on the processor, no GPU, the environment of the trainer otherwise, without
    its secrets but for proxies and the variables that parameters of the functions name (`api_key_env: MY_KEY`).

    Args:
        functions (`Sequence[Callable]`):
            Reward functions for which [`why_not_remote`] has no reason.
        seed (`int`, *optional*, defaults to `0`):
            Of Python's random numbers there.
    """

    def __init__(self, functions: Sequence[Callable[..., Any]], seed: int = 0) -> None:
        self._functions = [(pickle.dumps(each), isinstance(each, CheckedReward)) for each in functions]
        self._variables = [name for each in functions for name in _named_variables(each)]
        self._seed = seed
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Process number, `None` while there is no process."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """
        Have a process that is getting ready.

        Raises:
            [`RewardProcessError`]: when none can be started.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._end()
                self._start()

    def ask(self, request: bytes) -> dict[str, Any]:
        """
        Make one call and wait for what became of it.

        Args:
            request (`bytes`):
                What [`call_of`] packed.

        Returns:
            `dict[str, Any]`: `logged` (calls of the callbacks, in order) and either `output`, or `error` with its
            `place` (file and line) and `traceback`; or `failure`, why the call could not be made there.

        Raises:
            [`RewardProcessError`]: when the process ended first.
        """
        with self._lock:
            if self._connection is None:
                raise RewardProcessError("it has ended")
            try:
                self._connection.send_bytes(request)
                reply = self._connection.recv_bytes()
            except (EOFError, OSError) as error:
                raise RewardProcessError(f"it ended with exit code {self._end()}") from error
        try:
            found: dict[str, Any] = pickle.loads(reply)
        except Exception as error:  # noqa: BLE001  (the objects decide what loading them raises)
            return {"failure": f"its result does not load ({type(error).__name__}: {error})"}
        return found

    def close(self) -> None:
        """End the process, also in the middle of a call."""
        if os.getpid() != self._owner:
            return  # a forked copy: the process is not its child
        process = self._process
        if process is not None:
            process.kill()  # without the lock, which a call holds
        with self._lock:
            self._end()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        environment = without_secrets(os.environ, keep=[*self._variables, *PROXIES])
        environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        options = [str(theirs.fileno()), str(os.getpid()), str(self._seed), json.dumps(sys.path)]
        # -P: the script's own folder holds a `code.py`, which must not hide the standard library's.
        # -u: what a reward prints is not lost with the process.
        command = [sys.executable, "-P", "-u", str(SCRIPT), *options]
        with ours, theirs:
            try:
                self._process = subprocess.Popen(
                    command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment
                )
                self._connection = Connection(ours.detach())
                self._connection.send_bytes(pickle.dumps(self._functions))
            except OSError as error:
                self._end()
                raise RewardProcessError(f"it did not start ({error})") from error

    def _end(self) -> int | None:
        """Close what there is. Returns the exit code."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is None:
            return None
        try:
            code = self._process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        return code


def _named_variables(function: Callable[..., Any]) -> list[str]:
    """Environment variables that a reward's parameters name, those of the rewards it chooses among included."""
    rewards = function.leaves() if isinstance(function, CheckedReward) else []
    return [
        value
        for reward in rewards
        for name, value in reward.parameters.items()
        if name.endswith("_env") and isinstance(value, str)
    ]


def call_of(index: int, batch: bytes, state: bytes, callbacks: Sequence[str]) -> bytes:
    """
    Pack one call.

    Args:
        index (`int`):
            Number of the function in the process.
        batch (`bytes`):
            Pickled keyword arguments.
        state (`bytes`):
            Pickled copy of `trainer_state`.
        callbacks (`Sequence[str]`):
            Names of the callbacks it is given, such as `log_extra`.
    """
    return pickle.dumps((index, batch, state, tuple(callbacks)))
