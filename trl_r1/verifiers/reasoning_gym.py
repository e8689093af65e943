"""Is a puzzle of reasoning-gym solved? Its own scorers decide, in a process that can be killed and runs no code.

A scorer's partial credit is not used: many pay a little for any text, or for the right answer inside a longer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trl_r1.errors import R1Error
from trl_r1.verifiers.answers.extraction import graded_text, last_box
from trl_r1.verifiers.verdict import Judgement, Verdict
from trl_r1.verifiers.worker_pool import Reply, WorkerPool


MAX_ANSWER_CHARS = 20_000
CPU_SECONDS = 2.0
BATCH_DEADLINE_SECONDS = 120.0

_pool = WorkerPool(Path(__file__).with_name("reasoning_gym_worker.py"))


def verify_puzzles(
    pairs: Sequence[tuple[str, str]], deadline: float = BATCH_DEADLINE_SECONDS, cpu_seconds: float = CPU_SECONDS
) -> list[Judgement]:
    r"""
    Judge answers to puzzles.

    Args:
        pairs (`Sequence[tuple[str, str]]`):
            Completion or answer, and the puzzle's entry as JSON text: what `dataset[i]` of reasoning-gym gives. The
            answer is the last `\boxed{}` of what follows the thoughts, or all of it.
        deadline (`float`, *optional*, defaults to `120.0`):
            Seconds for the whole batch. Answers not scored by then are `UNDECIDABLE`.
        cpu_seconds (`float`, *optional*, defaults to `2.0`):
            Processor time one answer may take.

    Returns:
        `list[Judgement]`: `CORRECT` where the scorer gives 1.0. An answer that overruns, raises or holds code is
        `WRONG`; `UNDECIDABLE` means that the entry is unusable or that a process of ours failed.

    Raises:
        [`R1Error`]: when reasoning-gym is not installed.
    """
    require_reasoning_gym()
    judgements: dict[int, Judgement] = {}
    requests: dict[int, dict[str, str]] = {}
    for index, (completion, entry) in enumerate(pairs):
        text = (graded_text(completion) or "").strip()
        boxed = last_box(text)
        answer = text if boxed is None else boxed
        if not answer or len(answer) > MAX_ANSWER_CHARS:
            judgements[index] = Judgement(Verdict.WRONG, "no answer" if not answer else "too long", "extraction")
        else:
            requests[index] = {"entry": entry, "answer": answer}
    replies = _pool.run(list(requests.values()), cpu_seconds=cpu_seconds, deadline=deadline) if requests else []
    judgements |= {index: _from_reply(reply) for index, reply in zip(requests, replies, strict=True)}
    return [judgements[index] for index in range(len(pairs))]


def check_puzzles(entries: Sequence[str], deadline: float | None = None) -> list[str | None]:
    """
    Why entries cannot be used, or `None`: no entry, or one whose own answer does not earn 1.0.

    Args:
        entries (`Sequence[str]`):
            Entries as JSON text.
        deadline (`float`, *optional*):
            Seconds for all of them; by default there is no limit.

    Raises:
        [`R1Error`]: when reasoning-gym is not installed.
    """
    require_reasoning_gym()
    requests = [{"entry": entry} for entry in entries]
    replies = _pool.run(requests, cpu_seconds=CPU_SECONDS, deadline=deadline) if requests else []
    return [
        "it takes too long to score" if reply.failure == "overrun" else (reply.content or {}).get("detail") or None
        for reply in replies
    ]


def require_reasoning_gym() -> None:
    """
    Check that reasoning-gym is installed, without importing it: that takes a second.

    Raises:
        [`R1Error`]: naming the extra to install.
    """
    from importlib.util import find_spec

    if find_spec("reasoning_gym") is None:
        raise R1Error("puzzles need reasoning-gym; install it with `pip install trl_r1[tasks]`")


def _from_reply(reply: Reply) -> Judgement:
    content = reply.content or {}
    if reply.failure == "overrun" or content.get("result") == "overrun":
        if reply.progress != "gold":
            return Judgement(Verdict.UNDECIDABLE, "the puzzle takes too long to read", "fault")
        return Judgement(Verdict.WRONG, "it takes too long to score", "overrun")
    if reply.content is None:
        return Judgement(Verdict.UNDECIDABLE, f"not scored: the process was {reply.failure}", "fault")
    if content["result"] == "unusable":
        return Judgement(Verdict.UNDECIDABLE, f"puzzle: {content['detail']}", "fault")
    if content["result"] == "scored":
        score = content["score"]
        return Judgement(Verdict.CORRECT if score >= 1.0 else Verdict.WRONG, f"scored {score:g}", "worker")
    return Judgement(Verdict.WRONG, f"{content['result']}: {content['detail']}", "worker")
