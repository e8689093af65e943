"""Examples of rewriting that people made: the paper's annotators first wrote some, which then showed a model how."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from trl_r1.data.rows import read_jsonl
from trl_r1.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteExample:
    """
    One sample as R1-Zero wrote it, and as a person wrote it anew.

    Args:
        problem (`str`):
            The question.
        original (`str`):
            The chain of thought as sampled.
        reasoning (`str`):
            The same, told well.
        summary (`str`):
            The solution as a reader is shown it.
    """

    problem: str
    original: str
    reasoning: str
    summary: str


def read_examples(path: str | Path) -> list[RewriteExample]:
    """
    Read examples from a file of JSON lines.

    Raises:
        [`DataError`]: naming the line that lacks a text, or the file when it has none.
    """
    names = [field.name for field in dataclasses.fields(RewriteExample)]
    examples = []
    for number, row in enumerate(read_jsonl(path), start=1):
        for name in names:
            if not isinstance(row.get(name), str) or not row[name].strip():
                raise DataError(f"rewrite_examples: {path}: line {number} has no text in {name!r}; write it")
        examples.append(RewriteExample(**{name: row[name] for name in names}))
    if not examples:
        raise DataError(f"rewrite_examples: {path} holds no example; leave the field out, or write some")
    return examples
