"""A generation as a job in a folder: the samples of one undisturbed run, whatever happens in between."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from trl_r1.errors import DataError, GenerationError, R1Error
from trl_r1.generation.calls import plan_generation
from trl_r1.generation.jobs.files import whole_file
from trl_r1.generation.jobs.locking import hold_share
from trl_r1.generation.jobs.steps import BatchStep
from trl_r1.generation.plan import PlannedBatch, SampleRow
from trl_r1.generation.types import Completion, GenerationEngine, GenerationSummary, Prompt, SamplingParameters
from trl_r1.stage_record import hash_json, plain_json


if TYPE_CHECKING:
    from datasets import Dataset

FORMAT: Final = 1
JOB_NAME: Final = "job.json"
SCHEMA: Final = pa.schema(
    [
        ("prompt", pa.int64()),
        ("sample", pa.int64()),
        ("text", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("num_tokens", pa.int64()),
        ("finish_reason", pa.string()),
        ("logprobs", pa.list_(pa.float64())),
        ("seed", pa.int64()),
        ("usage_tokens", pa.int64()),
    ]
)

logger = logging.getLogger(__name__)


class GenerationJob:
    """
    Samples of an engine that are kept batch by batch in a folder.

    The plan depends on prompts, parameters and engine alone, so the samples are those that `engine.generate` gives:
    after kills, and with any number of processes.

    Args:
        folder (`str` or `Path`):
            The job's, made if needed. `job.json` in it says what decides the samples.
        prompts (`Sequence[Prompt]`):
            Texts or chats.
        params ([`SamplingParameters`]):
            How to sample.
        engine ([`GenerationEngine`]):
            What to sample from.
        rank, world_size (`int`, *optional*):
            This process, and the number of all; see [`rank_and_world`].

    Raises:
        [`R1Error`]: when the folder is of another job, naming each field that differs, or another launch works there;
            or a prompt does not fit the engine.

    Example:

    ```python
    job = GenerationJob("outputs/samples/.work", prompts, SamplingParameters(num_samples=4), engine)
    job.run(progress=True)
    for prompt, completions in job.groups():
        ...
    ```
    """

    def __init__(
        self,
        folder: str | Path,
        prompts: Sequence[Prompt],
        params: SamplingParameters,
        engine: GenerationEngine,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not prompts:
            raise DataError("prompts: there is none to sample; give a dataset with rows")
        self.folder, self.prompts, self.params, self.engine = Path(folder), prompts, params, engine
        self.rank, self.world_size = rank, world_size
        self._lengths, self.plan = plan_generation(engine, prompts, params)
        hold_share(self.folder, rank)
        _claim(self.folder, self._description())
        self.step = BatchStep(self.folder, "samples", SCHEMA, len(self.plan), rank=rank, world_size=world_size)

    def run(self, progress: bool = False, progress_file: Path | None = None) -> None:
        """Draw this process's missing batches. Arguments and errors as of [`BatchStep.run`]."""
        self.step.run(
            self._draw,
            size=lambda index: len(self.plan[index].rows),
            tokens=lambda rows: sum(row["num_tokens"] for row in rows),
            progress=progress,
            progress_file=progress_file,
        )

    def wait(self) -> None:
        """Wait until the batches of all processes are there. Errors as of [`BatchStep.wait`]."""
        self.step.wait()

    def samples(self, index: int) -> list[tuple[SampleRow, Completion]]:
        """
        What a batch drew.

        Raises:
            [`DataError`]: when it is not there, damaged or of another job.
        """
        return [(SampleRow(row["prompt"], row["sample"]), _completion(row)) for row in self.step.read(index)]

    def groups(self) -> Iterator[tuple[int, list[Completion]]]:
        """The number of each prompt with all of its completions, in prompt order. Reads no more than it gives."""
        samples = self.dataset().with_format("arrow")
        for prompt, start in enumerate(self.starts()):
            rows = samples[start : start + self.params.num_samples].to_pylist()
            yield prompt, [_completion(row) for row in rows]

    def dataset(self) -> Dataset:
        """Every sample as a row, in the order of the plan, memory mapped; `prompt` is the prompt's number."""
        return self.step.dataset()

    def summary(self) -> GenerationSummary:
        """
        Counts of all samples. `seconds` is the time that batches took, over all processes and launches: tokens a
        second are those of one process.
        """
        number = tokens = truncated = 0
        for index in range(len(self.plan)):
            table = self.step.columns(index, "num_tokens", "finish_reason")
            number += table.num_rows
            tokens += sum(table["num_tokens"].to_pylist())
            truncated += table["finish_reason"].to_pylist().count("length")
        return GenerationSummary(
            num_prompts=len(self.prompts),
            num_completions=number,
            num_prompt_tokens=None if self.engine.tokenizer is None else sum(self._lengths),
            num_tokens=tokens,
            num_truncated=truncated,
            seconds=self.step.seconds(),
        )

    def _draw(self, index: int) -> list[dict[str, Any]]:
        batch: PlannedBatch = self.plan[index]
        completions = self.engine.generate_batch(self.prompts, batch.rows, self.params, batch.seed)
        if len(completions) != len(batch.rows):
            missing = len(batch.rows) - len(completions)
            raise GenerationError(
                abs(missing), [f"the engine gave {len(completions)} samples for {len(batch.rows)}"], len(batch.rows)
            )
        return [_row(row, completion) for row, completion in zip(batch.rows, completions, strict=True)]

    @property
    def num_samples(self) -> int:
        """Samples in all."""
        return len(self.prompts) * self.params.num_samples

    def starts(self) -> list[int]:
        """The row of [`dataset`] at which each prompt's samples start: in the plan they follow one another."""
        starts, position = [0] * len(self.prompts), 0
        for batch in self.plan:
            for row in batch.rows:
                if row.sample == 0:
                    starts[row.prompt] = position
                position += 1
        return starts

    def _description(self) -> dict[str, Any]:
        """What decides the samples."""
        digest = hashlib.sha256()
        for prompt in self.prompts:
            digest.update(json.dumps(plain_json(prompt), sort_keys=True).encode())
            digest.update(b"\n")
        description = {
            "format": FORMAT,
            "prompts": {"number": len(self.prompts), "sha256": digest.hexdigest()},
            "lengths_sha256": hash_json(self._lengths),
            "params": dataclasses.asdict(self.params),
            "engine": self.engine.identity,
        }
        plain: dict[str, Any] = plain_json(description)
        return plain


def _claim(folder: Path, description: Mapping[str, Any]) -> None:
    """
    Make a folder this job's, unless it is.

    Raises:
        [`R1Error`]: when it is another's.
    """
    path = folder / JOB_NAME
    if not path.exists():
        with whole_file(path) as partial:  # other processes may write the same at the same time
            partial.write_text(json.dumps(description, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise R1Error(f"{path}: cannot be read ({error}); delete {folder} to sample anew") from error
    there, now = _flat(found), _flat(description)
    differing = [
        f"{name} is {now.get(name, 'not set')!r}, there {there.get(name, 'not set')!r}"
        for name in {**there, **now}
        if there.get(name, now) != now.get(name, there)
    ]
    if differing:
        raise R1Error(
            f"{folder}: holds samples of another job: {'; '.join(differing)}; set these back to go on with it, delete "
            "the folder to sample anew, or choose another output_dir"
        )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """A nested mapping's values by dotted name."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{name}" if prefix else str(name))
    return flat


def _row(row: SampleRow, completion: Completion) -> dict[str, Any]:
    return {
        "prompt": row.prompt,
        "sample": row.sample,
        "text": _encodable(completion.text),
        "token_ids": list(completion.token_ids),
        "num_tokens": completion.num_tokens,
        "finish_reason": completion.finish_reason,
        "logprobs": None if completion.logprobs is None else list(completion.logprobs),
        "seed": completion.seed,
        "usage_tokens": completion.usage_tokens,
    }


def _completion(row: Mapping[str, Any]) -> Completion:
    return Completion(
        text=row["text"],
        token_ids=tuple(row["token_ids"]),
        finish_reason=row["finish_reason"],
        logprobs=None if row["logprobs"] is None else tuple(row["logprobs"]),
        seed=row["seed"],
        usage_tokens=row["usage_tokens"],
    )


def _encodable(text: str) -> str:
    """A text as a file can hold it. Half a surrogate pair, which a server may send, is U+FFFD, as in tokenizers."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
