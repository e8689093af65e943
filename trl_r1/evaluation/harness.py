"""
Asking a checkpoint a suite of questions, and the record that is left.

The parser and the verifier are those of training. Every answer is kept with its verdict, and the record freezes all
that decides a number: questions, template, sampling, seed, weights, versions.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.chat_template import THINK_OPEN, template_hash
from trl_r1.data.judging import judge_samples
from trl_r1.data.mixture import load_source
from trl_r1.data.prompts import prepare_prompts
from trl_r1.data.rendering import PromptRenderer
from trl_r1.data.rows import check_column, write_jsonl
from trl_r1.evaluation.metrics import MetricContext, SampleMetric, resolve_metrics
from trl_r1.evaluation.scoring import ScoredSample, sample_row, summarise
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite, Mode
from trl_r1.generation import GenerationEngine, SamplingParameters, generate
from trl_r1.stage_record import DataSource, collect_versions, hash_model
from trl_r1.verifiers.verdict import VerifierName


if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """A suite's questions as one checkpoint is asked them."""

    rows: list[dict[str, Any]]
    texts: list[str]  # what the policy reads
    source: DataSource
    renderer: PromptRenderer


def evaluate_policy(
    engine: GenerationEngine,
    suite: EvaluationSuite,
    checkpoint: Checkpoint,
    output_dir: str | Path,
    *,
    seed: int = 42,
    max_completion_length: int = 256,
    batch_size: int = 256,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """
    Measure a checkpoint on a suite, in each of its modes.

    Args:
        engine ([`GenerationEngine`]):
            The checkpoint, loaded.
        suite ([`EvaluationSuite`]):
            Questions, modes and metrics.
        checkpoint ([`Checkpoint`]):
            Its name, path and templates.
        output_dir (`str` or `Path`):
            Where the answers go: one file of JSON lines a mode.
        seed (`int`, *optional*, defaults to `42`):
            Of the sampled modes.
        max_completion_length (`int`, *optional*, defaults to `256`):
            Longest answer, in tokens, where neither mode nor suite says.
        batch_size (`int`, *optional*, defaults to `256`):
            Answers generated at once.
        progress (`bool`, *optional*, defaults to `False`):
            Whether to draw progress bars.

    Returns:
        `list[dict[str, Any]]`: one JSON-able record a mode. Its `metrics` map names to value, n, low and high; a
        metric that applies to no answer is absent.

    Raises:
        [`DataError`]: when the questions cannot be read or used.
        [`RecipeError`]: when a metric is unknown.
        [`R1Error`]: when completions are missing, or a metric fails.
    """
    context = MetricContext(tokenizer=engine.tokenizer, language_ignored_tokens=suite.language_ignored_tokens)
    metrics = resolve_metrics(suite.metrics, context)
    settings = {
        name: suite.parameters(mode, max_completion_length=max_completion_length, seed=seed, batch_size=batch_size)
        for name, mode in suite.modes.items()
    }
    questions = load_questions(engine.tokenizer, suite, checkpoint)
    weights = hash_model(checkpoint.path, checkpoint.revision)
    records = []
    for name, mode in suite.modes.items():
        scored = _answer(engine, questions, mode, settings[name], metrics, suite.verifier, progress)
        path = Path(output_dir) / f"samples-{_file_stem(checkpoint.name, suite.name, name)}.jsonl"
        write_jsonl(path, (sample_row(item, suite.group_by) for item in scored))
        records.append(
            {
                "checkpoint": checkpoint.name,
                "path": checkpoint.path,
                "revision": checkpoint.revision,
                "weights_sha256": weights,
                "suite": suite.name,
                "mode": name,
                "task_id": suite.task_id or suite.dataset_config or "default",
                "data": dataclasses.asdict(questions.source),
                **_prompting(questions.renderer, mode),
                "sampling": dataclasses.asdict(settings[name]),
                "seed": seed,
                **summarise(scored, metrics, suite.group_by),
                "samples": path.name,
                "versions": collect_versions(),
            }
        )
        logger.info("%s, %s, %s: %s", checkpoint.name, suite.name, name, _describe(records[-1]["metrics"]))
    return records


def load_questions(tokenizer: Any, suite: EvaluationSuite, checkpoint: Checkpoint) -> Questions:
    """
    A suite's questions, checked as training data is and shown as the checkpoint expects.

    Raises:
        [`DataError`]: when they cannot be read, or lack a column.
    """
    renderer = PromptRenderer(tokenizer, checkpoint.prompt_template, checkpoint.response_format)
    raw = load_source(suite.dataset_name, suite.split, name=suite.dataset_config)
    needed = {"group_by": suite.group_by} | {
        f"modes.{name}.prefill_column": mode.prefill_column for name, mode in suite.modes.items()
    }
    for field, column in needed.items():
        if column:
            check_column(raw.dataset, column, field, raw.name)
    dataset: Dataset
    dataset, dropped = prepare_prompts(raw, renderer, suite.dataset_prompt_column, suite.dataset_solution_column)
    if suite.max_rows is not None and suite.max_rows < len(dataset):
        dropped = {**dropped, "beyond_max_rows": len(dataset) - suite.max_rows}
        dataset = dataset.select(range(suite.max_rows))
    rows = [dict(row) for row in dataset]
    return Questions(
        rows=rows,
        texts=[renderer.to_text(row["prompt"]) for row in rows],
        source=raw.describe(len(rows), dropped),
        renderer=renderer,
    )


def _answer(
    engine: GenerationEngine,
    questions: Questions,
    mode: Mode,
    params: SamplingParameters,
    metrics: Sequence[SampleMetric],
    verifier: VerifierName,
    progress: bool,
) -> list[ScoredSample]:
    prefills = [
        fit_prefill(row[mode.prefill_column] if mode.prefill_column else mode.prefill, questions.renderer.prompt_tail)
        for row in questions.rows
    ]
    prompts = [join_prefill(text, prefill) for text, prefill in zip(questions.texts, prefills, strict=True)]
    samples = judge_samples(questions.rows, generate(prompts, params, engine, progress), prefills, verifier)
    return [
        ScoredSample(
            sample=sample,
            question=index // params.num_samples,
            values={metric.name: metric.measure(sample) for metric in metrics},
        )
        for index, sample in enumerate(samples)
    ]


def fit_prefill(prefill: str, prompt_tail: str) -> str:
    """The prefill after a prompt: without its think tag where the prompt has opened one already."""
    text = prefill.strip()
    return text.removeprefix(THINK_OPEN).lstrip() if THINK_OPEN in prompt_tail else text


def join_prefill(prompt: str, prefill: str) -> str:
    """A prompt with the beginning of the response after it, set off by a space where there is none."""
    return prompt + (" " if prefill and not prompt[-1:].isspace() else "") + prefill


def _prompting(renderer: PromptRenderer, mode: Mode) -> dict[str, Any]:
    """How the checkpoint was spoken to."""
    template = renderer.template if renderer.template is not None else str(renderer.tokenizer.chat_template)
    return {
        "prompt_kind": "plain" if renderer.template is not None else "chat",
        "template_sha256": template_hash(template),
        "response_format": renderer.response_format,
        "prefill": mode.prefill or None,
        "prefill_column": mode.prefill_column,
    }


def _describe(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{name} {measured['value']:.3f}" for name, measured in metrics.items())


def _file_stem(*parts: str) -> str:
    """A file name of a checkpoint's, suite's and mode's names."""
    return "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in part) for part in parts)
