"""What rejection sampling left: rows that are read from disk as they are asked for, and counts that add up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from trl_r1.data.rows import write_jsonl


if TYPE_CHECKING:
    from datasets import Dataset

OutputFormat = Literal["messages", "prompt_completion"]

ROW_FILE = "train.jsonl"
NOT_COPIED = ("prompt", "completion", "messages", "prompt_tail", "response_format")
FINGERPRINT_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMaker:
    """
    Makes the rows of the data set from the samples kept.

    Args:
        questions (`Sequence[Mapping[str, Any]]`):
            As they were asked.
        prompts (`Sequence[Prompt]`):
            As the teacher read them.
        output_format (`"messages"` or `"prompt_completion"`):
            Form of the rows.
        constants (`dict[str, Any]`):
            Columns that are the same in all rows.
        sources (`Sequence[tuple[str, int]]`, *optional*):
            Names of the data sets the questions are from, in order, with how many are from each.
    """

    questions: Sequence[Mapping[str, Any]]
    prompts: Sequence[Any]
    output_format: OutputFormat
    constants: dict[str, Any]
    sources: Sequence[tuple[str, int]] = ()

    def make(self, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """The row of one kept sample."""
        question = self.questions[outcome["prompt"]]
        own = {name: value for name, value in question.items() if name not in NOT_COPIED}
        provenance = {
            "sample_index": outcome["sample"],
            **self.constants,
            "sample_seed": outcome["seed"],
            "verified_by": outcome["verifier"],
            "completion_tokens": outcome["tokens"],
            "reasoning_tokens": outcome["reasoning_tokens"],
            "answer_tokens": outcome["answer_tokens"],
            "question_sha256": fingerprint_question(own),
        }
        if self.sources:
            provenance["question_source"] = self._source_of(outcome["prompt"])
        return {**self._content(question, outcome), **own, **provenance}

    def _content(self, question: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
        text: str = outcome["text"]
        if self.output_format == "messages":
            prompt = question["prompt"]
            asked = [{"role": "user", "content": question["problem"]}] if isinstance(prompt, str) else list(prompt)
            return {"messages": [*asked, {"role": "assistant", "content": text}]}
        prefilled = str(question.get("prompt_tail") or "").strip()  # what the prompt already holds of the response
        completion = text.removeprefix(prefilled).lstrip() if prefilled else text
        return {"prompt": self.prompts[outcome["prompt"]], "completion": completion}

    def _source_of(self, prompt: int) -> str | None:
        end = 0
        for name, rows in self.sources:
            end += rows
            if prompt < end:
                return name
        return None


def fingerprint_question(columns: Mapping[str, Any]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a question's columns, written as JSON with sorted keys."""
    text = json.dumps(columns, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:FINGERPRINT_DIGITS]


class KeptRows(Sequence[dict[str, Any]]):
    """
    The rows kept, each made when it is asked for. Equal to a list of the same rows.

    Args:
        outcomes ([`~datasets.Dataset`]):
            The samples kept, in order.
        maker ([`RowMaker`]):
            Makes a row of each.
        holder (*optional*):
            What must live as long as the rows: a temporary folder.
    """

    def __init__(self, outcomes: Dataset, maker: RowMaker, holder: Any = None) -> None:
        self._outcomes, self._maker, self._holder = outcomes, maker, holder

    def __len__(self) -> int:
        return len(self._outcomes)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for outcome in self._outcomes:
            yield self._maker.make(outcome)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]  # raises IndexError, as a list would
        return self._maker.make(self._outcomes[number])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return NotImplemented if not isinstance(other, Sequence) else False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of a list


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionResult:
    """
    What rejection sampling left.

    Args:
        rows (`Sequence[dict[str, Any]]`):
            `messages`, or `prompt` and `completion`; the question's own columns; and where the row comes from:
            `sample_index`, `teacher`, `temperature`, `top_p`, `sample_seed`, `verified_by`, `completion_tokens` (as
            sampled, the end token included), `reasoning_tokens` and `answer_tokens` (of the row's text),
            `question_sha256`, and with several steps `rewritten_by`. Read from disk as they are asked for.
        num_prompts, num_samples (`int`):
            Questions asked and completions drawn.
        num_solved (`int`):
            Different problems with at least one kept row.
        dropped (`dict[str, int]`):
            Samples dropped, by reason. `len(rows) + sum(dropped.values()) == num_samples`.
        hashes (`dict[str, str]`, *optional*):
            SHA-256 of what was told to models or run: instructions of the judge, source of `refine`.
    """

    rows: Sequence[dict[str, Any]]
    num_prompts: int
    num_samples: int
    num_solved: int
    dropped: dict[str, int]
    hashes: dict[str, str] = field(default_factory=dict)

    def write(self, folder: str | Path) -> Path:
        """Write the rows to `folder/train.jsonl`, atomically. Returns its path."""
        path = Path(folder) / ROW_FILE
        write_jsonl(path, self.rows)
        return path
