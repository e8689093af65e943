"""
Asking a checkpoint a suite of questions, and the record that is left.

The parser and the verifier are those of training. Every answer is kept with its verdict, and the record freezes all
that decides a number: questions, words around them, template, sampling, seed, engine, weights, verifier, versions.

Answers and verdicts are kept batch by batch in `.work` below the output folder. Whatever is killed when, the same call
goes on from there, and leaves the record and the files of an undisturbed one. What other settings left there is
refused or made anew, never mixed in.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trl_r1.data.judging import JudgedSample
from trl_r1.errors import R1Error
from trl_r1.evaluation.asking import Asked, ways_to_measure
from trl_r1.evaluation.asking import file_stem as file_stem
from trl_r1.evaluation.judged_job import JudgedJob
from trl_r1.evaluation.metrics import MetricContext, SampleMetric, resolve_metrics
from trl_r1.evaluation.questions import Questions as Questions
from trl_r1.evaluation.questions import fit_prefill as fit_prefill
from trl_r1.evaluation.questions import join_prefill as join_prefill
from trl_r1.evaluation.questions import load_questions as load_questions
from trl_r1.evaluation.questions import prompts_of as prompts_of
from trl_r1.evaluation.records import evaluation_record
from trl_r1.evaluation.sample_files import write_samples
from trl_r1.evaluation.scoring import ScoredSample, sample_row, summarise
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite
from trl_r1.generation import GenerationEngine
from trl_r1.generation.jobs.locking import release_shares
from trl_r1.generation.jobs.shares import end_share, share_of
from trl_r1.verifiers import Verdict


WORK_NAME: Final = ".work"
MAX_UNDECIDABLE: Final = 0.05  # share of the judged answers; a score that leaves out more is of other questions

logger = logging.getLogger(__name__)


def evaluate_policy(
    engine: GenerationEngine,
    suite: EvaluationSuite,
    checkpoint: Checkpoint,
    output_dir: str | Path,
    *,
    seed: int = 42,
    max_completion_length: int = 256,
    batch_size: int = 256,
    max_undecidable: float = MAX_UNDECIDABLE,
    progress: bool = False,
    progress_file: Path | None = None,
    rank: int = 0,
    world_size: int = 1,
    keep_work: bool = False,
) -> list[dict[str, Any]]:
    """
    Measure a checkpoint on a suite, in each of its modes and by each of its ways to ask.

    Args:
        engine ([`GenerationEngine`]):
            The checkpoint, loaded.
        suite ([`EvaluationSuite`]):
            Questions, modes and metrics.
        checkpoint ([`Checkpoint`]):
            Its name, path and templates.
        output_dir (`str` or `Path`):
            Where the answers go: one parquet file a mode and way to ask.
        seed (`int`, *optional*, defaults to `42`):
            Of the sampled modes.
        max_completion_length (`int`, *optional*, defaults to `256`):
            Longest answer, in tokens, where neither mode nor suite says.
        batch_size (`int`, *optional*, defaults to `256`):
            Answers generated at once, and what a kill can cost.
        max_undecidable (`float`, *optional*, defaults to `0.05`):
            Largest share of the judged answers that the verifier may leave undecided. They are no zeros: accuracy
            leaves them out, and with more of them there is no score.
        progress (`bool`, *optional*, defaults to `False`):
            Whether to draw progress bars.
        progress_file (`Path`, *optional*):
            Where to keep the progress for a pipeline's display.
        rank, world_size (`int`, *optional*):
            This process, and the number of all, which share the work; see
            [`~trl_r1.generation.jobs.shares.rank_and_world`].
        keep_work (`bool`, *optional*, defaults to `False`):
            Whether to leave in `.work` what was drawn and judged, for a later call to go on from.

    Returns:
        `list[dict[str, Any]]`: one JSON-able record a mode and way to ask, of the first process; of others an empty
        list. `metrics` in it maps names to value, n, low and high; a metric that applies to no answer is absent.

    Raises:
        [`DataError`]: when the questions cannot be read or used.
        [`RecipeError`]: when a metric is unknown.
        [`R1Error`]: when a question is too long, completions are missing, too many answers are undecidable, a metric
            fails, or the work in `.work` is of other settings.
    """
    context = MetricContext(tokenizer=engine.tokenizer, language_ignored_tokens=suite.language_ignored_tokens)
    metrics = resolve_metrics(suite.metrics, context)
    common = {"max_completion_length": max_completion_length, "seed": seed, "batch_size": batch_size}
    asked = list(ways_to_measure(engine, suite, checkpoint, common))
    records, output_dir = [], Path(output_dir)
    for one in asked:
        folder = output_dir / WORK_NAME / one.stem
        try:
            job = JudgedJob(folder, one.questions.rows, one.prompts, one.prefills, one.params, engine, suite.verifier)
            job.run(rank, world_size, progress=progress, progress_file=progress_file)
            if rank == 0:
                scored = score_samples(job.samples(), metrics)
                _check_decided(job, scored, suite, max_undecidable)
                records.append(_write(engine, checkpoint, suite, one, job, scored, metrics, output_dir))
        finally:
            end_share(folder)
    if rank == 0 and not keep_work:
        for one in asked:
            remove_work(output_dir / WORK_NAME, one.stem, rank, world_size)
    return records


def score_samples(samples: Sequence[JudgedSample], metrics: Sequence[SampleMetric]) -> list[ScoredSample]:
    """Every metric of every sample; samples come by question, and the first of each has number 0."""
    scored: list[ScoredSample] = []
    question = -1
    for sample in samples:
        question += sample.sample_index == 0
        values = {metric.name: metric.measure(sample) for metric in metrics}
        scored.append(ScoredSample(sample=sample, question=question, values=values))
    return scored


def remove_work(folder: Path, stem: str, rank: int = 0, world_size: int = 1) -> None:
    """Delete what a finished evaluation has drawn and judged, when the other processes are done with it."""
    own, gone = folder / stem, folder / f"{stem}.done"
    if own.exists():
        if world_size > 1:
            share_of(own, rank, world_size).wait_for_others()
            end_share(own)
        shutil.rmtree(gone, ignore_errors=True)
        own.rename(gone)  # in one go for whoever looks: half of it would be no job any more
        release_shares(own)
    shutil.rmtree(gone, ignore_errors=True)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def _check_decided(job: JudgedJob, scored: Sequence[ScoredSample], suite: EvaluationSuite, limit: float) -> None:
    """
    Refuse a score of what is left when the verifier fails often. The samples stay; the verdicts are made again.

    Raises:
        [`R1Error`]: naming how many were left undecided, and the most frequent reason.
    """
    judgements = [item.sample.judgement for item in scored if item.sample.judgement is not None]
    reasons = Counter(found.reason for found in judgements if found.verdict is Verdict.UNDECIDABLE)
    undecided = sum(reasons.values())
    if undecided <= limit * len(judgements):
        return
    job.forget_verdicts()
    reason = re.sub(r"\s+", " ", reasons.most_common(1)[0][0])[:200]
    raise R1Error(
        f"suites.{suite.name}: {undecided} of {len(judgements)} answers could not be judged, more than "
        f"max_undecidable {limit:g} (most often: {reason}); mend that and give the same command, which judges the "
        "saved answers again, or raise max_undecidable to count the others alone"
    )


def _write(
    engine: GenerationEngine,
    checkpoint: Checkpoint,
    suite: EvaluationSuite,
    asked: Asked,
    job: JudgedJob,
    scored: Sequence[ScoredSample],
    metrics: Sequence[SampleMetric],
    output_dir: Path,
) -> dict[str, Any]:
    """Write the answers, and return the record."""
    path = output_dir / f"samples-{asked.stem}.parquet"
    summary = summarise(
        scored,
        metrics,
        suite.group_by,
        cluster_by=suite.cluster_by,
        pass_at=[k for k in suite.pass_at if k <= asked.params.num_samples],  # greedy decoding draws one
        cons_at=[k for k in suite.cons_at if k <= asked.params.num_samples],
        verifier=suite.verifier,
    )
    variant = asked.questions.variant.name or None
    write_samples(
        path, [sample_row(item, suite.group_by, suite.cluster_by, variant, suite.verifier) for item in scored]
    )
    record = evaluation_record(engine, checkpoint, suite, asked, summary, job.summary(), path.name)
    logger.info("%s: %s", asked.stem, _describe(record["metrics"]))
    return record


def _describe(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{name} {measured['value']:.3f}" for name, measured in metrics.items())
