"""The answers to a suite's questions, drawn and judged batch by batch in a folder, whatever is killed when."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from trl_r1.data.judging import JudgedSample, judge_parsed, response_text, route_of
from trl_r1.evaluation.suites import SuiteVerifier
from trl_r1.generation import Completion, GenerationEngine, GenerationSummary, SamplingParameters
from trl_r1.generation.jobs import BatchStep, GenerationJob
from trl_r1.generation.jobs.steps import Rows
from trl_r1.generation.types import Prompt
from trl_r1.rewards.completions import parse_completions
from trl_r1.stage_record import collect_versions
from trl_r1.verifiers import Judgement, Verdict


VERDICTS: Final = pa.schema(
    [("verdict", pa.string()), ("reason", pa.string()), ("decided_by", pa.string())]  # null: nothing to judge by
)


class JudgedJob:
    """
    Answers to questions, and what the verifier says of each.

    Samples belong to prompts, parameters and engine; another of these in the same folder is refused, by name. Verdicts
    belong to questions, verifier and versions too: those of another are kept apart.

    Args:
        folder (`Path`):
            Where samples and verdicts are kept.
        rows (`Sequence[Mapping[str, Any]]`):
            The questions.
        prompts (`Sequence[Prompt]`), prefills (`Sequence[str]`):
            What the policy reads of each, and what of it is put in the policy's mouth.
        params ([`SamplingParameters`]), engine ([`GenerationEngine`]):
            How it answers.
        verifier (`str`):
            Who judges; see [`~trl_r1.data.judging.judge_parsed`].
    """

    def __init__(
        self,
        folder: Path,
        rows: Sequence[Mapping[str, Any]],
        prompts: Sequence[Prompt],
        prefills: Sequence[str],
        params: SamplingParameters,
        engine: GenerationEngine,
        verifier: SuiteVerifier,
    ) -> None:
        self.folder, self.rows, self.prompts, self.prefills = folder, rows, prompts, prefills
        self.params, self.engine, self.verifier = params, engine, verifier
        self._job: GenerationJob
        self._verdicts: BatchStep

    def run(
        self, rank: int = 0, world_size: int = 1, *, progress: bool = False, progress_file: Path | None = None
    ) -> None:
        """
        Draw and judge this process's share; the first process returns when the work of all is there.

        Raises:
            [`GenerationError`]: when samples are missing, with their number.
            [`R1Error`]: when the folder is of another job, or what a verifier needs is not there.
        """
        self._job = GenerationJob(
            self.folder, self.prompts, self.params, self.engine, rank=rank, world_size=world_size
        )
        self._job.run(progress=progress, progress_file=progress_file)
        plan = self._job.plan
        self._verdicts = BatchStep(
            self.folder,
            "verdicts",
            VERDICTS,
            len(plan),
            rank=rank,
            world_size=world_size,
            identity=self._identity(),
        )
        self._verdicts.run(
            self._judge, size=lambda index: len(plan[index].rows), progress=progress, progress_file=progress_file
        )

    def samples(self) -> list[JudgedSample]:
        """
        Every answer with its verdict, by question and then by sample, when all processes have run. Completions have
        the number of their tokens, not the tokens.
        """
        return list(self._samples())

    def summary(self) -> GenerationSummary:
        """What was drawn, over all processes and launches."""
        return self._job.summary()

    def forget_verdicts(self) -> None:
        """Delete the verdicts, so that they are made again."""
        shutil.rmtree(self._verdicts.folder)

    def _samples(self) -> Iterator[JudgedSample]:
        verdicts, starts = self._verdicts.dataset().to_list(), self._job.starts()
        for number, completions in self._job.groups():
            row, prefill = self.rows[number], self.prefills[number]
            texts = [response_text(row, prefill, made.text) for made in completions]
            parsed = parse_completions(texts, None, [row.get("response_format")] * len(texts))
            for index, (text, read, made) in enumerate(zip(texts, parsed, completions, strict=True)):
                judgement = _judgement(verdicts[starts[number] + index])
                yield JudgedSample(
                    row=row,
                    sample_index=index,
                    prefill=prefill,
                    text=text,
                    parsed=read,
                    judgement=judgement,
                    completion=_without_tokens(made),
                    verifier=None if judgement is None else self._rule(row),
                )

    def _judge(self, index: int) -> Rows:
        """The verdicts of a batch."""
        batch = self._job.samples(index)
        rows = [self.rows[place.prompt] for place, _ in batch]
        texts = [
            response_text(self.rows[place.prompt], self.prefills[place.prompt], made.text) for place, made in batch
        ]
        parsed = parse_completions(texts, None, [row.get("response_format") for row in rows])
        return [_verdict_row(found) for found in judge_parsed(rows, parsed, self.verifier)]

    def _rule(self, row: Mapping[str, Any]) -> str | None:
        return route_of(row) if self.verifier == "auto" else self.verifier

    def _identity(self) -> dict[str, Any]:
        """What decides the verdicts beside the samples."""
        return {
            "verifier": self.verifier,
            "rows_sha256": hash_rows(self.rows),
            "prefills_sha256": hash_rows(self.prefills),
            "versions": collect_versions(),
        }


def hash_rows(values: Iterable[Any]) -> str:
    """A hash of values as JSON has them, one after the other: the tests of a code benchmark are large."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value, sort_keys=True, default=str).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _verdict_row(judgement: Judgement | None) -> dict[str, Any]:
    if judgement is None:
        return dict.fromkeys(VERDICTS.names)
    return {"verdict": judgement.verdict.value, "reason": judgement.reason, "decided_by": judgement.decided_by}


def _judgement(row: Mapping[str, Any]) -> Judgement | None:
    if row["verdict"] is None:
        return None
    return Judgement(Verdict(row["verdict"]), row["reason"], row["decided_by"])


def _without_tokens(made: Completion) -> Completion:
    """A completion with their number alone: of a whole benchmark they would fill the memory."""
    return dataclasses.replace(made, token_ids=(), logprobs=None, usage_tokens=made.num_tokens)
