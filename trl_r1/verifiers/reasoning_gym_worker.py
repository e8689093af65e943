"""The process in which reasoning-gym scores answers. Run as a file by a [`~trl_r1.verifiers.worker_pool.WorkerPool`].

Ten of its scorers evaluate the answer as Python (`eval`, SymPy's parser), which is the policy's text. While an answer
is scored here, a hook of the interpreter lets through only arithmetic and literals, and nothing that starts a program,
opens a connection or writes a file; the process is killed on an overrun.
"""

from __future__ import annotations

import ast
import contextlib
import json
import socket
import sys
from functools import lru_cache
from typing import Any


NONSENSE = "no answer at all"  # a scorer that pays for it cannot be used
REFUSED = {"game_of_life_halting": "its scorer pays 1.0 for any text where the answer is no"}
FUNCTIONS = {  # what SymPy's parser writes around numbers and names, and common functions
    *("Integer", "Float", "Rational", "Symbol"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "exp", "log", "ln", "sqrt", "Abs", "abs"),
}
FORBIDDEN = (
    *("subprocess.", "socket.", "ctypes.", "shutil.", "pty."),
    *(
        "os.system",
        "os.exec",
        "os.spawn",
        "os.posix_spawn",
        "os.fork",
        "os.kill",
        "os.remove",
        "os.rename",
        "os.mkdir",
    ),
)
SYMPY_PRELUDE = b"from sympy import *"  # what its parser runs first; harmless in an answer too
PLAIN_NODES = (
    *(ast.Module, ast.Expression, ast.Expr, ast.Constant, ast.Name, ast.Load, ast.Call),
    *(ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.List, ast.Tuple, ast.Set, ast.Dict),
)


class _RefusedError(Exception):
    """The answer would run as a program."""


class _Guard:
    """Watches what the interpreter compiles and does while an answer is scored."""

    def __init__(self) -> None:
        self.on = False
        self.refused = ""
        sys.addaudithook(self.watch)

    def watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "compile" and isinstance(arguments[0], str | bytes):
            self.on = False  # parsing compiles too
            try:
                harmless = is_plain(arguments[0])
            finally:
                self.on = True
            if not harmless:
                self._refuse("the answer holds code")
        elif event.startswith(FORBIDDEN) or (event == "open" and set(str(arguments[1])) & set("wax+")):
            self._refuse(f"the answer led to {event}")

    def _refuse(self, reason: str) -> None:
        self.refused = reason
        raise _RefusedError(reason)


def is_plain(source: str | bytes) -> bool:
    """Whether Python source is arithmetic or a literal; what is no Python at all can do no harm either."""
    if source in (SYMPY_PRELUDE, SYMPY_PRELUDE.decode()):
        return True
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    for node in ast.walk(tree):
        if not isinstance(node, PLAIN_NODES):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS):
            return False
        if isinstance(node, ast.Name) and node.id.startswith("_"):
            return False
    return True


_guard: _Guard | None = None


def answer(request: dict[str, Any], connection: Any) -> dict[str, Any]:
    """Score `answer` by `entry`: `"scored"` with the score, `"refused"`, `"failed"`, or `"unusable"` for the entry."""
    assert _guard is not None
    problem = entry_problem(request["entry"])
    if problem or request.get("answer") is None:
        return {"result": "unusable" if problem else "usable", "detail": problem}
    connection.send_bytes(json.dumps({"progress": "gold"}).encode())
    entry = json.loads(request["entry"])
    dataset = dataset_of(entry["metadata"]["source_dataset"])
    try:
        found = score(dataset, request["answer"], entry)
    except (MemoryError, RecursionError) as error:
        return {"result": "overrun", "detail": type(error).__name__}
    except Exception as error:  # noqa: BLE001  (any scorer, any text: an answer that breaks it is wrong)
        return {"result": "failed", "detail": f"{type(error).__name__}: {error}"[:200]}
    return {"result": "refused", "detail": _guard.refused} if _guard.refused else {"result": "scored", "score": found}


@lru_cache(maxsize=4096)
def entry_problem(text: str) -> str:
    """Why an entry cannot be used, or nothing: its own answer must earn 1.0, and nonsense must not."""
    try:
        entry = json.loads(text)
        name, gold = entry["metadata"]["source_dataset"], entry["answer"]
        dataset = dataset_of(name)
        own = 1.0 if gold is None else score(dataset, gold, entry)
    except Exception as error:  # noqa: BLE001  (whatever is wrong with the row)
        return f"no entry of reasoning-gym ({type(error).__name__}: {error})"[:200]
    if name in REFUSED:
        return f"{name}: {REFUSED[name]}"
    if own < 1.0:
        return f"its own answer earns {own:g} by the scorer of {name}"
    try:
        nonsense = score(dataset, NONSENSE, entry)
    except Exception:  # noqa: BLE001  (some scorers raise on what they cannot read)
        return ""
    return f"nonsense earns {nonsense:g} by the scorer of {name}" if nonsense >= 1.0 else ""


def score(dataset: Any, text: str, entry: dict[str, Any]) -> float:
    """What the dataset's scorer gives, watched: neither the policy's text nor the dataset's is trusted."""
    assert _guard is not None
    _guard.on, _guard.refused = True, ""
    try:
        return float(dataset.score_answer(text, entry))
    finally:
        _guard.on = False


@lru_cache(maxsize=128)
def dataset_of(name: str) -> Any:
    """The dataset whose scorer judges, after it has scored once and so imported what it needs."""
    from reasoning_gym.factory import DATASETS

    kind, config = DATASETS[name]
    dataset = kind(config=config(size=1, seed=0))
    if name != "codeio":  # making one of its puzzles runs code that ships with it
        own = dataset[0]
        for text in (own["answer"], NONSENSE):
            with contextlib.suppress(Exception):
                dataset.score_answer(text, own)
    return dataset


def warm_up() -> None:
    """Load the package, and start to watch: forked workers inherit both."""
    global _guard
    import reasoning_gym  # noqa: F401

    _guard = _Guard()


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[2])
    from trl_r1.verifiers.math_worker import run_nursery

    sys.setrecursionlimit(3000)
    run_nursery(socket.socket(fileno=int(sys.argv[1])), answer, warm_up)
