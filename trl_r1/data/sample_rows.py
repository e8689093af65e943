"""Every sample as a row of a data set: question, completion, what the parser and the verifier make of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from trl_r1.data.judging import judge_by_row, response_text, route_of
from trl_r1.errors import DataError
from trl_r1.generation import Completion
from trl_r1.generation.jobs import BatchStep, GenerationJob
from trl_r1.generation.jobs.files import whole_file
from trl_r1.generation.plan import SampleRow
from trl_r1.rewards.completions import parse_completions


if TYPE_CHECKING:
    from datasets import Dataset, Features

PARSED: Final = pa.schema(
    [
        ("reasoning", pa.string()),
        ("answer", pa.string()),
        ("defects", pa.list_(pa.string())),  # of the format; none when it is well formed
        ("verdict", pa.string()),  # none where the question has no reference answer
        ("verified_by", pa.string()),  # the rule that gave the verdict
    ]
)
# Columns of a row beside the question's own; by the name that a job's samples have for them.
DRAWN: Final = {
    "text": "completion",
    "finish_reason": "finish_reason",
    "num_tokens": "completion_tokens",
    "sample": "sample_index",
    "seed": "sample_seed",
}
TOKENS: Final = {"token_ids": "token_ids", "logprobs": "logprobs"}
RENAMED: Final = "question_{}"  # a question's own column that has the name of one of ours
ROWS_AT_ONCE: Final = 1000
ROWS_PER_FILE: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCounts:
    """What the rows say: verdicts by name, and how many are malformed."""

    verdicts: dict[str, int]
    malformed: int


class SampleRows:
    """
    The rows of a finished job, each made of its question, its sample, and what parser and verifier say.

    Args:
        job ([`GenerationJob`]):
            Whose samples they are.
        questions ([`~datasets.Dataset`]):
            As [`load_prompts`] prepared them, one a prompt of the job.
        verify (`bool`, *optional*, defaults to `True`):
            Whether to verify answers, by the rule each row's columns ask for.
    """

    def __init__(self, job: GenerationJob, questions: Dataset, *, verify: bool = True) -> None:
        self.job, self.questions, self.verify = job, questions, verify
        self._step = BatchStep(
            job.folder,
            "parsed",
            PARSED,
            len(job.plan),
            rank=job.rank,
            world_size=job.world_size,
            identity={"verify": verify},
        )

    def run(self, progress: bool = False, progress_file: Path | None = None) -> None:
        """Parse and verify this process's batches. Arguments and errors as of [`BatchStep.run`]."""
        self._step.run(
            lambda index: self._judge(self.job.samples(index)),
            size=lambda index: len(self.job.plan[index].rows),
            progress=progress,
            progress_file=progress_file,
        )

    def write(self, folder: str | Path, rows_per_file: int = ROWS_PER_FILE) -> list[Path]:
        """
        Write the rows as `train-00000-of-0000N.parquet`, by question and then by sample. For the first process.

        Args:
            folder (`str` or `Path`):
                Where to; emptied of other files of rows.
            rows_per_file (`int`, *optional*, defaults to `100_000`):
                Largest number of rows in a file.

        Returns:
            `list[Path]`: the files.
        """
        folder, total = Path(folder), self.job.num_samples
        folder.mkdir(parents=True, exist_ok=True)
        number = max(1, -(-total // rows_per_file))
        paths = [folder / f"train-{index:05}-of-{number:05}.parquet" for index in range(number)]
        for stale in set(folder.glob("*.parquet")) - set(paths):
            stale.unlink()
        schema = self.features().arrow_schema
        for index, path in enumerate(paths):
            with whole_file(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
                for table in self._tables(index * rows_per_file, min(total, (index + 1) * rows_per_file)):
                    writer.write_table(table.cast(schema))
        return paths

    def features(self) -> Features:
        """Columns of the rows, and their types."""
        from datasets import Features

        samples, parsed = self.job.dataset().features, self._step.dataset().features
        ours = {name: samples[source] for source, name in self._drawn().items()} | dict(parsed)
        own = {self._own_name(name): kind for name, kind in self.questions.features.items()}
        return Features({**own, **ours})

    def counts(self) -> SampleCounts:
        """Count verdicts and malformed completions."""
        verdicts: Counter[str] = Counter()
        malformed = 0
        for index in range(len(self.job.plan)):
            table = self._step.columns(index, "verdict", "defects")
            verdicts.update(verdict or "none" for verdict in table["verdict"].to_pylist())
            malformed += sum(bool(defects) for defects in table["defects"].to_pylist())
        return SampleCounts(verdicts=dict(verdicts.most_common()), malformed=malformed)

    def _judge(self, batch: Sequence[tuple[SampleRow, Completion]]) -> list[dict[str, Any]]:
        numbers = list(dict.fromkeys(row.prompt for row, _ in batch))
        by_number: Mapping[int, Any] = {number: self.questions[number] for number in numbers}
        rows = [by_number[row.prompt] for row, _ in batch]
        texts = [response_text(row, "", made.text) for row, (_, made) in zip(rows, batch, strict=True)]
        parsed = parse_completions(texts, None, [row.get("response_format") for row in rows])
        found = judge_by_row(rows, parsed) if self.verify else [None] * len(rows)
        return [
            {
                "reasoning": read.reasoning,
                "answer": read.answer,
                "defects": list(read.defects),
                "verdict": judgement.verdict.value if judgement else None,
                "verified_by": route_of(row) if judgement else None,
            }
            for row, read, judgement in zip(rows, parsed, found, strict=True)
        ]

    def _drawn(self) -> dict[str, str]:
        return {**DRAWN, **(TOKENS if self.job.params.logprobs else {})}

    def _own_name(self, name: str) -> str:
        """A question's own column, under another name where a sample has one of that name."""
        taken = {*self._drawn().values(), *PARSED.names}
        free = RENAMED.format(name) if name in taken else name
        if free != name and free in self.questions.column_names:
            raise DataError(
                f"dataset: column {name!r} has the name of one of a sample's, and {free!r} is there; rename it"
            )
        return free

    def _tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """The rows in order, as many at once as fit into memory easily."""
        samples, parsed, questions = (
            dataset.with_format("arrow") for dataset in (self.job.dataset(), self._step.dataset(), self.questions)
        )
        size, starts = self.job.params.num_samples, self.job.starts()
        for first in range(start, end, ROWS_AT_ONCE):
            numbers = range(first, min(end, first + ROWS_AT_ONCE))
            places = [starts[number // size] + number % size for number in numbers]
            drawn, read = samples[places], parsed[places]
            asked = questions[[number // size for number in numbers]]
            columns = {self._own_name(name): asked[name] for name in asked.column_names}
            columns |= {name: drawn[source] for source, name in self._drawn().items()}
            columns |= {name: read[name] for name in read.column_names}
            yield pa.table(columns)
