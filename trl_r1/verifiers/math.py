r"""Does a completion answer a mathematical question rightly?

Four steps, each only for what the one before could not settle:

1. *extraction*: the last balanced `\boxed{}` of the text after the thoughts, or an answer that is a short value;
2. *normalised*: the same characters once LaTeX's looks are removed; text that differs is wrong;
3. *exact*: plain numbers, lists of them and numbers with units, in rational arithmetic;
4. *worker*: Math-Verify, in a process that is killed when it overruns.

The first three take a fraction of a millisecond and never start a process. An answer that would make computer algebra
run for ever is refused before it gets there.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path

from trl_r1.verifiers.comparison import comparable_without_algebra, could_run_for_ever, exactly_equal, same_spelling
from trl_r1.verifiers.normalise import (
    MAX_ANSWER_CHARS,
    clean,
    extract_answer,
    is_prose,
    is_words,
    last_box,
    strip_delimiters,
)
from trl_r1.verifiers.verdict import Judgement, Verdict
from trl_r1.verifiers.worker_pool import Reply, WorkerPool


ANSWER_CPU_SECONDS = 1.0
BATCH_DEADLINE_SECONDS = 120.0  # well under any process group's timeout
CACHE_SIZE = 50_000


class _Cache:
    """Judgements on (gold, answer) that cost a worker's time, the oldest dropped first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._judgements: OrderedDict[tuple[str, str], Judgement] = OrderedDict()

    def get(self, pair: tuple[str, str]) -> Judgement | None:
        with self._lock:
            return self._judgements.get(pair)

    def put(self, pair: tuple[str, str], judgement: Judgement) -> None:
        with self._lock:
            self._judgements[pair] = judgement
            if len(self._judgements) > self._size:
                self._judgements.popitem(last=False)


_pool = WorkerPool(Path(__file__).with_name("math_worker.py"))
_cache = _Cache(CACHE_SIZE)
_counts: Counter[str] = Counter()


def verify_math(completion_or_answer: str, gold: str) -> Judgement:
    r"""
    Compare one answer with the gold answer.

    Args:
        completion_or_answer (`str`):
            A completion (recognised by a think or answer tag; only what follows the thoughts is graded) or the answer
            itself, boxed or not.
        gold (`str`):
            The right answer: a value, with or without `$`, a text with a `\boxed{}`, or one ending in `#### value`.

    Returns:
        [`Judgement`]: never raises. An overrun that the answer caused is `WRONG`; `UNDECIDABLE` means that the gold
        answer is unusable or that a process of ours failed.

    Example:

    ```python
    >>> verify_math(r"<think> half of it </think> So \boxed{\frac{1}{2}}.", "0.5").verdict
    <Verdict.CORRECT: 'correct'>
    ```
    """
    return verify_math_batch([(completion_or_answer, gold)])[0]


def verify_math_batch(
    pairs: Sequence[tuple[str, str]],
    deadline: float = BATCH_DEADLINE_SECONDS,
    cpu_seconds: float = ANSWER_CPU_SECONDS,
) -> list[Judgement]:
    """
    Compare many answers with their gold answers.

    Args:
        pairs (`Sequence[tuple[str, str]]`):
            Completion or answer, and gold answer, as [`verify_math`] takes them.
        deadline (`float`, *optional*, defaults to `120.0`):
            Seconds for the whole batch. Answers not compared by then are `UNDECIDABLE`.
        cpu_seconds (`float`, *optional*, defaults to `1.0`):
            Processor time computer algebra may spend on one answer.

    Returns:
        `list[Judgement]`: in the order of `pairs`.
    """
    judged: list[Judgement | tuple[str, str]] = [_judge_here(answer, gold) for answer, gold in pairs]
    open_pairs = list(dict.fromkeys(item for item in judged if isinstance(item, tuple)))
    found = {pair: cached for pair in open_pairs if (cached := _cache.get(pair))}
    _counts["cached"] += len(found)
    asked = [pair for pair in open_pairs if pair not in found]
    requests = [{"gold": _for_algebra(gold), "answer": _for_algebra(answer)} for gold, answer in asked]
    replies = _pool.run(requests, cpu_seconds=cpu_seconds, deadline=deadline) if requests else []
    for pair, reply in zip(asked, replies, strict=True):
        found[pair] = _from_reply(reply, *pair)
        if found[pair].verdict is not Verdict.UNDECIDABLE:
            _cache.put(pair, found[pair])
    judgements = [found[item] if isinstance(item, tuple) else item for item in judged]
    _counts.update(judgement.decided_by for judgement in judgements)
    return judgements


def verification_counts() -> dict[str, int]:
    """
    What this process's verifier did so far.

    Returns:
        `dict[str, int]`: judgements by the step that decided them (`extraction`, `normalised`, `exact`, `worker`,
        `overrun`, `fault`), comparisons answered from the cache (`cached`) and workers that ended early (`killed`).
    """
    return dict(_counts) | {"killed": _pool.killed}


def check_gold(gold: str | None) -> str | None:
    """Why a gold answer is unusable, or `None` when answers can be compared with it."""
    return check_golds([gold])[0]


def check_golds(golds: Sequence[str | None], deadline: float | None = None) -> list[str | None]:
    """
    Check gold answers when a dataset is loaded, so that unusable ones are dropped and counted instead of trained on.

    Args:
        golds (`Sequence[str | None]`):
            Gold answers. Only those that are neither a number nor words need a worker process.
        deadline (`float`, *optional*):
            Seconds for all of them; by default there is no limit.

    Returns:
        `list[str | None]`: for each, why it is unusable, or `None`.
    """
    reasons: list[str | None] = []
    unsure: list[int] = []
    for index, gold in enumerate(golds):
        text = gold_answer(gold) if isinstance(gold, str) else ""
        reasons.append(_obvious_problem(gold, text))
        if reasons[-1] is None and not comparable_without_algebra(clean(text)):
            unsure.append(index)
    texts = [gold_answer(str(golds[index])) for index in unsure]
    requests = [{"gold": _for_algebra(text), "answer": None} for text in texts]
    replies = _pool.run(requests, cpu_seconds=ANSWER_CPU_SECONDS, deadline=deadline) if requests else []
    for index, text, reply in zip(unsure, texts, replies, strict=True):
        if reply.failure == "overrun":
            reasons[index] = f"it takes too long to read: {_shorten(text)}"
        elif reply.content is not None and reply.content["result"] != "usable_gold":
            reasons[index] = f"not a mathematical expression: {_shorten(text)}"
    return reasons


def gold_answer(gold: str) -> str:
    r"""The value in a gold answer: its last box, what follows `####`, or all of it."""
    boxed = last_box(gold)
    if boxed is not None:
        return boxed
    return gold.rsplit("####", 1)[-1].strip()


def _obvious_problem(gold: object, text: str) -> str | None:
    if gold is None:
        return "it is missing"
    if not isinstance(gold, str):
        return f"it is a {type(gold).__name__}, not a text"
    if not clean(text):
        return "it is empty"
    if len(text) > MAX_ANSWER_CHARS:
        return rf"it is longer than {MAX_ANSWER_CHARS} characters and holds no \boxed{{}}"
    return None


def _judge_here(completion_or_answer: str, gold: str) -> Judgement | tuple[str, str]:
    """A judgement without computer algebra, or the (gold, answer) that needs it."""
    gold_text = gold_answer(gold) if isinstance(gold, str) else ""
    problem = _obvious_problem(gold, gold_text)
    if problem:
        return Judgement(Verdict.UNDECIDABLE, f"gold answer: {problem}", "fault")
    extracted = extract_answer(completion_or_answer)
    if (answer := extracted.text) is None:
        return Judgement(Verdict.WRONG, extracted.missing, "extraction")
    cleaned, cleaned_gold = clean(answer), clean(gold_text)
    if same_spelling(cleaned, cleaned_gold):
        return Judgement(Verdict.CORRECT, f"{_shorten(answer)} is the gold answer", "normalised")
    if not extracted.boxed and is_prose(answer):
        return Judgement(Verdict.WRONG, "no boxed answer, and the text is no single value", "extraction")
    differs = f"{_shorten(answer)} is not {_shorten(gold_text)}"
    if is_words(cleaned) or is_words(cleaned_gold):
        return Judgement(Verdict.WRONG, differs, "normalised")
    equal = exactly_equal(cleaned, cleaned_gold)
    if equal is not None:
        equals = f"{_shorten(answer)} equals {_shorten(gold_text)}"
        return Judgement(Verdict.CORRECT if equal else Verdict.WRONG, equals if equal else differs, "exact")
    if could_run_for_ever(cleaned):
        return Judgement(Verdict.WRONG, f"refused: {_shorten(answer)} could take for ever to evaluate", "overrun")
    return gold_text, answer


def _for_algebra(text: str) -> str:
    """An answer as Math-Verify reads it best: without delimiters, lists joined by commas."""
    text = re.sub(r"\\text\s*\{\s*(?:and|or)\s*\}|(?<=[\s\d$])(?:and|or)(?=[\s\d$])", ",", strip_delimiters(text))
    return text.replace("$", "")


def _from_reply(reply: Reply, gold: str, answer: str) -> Judgement:
    """What a worker's reply means for the answer."""
    if reply.failure == "overrun" or (reply.content or {}).get("result") == "overrun":
        if reply.progress != "gold":
            return Judgement(Verdict.UNDECIDABLE, f"gold answer: {_shorten(gold)} takes too long to read", "fault")
        return Judgement(Verdict.WRONG, f"{_shorten(answer)} takes too long to evaluate", "overrun")
    if reply.content is None:
        return Judgement(Verdict.UNDECIDABLE, f"no comparison: the verifier process was {reply.failure}", "fault")
    result = reply.content["result"]
    if result == "unusable_gold":
        return Judgement(Verdict.UNDECIDABLE, f"gold answer: {_shorten(gold)} is no expression", "fault")
    if result == "equal":
        return Judgement(Verdict.CORRECT, f"{_shorten(answer)} equals {_shorten(gold)}", "worker")
    what = "cannot be read" if result == "unparseable" else f"is not {_shorten(gold)}"
    return Judgement(Verdict.WRONG, f"{_shorten(answer)} {what}", "worker")


def _shorten(text: str, limit: int = 40) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
