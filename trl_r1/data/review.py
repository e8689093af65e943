"""
People look at rows: export for review, and take their verdicts back.

The export is JSON lines with flat columns. An editor of text will do; so will Argilla, whose fields are `problem`,
`reasoning`, `answer` and `reference`, and whose questions are `verdict`, `comment`, `edited_reasoning` and
`edited_answer`: `dataset.records.log` takes the rows, and what `dataset.records.to_datasets()` gives back
(`verdict.responses` and so on) is read as it is. In the paper people check what was rewritten (v2, B.3.2).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from trl_r1.chat_template import ParsedCompletion, ThinkParser, join_response, prefill_of
from trl_r1.data.judging import judge_by_row
from trl_r1.data.rejection_sampling.result import ROW_FILE
from trl_r1.data.rows import read_jsonl
from trl_r1.errors import DataError
from trl_r1.verifiers import Verdict


VERDICTS: Final = ("accept", "reject", "edit")
Unreviewed = Literal["refuse", "keep", "drop"]
SHOWN_PROBLEMS: Final = 20
_ANSWERS: Final = ("verdict", "comment", "edited_reasoning", "edited_answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """
    What a person said of a row.

    Args:
        line (`int`):
            Where in the file.
        verdict (`str`):
            `"accept"`, `"reject"`, `"edit"`, or empty.
        comment (`str`):
            Anything.
        edited_reasoning, edited_answer (`str`):
            With `"edit"`, the new texts; an empty one leaves the old.
    """

    line: int
    verdict: str
    comment: str = ""
    edited_reasoning: str = ""
    edited_answer: str = ""


@dataclass(slots=True)
class ReviewedRows:
    """
    Rows as a review leaves them; iterate over it once, then read the counts.

    Args:
        rows (`Iterator[dict[str, Any]]`):
            Those kept, with the column `review`: `"accepted"`, `"edited"` or `"unreviewed"`.
        counts (`Counter[str]`):
            `accepted`, `rejected`, `edited`, `unreviewed_kept`, `unreviewed_dropped`.
    """

    rows: Iterator[dict[str, Any]]
    counts: Counter[str] = field(default_factory=Counter)


def read_stage_rows(folder: str | Path) -> Iterator[dict[str, Any]]:
    """
    The rows of a data stage, one by one.

    Raises:
        [`DataError`]: when the folder has none, or a line is no JSON.
    """
    path = Path(folder) / ROW_FILE
    if not path.is_file():
        raise DataError(f"{folder}: has no {ROW_FILE}; give the folder of a stage of rejection_sample or review")
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}: line {number} is no JSON ({error.msg}); run the stage again") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number} is no JSON object; run the stage again")
            yield row


def export_rows(folder: str | Path, max_rows: int | None = None, seed: int = 42) -> Iterator[dict[str, str]]:
    """
    Rows for people to look at.

    Args:
        folder (`str` or `Path`):
            Of the stage.
        max_rows (`int`, *optional*):
            A random choice of so many, in their order.
        seed (`int`, *optional*, defaults to `42`):
            Of that choice.

    Yields:
        `dict[str, str]`: `id`, `problem`, `reasoning`, `answer`, `reference`, and empty `verdict`, `comment`,
        `edited_reasoning` and `edited_answer` to be filled in.
    """
    total = sum(1 for _ in read_stage_rows(folder))
    some = max_rows is not None and max_rows < total
    chosen = set(random.Random(seed).sample(range(total), max_rows)) if some else None  # type: ignore[arg-type]
    for number, row in enumerate(read_stage_rows(folder)):
        if chosen is None or number in chosen:
            parsed = _parse(row)
            yield {
                "id": row_id(number, row),
                "problem": str(row.get("problem") or ""),
                "reasoning": parsed.reasoning or "",
                "answer": parsed.answer or "",
                "reference": str(row.get("solution") or ""),
                **dict.fromkeys(_ANSWERS, ""),
            }


def row_id(number: int, row: Mapping[str, Any]) -> str:
    """A row's place, and the beginning of the hash of its content: a row that was changed since is another one."""
    text = json.dumps(row, sort_keys=True, ensure_ascii=False)
    return f"{number}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def read_reviews(path: str | Path) -> dict[str, Review]:
    """
    Read verdicts from a file of JSON lines: an export that was filled in, or Argilla's.

    Raises:
        [`DataError`]: with every line that has no id, an id twice, no known verdict, several that differ, texts beside
            another verdict than `edit`, or none with it.
    """
    reviews: dict[str, Review] = {}
    problems = []
    for line, row in enumerate(read_jsonl(path), start=1):
        identifier = row.get("id")
        if not isinstance(identifier, str) or not identifier:
            problems.append(f"line {line}: has no id")
        elif identifier in reviews:
            problems.append(f"line {line}: id {identifier!r} stands in line {reviews[identifier].line}, too")
        else:
            texts = {name: _response(row, name, line, problems) for name in _ANSWERS}
            review = Review(line=line, **(texts | {"verdict": texts["verdict"].lower()}))
            reviews[identifier] = review
            problems += _review_problems(review)
    _refuse(path, problems)
    return reviews


def apply_reviews(
    folder: str | Path, reviews: Mapping[str, Review], unreviewed: Unreviewed = "refuse", source: str = "reviews"
) -> ReviewedRows:
    """
    The rows of a stage as their review leaves them.

    All is checked before a row is given: an edited text is parsed and verified as a sample is.

    Args:
        folder (`str` or `Path`):
            Of the stage that was reviewed.
        reviews (`Mapping[str, Review]`):
            By the rows' ids.
        unreviewed (`"refuse"`, `"keep"` or `"drop"`, *optional*, defaults to `"refuse"`):
            What to do with rows without a verdict.
        source (`str`, *optional*):
            The reviews' file, for messages.

    Raises:
        [`DataError`]: with every line about a row that is not there or was changed since, and every edit that is
            malformed or wrong; when rows have no verdict, unless they are to be kept or dropped; when nothing is left.
    """
    problems: list[str] = []
    counts: Counter[str] = Counter()
    left = dict(reviews)
    last = -1
    for last, row in enumerate(read_stage_rows(folder)):
        review = left.pop(row_id(last, row), None)
        counts[_fate(review, unreviewed)] += 1
        if review is not None and review.verdict == "edit":
            problems += [f"line {review.line}: {problem}" for problem in _edit_problems(row, review)]
    for identifier, review in left.items():
        number = identifier.partition("-")[0]
        there = number.isdecimal() and int(number) <= last
        reason = "was changed since it was exported" if there else f"is not in {folder}"
        problems.append(f"line {review.line}: row {identifier!r} {reason}; export again")
    if counts["unreviewed"]:
        problems.append(
            f"{counts['unreviewed']} rows have no verdict; give them one, or say --unreviewed keep or drop"
        )
    _refuse(source, problems)
    if not any(counts[name] for name in ("accepted", "edited", "unreviewed_kept")):
        raise DataError(f"{source}: no row is left of {last + 1}; look at what the reviewers say")
    return ReviewedRows(rows=_kept(folder, reviews, unreviewed), counts=counts)


def _kept(folder: str | Path, reviews: Mapping[str, Review], unreviewed: Unreviewed) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(read_stage_rows(folder)):
        review = reviews.get(row_id(number, row))
        fate = _fate(review, unreviewed)
        if fate == "edited" and review is not None:
            yield {**_edited(row, review), "review": "edited"}
        elif fate in ("accepted", "unreviewed_kept"):
            yield {**row, "review": fate.removesuffix("_kept")}


def _fate(review: Review | None, unreviewed: Unreviewed) -> str:
    """What becomes of a row, as the counts name it."""
    if review is not None and review.verdict:
        return {"accept": "accepted", "reject": "rejected", "edit": "edited"}[review.verdict]
    return {"refuse": "unreviewed", "keep": "unreviewed_kept", "drop": "unreviewed_dropped"}[unreviewed]


def _review_problems(review: Review) -> Iterator[str]:
    edited = bool(review.edited_reasoning or review.edited_answer)
    if review.verdict and review.verdict not in VERDICTS:
        yield f"line {review.line}: verdict {review.verdict!r} is none of {', '.join(VERDICTS)}"
    elif review.verdict == "edit" and not edited:
        yield f"line {review.line}: edit without an edited_reasoning or edited_answer"
    elif review.verdict != "edit" and edited:
        yield f"line {review.line}: an edited text beside the verdict {review.verdict!r}; write edit"


def _response(row: Mapping[str, Any], name: str, line: int, problems: list[str]) -> str:
    """What was answered to one question: in its own column, or in those of an Argilla export."""
    given = row.get(name)
    if given is None:
        given = row.get(f"{name}.responses")
        statuses = row.get(f"{name}.responses.status")
        if isinstance(given, list) and isinstance(statuses, list) and len(statuses) == len(given):
            given = [answer for answer, status in zip(given, statuses, strict=True) if status == "submitted"]
    answers = list(dict.fromkeys(given if isinstance(given, list) else [given]))
    texts = [str(answer).strip() for answer in answers if answer is not None and str(answer).strip()]
    if len(texts) > 1 and name != "comment":
        problems.append(f"line {line}: {name} is {' and '.join(map(repr, texts))}; leave one")
    return "\n".join(texts) if name == "comment" else (texts[0] if texts else "")


def _edit_problems(row: Mapping[str, Any], review: Review) -> Iterator[str]:
    parsed = _parse(_edited(row, review))
    if parsed.defects:
        yield f"the edited text is malformed: {parsed.defects[0]}"
        return
    [judgement] = judge_by_row([row], [parsed])
    if judgement is not None and judgement.verdict is not Verdict.CORRECT:
        yield f"the edited answer is {judgement.verdict.value}: {judgement.reason}"


def _edited(row: Mapping[str, Any], review: Review) -> dict[str, Any]:
    """The row with the response that the edited texts make."""
    parsed = _parse(row)
    response = join_response(
        review.edited_reasoning or parsed.reasoning or "", review.edited_answer or parsed.answer or ""
    )
    if "messages" in row:
        return {**row, "messages": [*row["messages"][:-1], {**row["messages"][-1], "content": response}]}
    begun = prefill_of(str(row["prompt"])).strip()
    return {**row, "completion": response.removeprefix(begun).lstrip() if begun else response}


def _parse(row: Mapping[str, Any]) -> ParsedCompletion:
    """
    The response of a row.

    Raises:
        [`DataError`]: when it has none.
    """
    messages = row.get("messages")
    if isinstance(messages, list) and messages:
        return ThinkParser().parse(str(messages[-1].get("content") or ""))
    if isinstance(row.get("completion"), str) and isinstance(row.get("prompt"), str):
        return ThinkParser().parse(row["completion"], row["prompt"])
    raise DataError(f"{ROW_FILE}: its rows hold neither messages nor prompt and completion; nothing to review")


def _refuse(source: str | Path, problems: list[str]) -> None:
    if not problems:
        return
    more = [f"and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
    raise DataError("\n".join(f"{source}: {problem}" for problem in [*problems[:SHOWN_PROBLEMS], *more]))
