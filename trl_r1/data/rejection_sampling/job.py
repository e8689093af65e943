"""
Sample a teacher, verify, keep what is right and readable.

Every sample ends as a kept row or under one reason in the counts, so that the two add up. The work is a chain of steps
over the batches of one generation: samples, verdicts, and where responses are written anew, what became of each and
its second verdict. Each batch of each step is kept when it is done, so a killed job goes on where it was.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trl_r1.data.filters import RejectionFilters
from trl_r1.data.judging import JUDGE
from trl_r1.data.rejection_sampling.judge import ModelJudge
from trl_r1.data.rejection_sampling.merging import merge_outcomes
from trl_r1.data.rejection_sampling.result import KeptRows, OutputFormat, RejectionResult, RowMaker
from trl_r1.data.rejection_sampling.rewriting import FunctionRewriting, Refine, Rewriting
from trl_r1.data.rejection_sampling.steps import OUTCOMES, REWRITTEN, Judging, Revising
from trl_r1.data.rendering import render_text
from trl_r1.errors import DataError
from trl_r1.generation import GenerationEngine, SamplingParameters
from trl_r1.generation.jobs import BatchStep, GenerationJob
from trl_r1.stage_record import collect_versions, hash_json


VERIFIED_BY = ("trl_r1", "math-verify", "reasoning-gym")

logger = logging.getLogger(__name__)


def rejection_sample(
    engine: GenerationEngine,
    rows: Iterable[Mapping[str, Any]],
    params: SamplingParameters,
    filters: RejectionFilters | None = None,
    *,
    refine: Refine | Rewriting | None = None,
    judge: ModelJudge | None = None,
    output_format: OutputFormat = "messages",
    teacher: str | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    sources: Sequence[tuple[str, int]] = (),
    folder: str | Path | None = None,
    progress: bool = False,
) -> RejectionResult:
    """
    Sample every question `params.num_samples` times and keep the samples that pass.

    Args:
        engine ([`GenerationEngine`]):
            The teacher.
        rows (`Iterable[Mapping[str, Any]]`):
            Questions as [`load_prompts`] prepares them, a [`~datasets.Dataset`] or a list. Their columns say what
            judges the answers, see [`~trl_r1.data.judging.route_of`].
        params ([`SamplingParameters`]):
            How to sample.
        filters ([`RejectionFilters`], *optional*):
            What to keep.
        refine (`Callable` or [`Rewriting`], *optional*):
            Rewrites each kept sample. The result is parsed and verified again: it must be well formed, and right
            where the sample was.
        judge ([`ModelJudge`], *optional*):
            Judges what no rule can.
        output_format (`"messages"` or `"prompt_completion"`, *optional*, defaults to `"messages"`):
            Chat rows, or the teacher's rendered prompt with the completion.
        teacher (`str`, *optional*):
            Name noted in every row.
        chat_template_kwargs (`Mapping[str, Any]`, *optional*):
            For the teacher's chat template.
        sources (`Sequence[tuple[str, int]]`, *optional*):
            Names of the data sets the questions are from, in order, with how many are from each; noted in every row.
        folder (`str` or `Path`, *optional*):
            Where the work is kept. The same call with the same folder goes on with what is there. By default a
            temporary folder, which lives as long as the result.
        progress (`bool`, *optional*, defaults to `False`):
            Whether to draw a progress bar.

    Returns:
        [`RejectionResult`]

    Raises:
        [`DataError`]: when there is no question, no sample passes, or `refine` fails.
        [`GenerationError`]: when samples are missing, or replies of the judge or of a rewriting model.
    """
    job = RejectionJob(
        engine,
        rows,
        params,
        filters,
        refine=refine,
        judge=judge,
        output_format=output_format,
        teacher=teacher,
        chat_template_kwargs=chat_template_kwargs,
        sources=sources,
        folder=folder,
    )
    job.run(progress)
    return job.result()


class RejectionJob:
    """
    Rejection sampling as a job that several processes share and that goes on after a kill.

    Every process calls [`run`]; the first one then calls [`result`]. Arguments are those of [`rejection_sample`];
    `rank` and `world_size` are this process and the number of all, which need a `folder`.
    """

    def __init__(
        self,
        engine: GenerationEngine,
        rows: Iterable[Mapping[str, Any]],
        params: SamplingParameters,
        filters: RejectionFilters | None = None,
        *,
        refine: Refine | Rewriting | None = None,
        judge: ModelJudge | None = None,
        output_format: OutputFormat = "messages",
        teacher: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        sources: Sequence[tuple[str, int]] = (),
        folder: str | Path | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.filters, self.params = filters or RejectionFilters(), params
        questions = _indexable(rows)
        _check_questions(questions, self.filters, judge)
        self._holder = None if folder else tempfile.TemporaryDirectory(prefix="trl_r1_")
        self.folder = Path(folder or self._holder.name)  # type: ignore[union-attr]
        prompts = [_shown(row["prompt"], engine, chat_template_kwargs) for row in questions]
        place = {"rank": rank, "world_size": world_size}
        self.generation = GenerationJob(self.folder, prompts, params, engine, **place)
        rewriting: Rewriting | None = FunctionRewriting(refine) if callable(refine) else refine
        self._judging = Judging(
            questions=questions,
            filters=self.filters,
            tokenizer=engine.tokenizer,
            judge=judge,
            replies=self.folder / "replies",
        )
        self._revising = (
            None
            if rewriting is None
            else Revising(judging=self._judging, rewriting=rewriting, output_format=output_format)
        )
        self._steps = _Steps(self.generation, self._judging, self._revising, questions, place)
        constants: dict[str, Any] = {"teacher": teacher, "temperature": params.temperature, "top_p": params.top_p}
        if rewriting:
            constants["rewritten_by"] = rewriting.author
        self._maker = RowMaker(
            questions=questions,
            prompts=prompts,
            output_format=output_format,
            constants=constants,
            sources=sources,
        )
        self._hashes = _hashes(judge, rewriting)

    def run(self, progress: bool = False, progress_file: Path | None = None) -> None:
        """
        Do this process's share of all steps.

        Raises:
            [`GenerationError`]: when samples or replies could not be had; what could is kept.
        """
        size = len(self.generation.plan)
        logger.info("%d prompts, %d samples in %d batches", len(self._maker.prompts), self.num_samples, size)
        self.generation.run(progress, progress_file)
        self._steps.run(progress, progress_file)

    def result(self) -> RejectionResult:
        """
        What is kept, when all processes are done. For the first process.

        Raises:
            [`DataError`]: when nothing is.
        """
        self.generation.wait()
        outcomes = self._steps.finish()
        merged = merge_outcomes(outcomes, self.filters, self.params.seed)
        counts = merged.dropped
        if not merged.rows:
            raise DataError(
                f"rejection sampling: none of {self.num_samples} samples passed ({_describe(counts)}); "
                "look at the teacher's samples, or ask less of them"
            )
        assert len(merged.rows) + counts.total() == self.num_samples, (len(merged.rows), counts, self.num_samples)
        logger.info("kept %d of %d samples; dropped: %s", len(merged.rows), self.num_samples, _describe(counts))
        return RejectionResult(
            rows=KeptRows(outcomes.select(merged.rows), self._maker, self._holder),
            num_prompts=len(self._maker.prompts),
            num_samples=self.num_samples,
            num_solved=merged.num_solved,
            dropped=dict(counts.most_common()),
            hashes=self._hashes,
        )

    @property
    def num_samples(self) -> int:
        """Completions drawn in all."""
        return len(self._maker.prompts) * self.params.num_samples


class _Steps:
    """The steps after the samples. What decides a step's results is in its folder's name: filters may be changed."""

    def __init__(
        self,
        generation: GenerationJob,
        judging: Judging,
        revising: Revising | None,
        questions: Sequence[Mapping[str, Any]],
        place: dict[str, int],
    ) -> None:
        self.generation, self.judging, self.revising = generation, judging, revising
        batches = len(generation.plan)
        identity: dict[str, Any] = {
            "versions": _verifier_versions(),
            "filters": _sample_filters(judging.filters),
            "judge": judging.judge.identity if judging.judge else None,
            "questions": hash_questions(questions),
        }
        self.judged = BatchStep(
            generation.folder,
            "verdicts",
            OUTCOMES,
            batches,
            identity=identity,
            **place,  # type: ignore[arg-type]
        )
        if revising is not None:
            identity = {**identity, **revising.rewriting.identity, "output_format": revising.output_format}
            self.written = BatchStep(
                generation.folder,
                "rewriting",
                REWRITTEN,
                batches,
                identity=identity,
                **place,  # type: ignore[arg-type]
            )
            self.verified = BatchStep(
                generation.folder,
                "second_verdicts",
                OUTCOMES,
                batches,
                identity=identity,
                **place,  # type: ignore[arg-type]
            )

    def run(self, progress: bool, progress_file: Path | None) -> None:
        """This process's batches, step by step."""
        samples = self.generation.samples
        self._run(self.judged, lambda i: self.judging.work(i, samples(i)), progress, progress_file)
        revising = self.revising
        if revising is not None:
            read, written = self.judged.read, self.written.read
            self._run(self.written, lambda i: revising.write(i, samples(i), read(i)), progress, progress_file)
            self._run(
                self.verified,
                lambda i: revising.verify(i, samples(i), read(i), written(i)),
                progress,
                progress_file,
            )

    def finish(self) -> Any:
        """What became of every sample, of all processes."""
        last = self.judged if self.revising is None else self.verified
        last.wait()
        return last.dataset()

    def _run(
        self, step: BatchStep, work: Callable[[int], list[dict[str, Any]]], progress: bool, file: Path | None
    ) -> None:
        plan = self.generation.plan
        step.run(work, size=lambda index: len(plan[index].rows), progress=progress, progress_file=file)


def hash_questions(questions: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 of what verdicts depend on: all columns of the questions, read one by one."""
    import hashlib

    digest = hashlib.sha256()
    for row in questions:
        digest.update(hash_json(dict(row)).encode())
    return digest.hexdigest()


def _verifier_versions() -> dict[str, str]:
    """Versions of the packages that a rule's verdict depends on."""
    return {name: version for name, version in collect_versions().items() if name in VERIFIED_BY}


def _sample_filters(filters: RejectionFilters) -> dict[str, Any]:
    """The filters that look at one sample; the limits work on what all of them left."""
    limits = ("max_kept_per_prompt", "max_rows", "max_rows_per_domain", "domain_max_rows")
    return {name: value for name, value in dataclasses.asdict(filters).items() if name not in limits}


def _indexable(rows: Iterable[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Rows that can be read by number: a `Dataset` as it is, from disk."""
    from datasets import Dataset

    return rows if isinstance(rows, Dataset | list | tuple) else list(rows)  # type: ignore[return-value]


def _check_questions(questions: Sequence[Mapping[str, Any]], filters: RejectionFilters, judge: Any) -> None:
    """Refuse, before anything is sampled, what could only fail after."""
    if not len(questions):
        raise DataError("dataset: no question to sample; give a dataset with rows")
    domains, judged = Counter[Any](), 0
    for row in questions:
        domains[row.get(filters.domain_column)] += 1
        judged += row.get("reward_type") == JUDGE
    if judged and judge is None:
        raise DataError(f"judge_model: {judged} rows are of reward_type {JUDGE!r}; name the model that judges them")
    if filters.max_rows_per_domain is None and not filters.domain_max_rows:
        return
    if set(domains) == {None}:
        raise DataError(
            f"dataset_domain_column: the rows have no column {filters.domain_column!r} to balance by; "
            "name theirs, or leave max_rows_per_domain and domain_max_rows out"
        )
    there = {str(domain) for domain in domains if domain is not None}
    for name in filters.domain_max_rows or {}:
        if name not in there:
            raise DataError(f"domain_max_rows: no row is of domain {name!r}; there are {', '.join(sorted(there))}")


def _shown(prompt: Any, engine: GenerationEngine, chat_template_kwargs: Mapping[str, Any] | None) -> Any:
    """What the engine is given: text, or a chat where only the server has the template."""
    if engine.tokenizer is None:
        return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]
    return render_text(prompt, engine.tokenizer, chat_template_kwargs)


def _hashes(judge: ModelJudge | None, rewriting: Rewriting | None) -> dict[str, str]:
    hashes = {"judge_instructions": judge.instructions_sha256} if judge else {}
    if rewriting is not None:
        sha256 = rewriting.identity.get("sha256")
        hashes["refine" if rewriting.endpoint is None else "rewrite_instructions"] = str(sha256)
    return hashes


def _describe(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in counts.most_common()) or "nothing"
