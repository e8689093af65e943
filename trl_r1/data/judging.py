"""Completions with their verdicts: what rejection sampling filters by and evaluation counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from trl_r1.chat_template import ParsedCompletion, prefill_of
from trl_r1.generation import Completion
from trl_r1.rewards.completions import parse_completions
from trl_r1.rewards.instruction_checks import read_instructions
from trl_r1.rewards.sandboxed import is_missing
from trl_r1.verifiers import Judgement, Verdict, verify_code_batch, verify_math_batch
from trl_r1.verifiers.answers.extraction import gradable_answer
from trl_r1.verifiers.choice import verify_choice
from trl_r1.verifiers.reasoning_gym import verify_puzzles
from trl_r1.verifiers.repair import verify_repair_batch
from trl_r1.verifiers.repair_task import RepairTask
from trl_r1.verifiers.verdict import VerifierName


VERIFIED_AT_ONCE = 1024  # answers a batch of the verifier, whose deadline is for the batch
PROGRAMS_AT_ONCE = 128  # of programs, which take longer
INSTRUCTIONS = "instructions"  # the `reward_type` of rows whose answer must follow instructions, all of them
JUDGE = "judge"  # the `reward_type` of rows that a model judges, given their reference answer


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSample:
    """
    One completion, parsed and judged.

    Args:
        row (`Mapping[str, Any]`):
            The question, as [`load_prompts`] prepared it.
        sample_index (`int`):
            Number of the completion among those of its question.
        prefill (`str`):
            What was put in the policy's mouth.
        text (`str`):
            The response: what the prompt prefilled of it, then the completion.
        parsed (`ParsedCompletion`):
            Reasoning, answer and defects.
        judgement (`Judgement` or `None`):
            Verdict and reason; `None` when the question has no gold answer.
        completion ([`Completion`]):
            As generated.
        verifier (`str`, *optional*):
            What judged it: a name of [`route_of`].
    """

    row: Mapping[str, Any]
    sample_index: int
    prefill: str
    text: str
    parsed: ParsedCompletion
    judgement: Judgement | None
    completion: Completion
    verifier: str | None = None

    @property
    def correct(self) -> bool | None:
        """Right or wrong; `None` without a gold answer, or when it could not be decided."""
        if self.judgement is None or self.judgement.verdict is Verdict.UNDECIDABLE:
            return None
        return self.judgement.verdict is Verdict.CORRECT


def judge_samples(
    rows: Sequence[Mapping[str, Any]],
    groups: Sequence[Sequence[Completion]],
    prefills: Sequence[str] = (),
    verifier: VerifierName | Literal["auto"] = "math",
) -> list[JudgedSample]:
    """
    Parse and verify completions as the rewards do: the same parser, the same verifier.

    Args:
        rows (`Sequence[Mapping[str, Any]]`):
            Questions, with `prompt_tail`, `response_format` and `solution`.
        groups (`Sequence[Sequence[Completion]]`):
            Completions of each question.
        prefills (`Sequence[str]`, *optional*):
            Text put in the policy's mouth after each prompt; part of the response.
        verifier (`str`, *optional*, defaults to `"math"`):
            As of [`judge_parsed`].

    Returns:
        `list[JudgedSample]`: by question, then by sample.
    """
    flat = [
        (row, prefill, index, completion)
        for row, prefill, group in zip(rows, prefills or [""] * len(rows), groups, strict=True)
        for index, completion in enumerate(group)
    ]
    texts = [response_text(row, prefill, completion.text) for row, prefill, _, completion in flat]
    parsed = parse_completions(texts, None, [row.get("response_format") for row, *_ in flat])
    judgements = judge_parsed([row for row, *_ in flat], parsed, verifier)
    return [
        JudgedSample(
            row=row,
            sample_index=index,
            prefill=prefill,
            text=text,
            parsed=read,
            judgement=judgement,
            completion=completion,
        )
        for (row, prefill, index, completion), text, read, judgement in zip(
            flat, texts, parsed, judgements, strict=True
        )
    ]


def judge_parsed(
    rows: Sequence[Mapping[str, Any]],
    parsed: Sequence[ParsedCompletion],
    verifier: VerifierName | Literal["auto"] = "math",
) -> list[Judgement | None]:
    """
    Verdict on each response; `None` where there is nothing to judge it by.

    Args:
        rows (`Sequence[Mapping[str, Any]]`):
            The questions, one a response.
        parsed (`Sequence[ParsedCompletion]`):
            The responses.
        verifier (`str`, *optional*, defaults to `"math"`):
            `"math"` compares answers with `solution`; `"repair"` applies patches to `repair_task` and runs its tests;
            `"auto"` does what each row's columns ask for, as [`judge_by_row`].

    Raises:
        [`DataError`] or [`R1Error`]: as [`judge_by_row`].
    """
    if verifier == "auto":
        return judge_by_row(rows, parsed)
    if verifier == "repair":
        return judge_repairs(parsed, [row.get("repair_task") for row in rows])
    return judge_answers(parsed, [row.get("solution") for row in rows])


def response_text(row: Mapping[str, Any], prefill: str, completion: str) -> str:
    """The whole response: what the prompt's tail opened of it, the prefill, and what the policy wrote."""
    begun = f"{prefill_of(row.get('prompt_tail') or '')}{prefill}"
    spaced = begun and not begun[-1].isspace() and not completion[:1].isspace()
    return begun + (" " if spaced else "") + completion


# Columns of a row that say what a right answer is: with another of these the same answer has another verdict.
JUDGED_BY: Final = ("solution", "choices", "reward_type", "tests", "entry", "instructions", "repair_task")


def route_of(row: Mapping[str, Any]) -> str | None:
    """
    What can judge a row's answers, by its columns, which are those the rewards read.

    Returns:
        `str` or `None`: `"judge"` if its `reward_type` says so; `"repair"` with a `repair_task`; `"code"` with
        `tests`; `"puzzle"` with an `entry` of reasoning-gym; `"instructions"` with that `reward_type`; `"choice"` with
        `choices` (or that `reward_type`) and `"math"` without, both with a `solution`. `None` for a row that nothing
        decides.
    """
    if row.get("reward_type") == JUDGE:
        return JUDGE if row.get("solution") is not None else None
    if not is_missing(row.get("repair_task")):
        return "repair"
    if not is_missing(row.get("tests")):
        return "code"
    if _is_puzzle(row.get("entry")):
        return "puzzle"
    if row.get("reward_type") == INSTRUCTIONS and not is_missing(row.get("instructions")):
        return INSTRUCTIONS
    if row.get("solution") is None:
        return None
    return "choice" if row.get("choices") or row.get("reward_type") == "choice" else "math"


def _is_puzzle(entry: Any) -> bool:
    return isinstance(entry, str) and entry.lstrip().startswith("{") and '"metadata"' in entry


def judge_by_row(rows: Sequence[Mapping[str, Any]], parsed: Sequence[ParsedCompletion]) -> list[Judgement | None]:
    """
    Verdict on each answer by the rule its row's columns ask for; `None` where none does, or a model has to judge.

    Args:
        rows (`Sequence[Mapping[str, Any]]`):
            The questions, one a response.
        parsed (`Sequence[ParsedCompletion]`):
            The responses.

    Raises:
        [`DataError`]: when a repair task cannot be read.
        [`R1Error`]: when what a verifier needs is not installed, or code cannot be isolated.
    """
    judged: list[Judgement | None] = [None] * len(rows)
    of_route: dict[str | None, list[int]] = {}
    for index, row in enumerate(rows):
        of_route.setdefault(route_of(row), []).append(index)
    for route, members in of_route.items():
        if route is None or route == JUDGE:
            continue
        found = _judge_route(route, [rows[index] for index in members], [parsed[index] for index in members])
        for index, judgement in zip(members, found, strict=True):
            judged[index] = judgement
    return judged


def _judge_route(
    route: str, rows: Sequence[Mapping[str, Any]], parsed: Sequence[ParsedCompletion]
) -> list[Judgement | None]:
    if route == "math":
        return judge_answers(parsed, [row["solution"] for row in rows])
    if route == "repair":
        return judge_repairs(parsed, [row["repair_task"] for row in rows])
    if route == INSTRUCTIONS:
        return [_judge_instructions(row["instructions"], read) for row, read in zip(rows, parsed, strict=True)]
    if route == "choice":
        return [
            verify_choice(gradable_answer(read) or "", str(row["solution"]), row.get("choices") or None)
            for row, read in zip(rows, parsed, strict=True)
        ]
    column, at_once = ("entry", VERIFIED_AT_ONCE) if route == "puzzle" else ("tests", PROGRAMS_AT_ONCE)
    pairs = [(read.answer or "", row[column]) for row, read in zip(rows, parsed, strict=True)]
    judged: list[Judgement | None] = []
    for start in range(0, len(pairs), at_once):
        batch = pairs[start : start + at_once]
        judged += verify_puzzles(batch) if route == "puzzle" else verify_code_batch(batch)
    return judged


def _judge_instructions(given: Any, parsed: ParsedCompletion) -> Judgement:
    """Right where the answer follows every instruction; instructions that cannot be read are a fault of the row."""
    try:
        instructions = read_instructions(given)
    except ValueError as error:
        return Judgement(Verdict.UNDECIDABLE, str(error), "fault")
    broken = [instruction.type for instruction in instructions if not instruction.holds(parsed.answer or "")]
    reason = f"does not follow {', '.join(broken)}" if broken else f"follows all {len(instructions)}"
    return Judgement(Verdict.WRONG if broken else Verdict.CORRECT, reason, "exact")


def judge_answers(parsed: Sequence[ParsedCompletion], golds: Sequence[str | None]) -> list[Judgement | None]:
    """Verdict on each answer; `None` where there is no gold answer."""
    judged: list[Judgement | None] = [None] * len(parsed)
    open_rows = [index for index, gold in enumerate(golds) if gold is not None]
    for start in range(0, len(open_rows), VERIFIED_AT_ONCE):
        batch = open_rows[start : start + VERIFIED_AT_ONCE]
        pairs = [(gradable_answer(parsed[index]) or "", str(golds[index])) for index in batch]
        for index, judgement in zip(batch, verify_math_batch(pairs), strict=True):
            judged[index] = judgement
    return judged


def judge_repairs(parsed: Sequence[ParsedCompletion], tasks: Sequence[Any]) -> list[Judgement | None]:
    """
    Verdict on each patch; `None` where there is no task.

    Raises:
        [`DataError`]: when a task cannot be read.
    """
    judged: list[Judgement | None] = [None] * len(parsed)
    open_rows = [index for index, task in enumerate(tasks) if task is not None]
    for start in range(0, len(open_rows), VERIFIED_AT_ONCE):
        batch = open_rows[start : start + VERIFIED_AT_ONCE]
        pairs = [(parsed[index].answer or "", RepairTask.from_row(tasks[index])) for index in batch]
        for index, judgement in zip(batch, verify_repair_batch(pairs), strict=True):
            judged[index] = judgement
    return judged
