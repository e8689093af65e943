r"""Does a completion answer a mathematical question rightly?

Four steps, each only for what the one before could not settle:

1. *extraction*: the last `\boxed{}` of the text after the thoughts, or one plain final statement;
2. *normalised*: the same characters once LaTeX's looks are removed; words that differ are wrong;
3. *exact*: part by part, in exact arithmetic on numbers, radicals and formulas, with units, order and interval ends;
4. *worker*: Math-Verify, on the single values that are left, in a process that is killed when it overruns.

The first three take a fraction of a millisecond and never start a process. An answer that would make computer algebra
run for ever is refused before it gets there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trl_r1.errors import R1Error
from trl_r1.verifiers.answers.comparison import Question, compare, could_run_for_ever, same_spelling, to_latex
from trl_r1.verifiers.answers.extraction import MAX_ANSWER_CHARS, extract_answer, is_prose, last_box
from trl_r1.verifiers.answers.normalise import clean, is_words
from trl_r1.verifiers.answers.written_out import is_written_out, values_to_parse
from trl_r1.verifiers.cache import JudgementCache
from trl_r1.verifiers.verdict import Judgement, Verdict
from trl_r1.verifiers.worker_pool import Reply, WorkerPool


ANSWER_CPU_SECONDS = 1.0
BATCH_DEADLINE_SECONDS = 120.0  # well under any process group's timeout
CACHE_SIZE = 50_000


@dataclass(frozen=True, slots=True)
class _Open:
    """A comparison that needs computer algebra."""

    gold: str  # cleaned
    answer: str  # cleaned
    question: Question
    require_value: bool

    @property
    def key(self) -> tuple[str, str, bool]:
        return self.gold, self.answer, self.require_value


_pool = WorkerPool(Path(__file__).with_name("math_worker.py"))
_cache: JudgementCache[Judgement] = JudgementCache(CACHE_SIZE)
_counts: Counter[str] = Counter()
_slowest: tuple[float, str] = (0.0, "")


def use_math_verify(folder: str | Path) -> None:
    """
    Let the worker processes import Math-Verify, and what it needs, from a folder of its own.

    For a process whose other packages want versions that Math-Verify cannot use, as lighteval does.

    Args:
        folder (`str` or `Path`):
            What `pip install --target FOLDER math-verify` made.

    Raises:
        [`R1Error`]: when there is no Math-Verify in it.
    """
    place = Path(folder).absolute()
    if not (place / "math_verify").is_dir():
        raise R1Error(f"math_verify: {str(folder)!r} holds none; run `pip install --target {folder} math-verify`")
    _pool.close()
    _pool.path_first = [str(place)]


def verify_math(completion_or_answer: str, gold: str, require_value: bool = False) -> Judgement:
    r"""
    Compare one answer with the gold answer.

    Args:
        completion_or_answer (`str`):
            A completion (recognised by a think or answer tag; only what follows the thoughts is graded) or the answer
            itself, boxed or not.
        gold (`str`):
            The right answer: a value, with or without `$`, a text with a `\boxed{}`, or one ending in `#### value`.
        require_value (`bool`, *optional*, defaults to `False`):
            Whether an answer that equals the gold answer, but restates the question (`17*23+5`, `2^{10}`), is wrong.
            [`~trl_r1.verifiers.answers.written_out.is_written_out`] says what a value is.

    Returns:
        [`Judgement`]: never raises. An overrun that the answer caused is `WRONG`; `UNDECIDABLE` means that the gold
        answer is unusable or that a process of ours failed.

    Example:

    ```python
    >>> verify_math(r"<think> half of it </think> So \boxed{\frac{1}{2}}.", "0.5").verdict
    <Verdict.CORRECT: 'correct'>
    ```
    """
    return verify_math_batch([(completion_or_answer, gold)], require_value=require_value)[0]


def verify_math_batch(
    pairs: Sequence[tuple[str, str]],
    deadline: float = BATCH_DEADLINE_SECONDS,
    cpu_seconds: float = ANSWER_CPU_SECONDS,
    require_value: bool = False,
) -> list[Judgement]:
    """
    Compare many answers with their gold answers.

    Args:
        pairs (`Sequence[tuple[str, str]]`):
            Completion or answer, and gold answer, as [`verify_math`] takes them.
        deadline (`float`, *optional*, defaults to `120.0`):
            Seconds for the whole batch. Answers not compared by then are `UNDECIDABLE`; endless ones have their turn
            after all others.
        cpu_seconds (`float`, *optional*, defaults to `1.0`):
            Processor time computer algebra may spend on one answer.
        require_value (`bool`, *optional*, defaults to `False`):
            See [`verify_math`].

    Returns:
        `list[Judgement]`: in the order of `pairs`.
    """
    stop = time.monotonic() + deadline
    judged = [_judge_here(answer, gold, require_value) for answer, gold in pairs]
    open_items = {item.key: item for item in judged if isinstance(item, _Open)}
    found = {key: replace(hit, cached=True) for key in open_items if (hit := _cache.get(key))}
    asked = sorted((item for key, item in open_items.items() if key not in found), key=_expected_cost)
    requests = [item.question.as_request() for item in asked]
    left = max(stop - time.monotonic(), 0.0)
    replies = _pool.run(requests, cpu_seconds=cpu_seconds, deadline=left) if requests else []
    for item, reply in zip(asked, replies, strict=True):
        judgement = found[item.key] = replace(_from_reply(reply, item), seconds=reply.seconds)
        if judgement.verdict is not Verdict.UNDECIDABLE:
            _cache.put(item.key, judgement)
    judgements = [found[item.key] if isinstance(item, _Open) else item for item in judged]
    _count(judgements, found.values())
    return judgements


def verification_counts() -> dict[str, int]:
    """
    What this process's verifier did so far.

    Returns:
        `dict[str, int]`: judgements by the step that decided them (`extraction`, `normalised`, `exact`, `worker`,
        `overrun`, `fault`), comparisons answered from the cache (`cached`) and workers that ended early (`killed`).
    """
    return dict(_counts) | {"killed": _pool.killed}


def slowest_verification() -> tuple[float, str]:
    """
    The comparison that took a worker longest in this process so far.

    Returns:
        `tuple[float, str]`: its wall time in seconds, and the reason given for its verdict, which quotes the answer;
        `(0.0, "")` before any worker was asked.
    """
    return _slowest


def _count(judgements: Sequence[Judgement], compared: Iterable[Judgement]) -> None:
    global _slowest
    _counts.update(judgement.decided_by for judgement in judgements)
    for judgement in compared:
        _counts["cached"] += judgement.cached
        if not judgement.cached and judgement.seconds > _slowest[0]:
            _slowest = (judgement.seconds, judgement.reason)


def check_gold(gold: str | None) -> str | None:
    """Why a gold answer is unusable, or `None` when answers can be compared with it."""
    return check_golds([gold])[0]


def check_golds(golds: Sequence[str | None], deadline: float | None = None) -> list[str | None]:
    """
    Check gold answers when a dataset is loaded, so that unusable ones are dropped and counted instead of trained on.

    Args:
        golds (`Sequence[str | None]`):
            Gold answers. Only those that are neither words nor values that this package reads need a worker process.
        deadline (`float`, *optional*):
            Seconds for all of them; by default there is no limit.

    Returns:
        `list[str | None]`: for each, why it is unusable, or `None`.
    """
    reasons: list[str | None] = []
    unsure: dict[int, list[str]] = {}
    for index, gold in enumerate(golds):
        text = gold_answer(gold) if isinstance(gold, str) else ""
        reasons.append(_obvious_problem(gold, text))
        if reasons[-1] is None and not is_words(clean(text)) and (values := values_to_parse(clean(text))):
            unsure[index] = values
    requests = [{"golds": [to_latex(value) for value in values], "pairs": []} for values in unsure.values()]
    replies = _pool.run(requests, cpu_seconds=ANSWER_CPU_SECONDS, deadline=deadline) if requests else []
    for index, reply in zip(unsure, replies, strict=True):
        text = gold_answer(str(golds[index]))
        if reply.failure == "overrun" or "overrun" in (reply.content or {}):
            reasons[index] = f"it takes too long to read: {_shorten(text)}"
        elif "unusable_gold" in (reply.content or {}):
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


def _judge_here(completion_or_answer: str, gold: str, require_value: bool) -> Judgement | _Open:
    """A judgement without computer algebra, or what it is needed for."""
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
    if not cleaned or is_words(cleaned) or is_words(cleaned_gold):
        return _different(answer, gold_text, "normalised")
    found = compare(cleaned, cleaned_gold)
    if isinstance(found, Question):
        if any(could_run_for_ever(value, gold_value) for gold_value, value in found.pairs):
            return Judgement(Verdict.WRONG, f"refused: {_shorten(answer)} is left to be evaluated", "overrun")
        return _Open(cleaned_gold, cleaned, found, require_value)
    if not found:
        return _different(answer, gold_text, "exact")
    return _equal(answer, gold_text, require_value, "exact")


def _equal(answer: str, gold: str, require_value: bool, step: str) -> Judgement:
    """The judgement on an answer that equals the gold answer."""
    if require_value and not is_written_out(clean(answer), clean(gold)):
        return Judgement(Verdict.WRONG, f"{_shorten(answer)} equals {_shorten(gold)}, but is no value", step)
    return Judgement(Verdict.CORRECT, f"{_shorten(answer)} equals {_shorten(gold)}", step)


def _different(answer: str, gold: str, step: str) -> Judgement:
    return Judgement(Verdict.WRONG, f"{_shorten(answer)} is not {_shorten(gold)}", step)


def _expected_cost(item: _Open) -> int:
    """Short values first: they are seldom the endless ones."""
    return sum(len(value) for _, value in item.question.pairs)


def _from_reply(reply: Reply, item: _Open) -> Judgement:
    """What a worker's reply means for the answer."""
    gold, answer = item.gold, item.answer
    if reply.failure == "overrun" or "overrun" in (reply.content or {}):
        if reply.progress != "gold":
            return Judgement(Verdict.UNDECIDABLE, f"gold answer: {_shorten(gold)} takes too long to read", "fault")
        return Judgement(Verdict.WRONG, f"{_shorten(answer)} takes too long to evaluate", "overrun")
    if reply.content is None:
        return Judgement(Verdict.UNDECIDABLE, f"no comparison: the verifier process was {reply.failure}", "fault")
    if "unusable_gold" in reply.content:
        return Judgement(Verdict.UNDECIDABLE, f"gold answer: {_shorten(gold)} is no expression", "fault")
    results = reply.content["results"]
    known = {pair: result == "equal" for pair, result in zip(item.question.pairs, results, strict=True)}
    if compare(answer, gold, known) is True:
        return _equal(answer, gold, item.require_value, "worker")
    if "unparseable" in results:
        return Judgement(Verdict.WRONG, f"{_shorten(answer)} cannot be read", "worker")
    return _different(answer, gold, "worker")


def _shorten(text: str, limit: int = 40) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
