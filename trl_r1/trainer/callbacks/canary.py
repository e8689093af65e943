r"""A second opinion on correctness, from other code than the reward under training.

A policy learns to please the reward it is trained on, faults of that reward included. A canary judges a sample of the
same completions in another way; where the two part, somebody should look. It never enters the reward.

It shares with our verifier only the split into thoughts and answer. It reads the answer by itself (last `\boxed{}`, or
a short text that is one value), and says nothing about what it cannot read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from trl_r1.errors import R1Error
from trl_r1.verifiers import math_worker
from trl_r1.verifiers.worker_pool import WorkerPool


# Answers and gold answers in, one verdict a pair out; `None` where it cannot tell.
Canary = Callable[[Sequence[str], Sequence[str]], list[bool | None]]

CANARIES: Final = ("none", "exact", "math")
CPU_SECONDS, DEADLINE_SECONDS = 1.0, 30.0  # of one comparison, of all comparisons of a rollout
_LONGEST_UNBOXED = 40  # characters; what is longer is a sentence, not a value
_BOX = r"\boxed{"
_WORDS = re.compile(r"[^\W\d_]{2,}")
_BLANKS = re.compile(r"[\s$]+|\\[,;!]")


def get_canary(name: str) -> Canary | None:
    """
    The canary of a name.

    Args:
        name (`str`):
            `"math"`: Math-Verify alone, in a process that is killed when it overruns; for answers that are values.
            `"exact"`: the same characters, blanks and `$` aside; stricter than the reward, so expect it below it.
            `"none"`: no canary.

    Returns:
        `Callable` or `None`: called with answers (text after the thoughts) and gold answers, it returns for each pair
        whether the answer is right, or `None` where it cannot tell.

    Raises:
        [`R1Error`]: for another name.

    Example:

    ```python
    >>> get_canary("exact")(["So \\boxed{ 7 }.", "8", "I cannot tell"], ["7", "7", "7"])
    [True, False, None]
    ```
    """
    if name not in CANARIES:
        raise R1Error(f"canary: {name!r} is unknown; use one of {', '.join(CANARIES)}")
    return {"none": None, "exact": _same_text, "math": _ask_math_verify}[name]


def _same_text(answers: Sequence[str], golds: Sequence[str]) -> list[bool | None]:
    values = zip(map(_value, answers), map(_gold_value, golds), strict=True)
    return [None if value is None else _squeeze(value) == _squeeze(gold) for value, gold in values]


def _ask_math_verify(answers: Sequence[str], golds: Sequence[str]) -> list[bool | None]:
    verdicts: list[bool | None] = []
    requests = []
    for answer, gold in zip(map(_value, answers), map(_gold_value, golds), strict=True):
        same = answer is not None and _squeeze(answer) == _squeeze(gold)
        verdicts.append(True if same else None)
        if answer is not None and not same:
            requests.append((len(verdicts) - 1, {"golds": [gold], "pairs": [[gold, answer]]}))
    asked = [request for _, request in requests]
    replies = _pool().run(asked, cpu_seconds=CPU_SECONDS, deadline=DEADLINE_SECONDS) if asked else []
    for (index, _), reply in zip(requests, replies, strict=True):
        results = (reply.content or {}).get("results")
        verdicts[index] = results[0] == "equal" if results else None
    return verdicts


@lru_cache(maxsize=1)
def _pool() -> WorkerPool:
    """Its own: a canary that waits must not hold up the verifier of the reward."""
    return WorkerPool(Path(math_worker.__file__), size=1)


def _value(text: str) -> str | None:
    """The value an answer states, or `None` where there is no telling."""
    boxed = _last_box(text)
    if boxed is not None:
        return boxed
    bare = text.strip().rstrip(".")
    return bare if bare and len(bare) <= _LONGEST_UNBOXED and not _WORDS.search(bare) else None


def _gold_value(text: str) -> str:
    boxed = _last_box(text)
    return text.rsplit("####", 1)[-1].strip() if boxed is None else boxed


def _last_box(text: str) -> str | None:
    r"""Inside of the last `\boxed{}`; `None` where there is none, or where it is not closed."""
    start = text.rfind(_BOX)
    if start < 0:
        return None
    depth, inside = 1, start + len(_BOX)
    for place in range(inside, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[inside:place].strip()
    return None


def _squeeze(text: str) -> str:
    return _BLANKS.sub("", text)
