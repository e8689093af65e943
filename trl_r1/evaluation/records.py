"""What is written down of an evaluation: all that decides its numbers, the numbers, and what they cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.chat_template import template_hash
from trl_r1.data.judging import JUDGED_BY
from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.data.rendering import PromptRenderer
from trl_r1.evaluation.asking import Asked
from trl_r1.evaluation.judged_job import hash_rows
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite, Mode
from trl_r1.generation import GenerationEngine
from trl_r1.stage_record import collect_versions, hash_file, hash_json, hash_model, plain_json
from trl_r1.user_code import find_file


if TYPE_CHECKING:
    from trl_r1.evaluation.benchmarks import Benchmark
    from trl_r1.generation import GenerationSummary

SERVER = "server"


def evaluation_record(
    engine: GenerationEngine,
    checkpoint: Checkpoint,
    suite: EvaluationSuite,
    asked: Asked,
    summary: Mapping[str, Any],
    drawn: GenerationSummary,
    samples: str,
) -> dict[str, Any]:
    """
    The record of a suite in one mode, as JSON has it.

    Args:
        engine ([`GenerationEngine`]):
            What answered.
        checkpoint ([`Checkpoint`]), suite ([`EvaluationSuite`]):
            Who was asked what.
        asked ([`Asked`]):
            In which mode and by which words: what the policy read.
        summary (`Mapping[str, Any]`):
            Of [`~trl_r1.evaluation.scoring.summarise`].
        drawn ([`GenerationSummary`]):
            What was drawn, and how long it took. It is under `cost`, which alone differs between two runs.
        samples (`str`):
            Name of the file of answers.
    """
    questions, params = asked.questions, asked.params
    record = {
        "checkpoint": checkpoint.name,
        "path": checkpoint.path,
        "revision": checkpoint.revision,
        "weights_sha256": _weights(engine, checkpoint),
        "suite": suite.name,
        "mode": asked.mode_name,
        "variant": questions.variant.name or None,
        "task_id": suite.task_id or _task_of(suite, questions.benchmark),
        "benchmark": describe_benchmark(questions.benchmark),
        "data": dataclasses.asdict(questions.source),
        **_prompting(questions.renderer, asked.mode),
        **_words(questions.variant),
        "prompts_sha256": hash_json(plain_json(asked.prompts)),
        "references_sha256": hash_rows({name: row.get(name) for name in JUDGED_BY} for row in questions.rows),
        "language_ignored_tokens": list(suite.language_ignored_tokens),
        "own_metrics": own_metrics(suite.metrics),
        "sampling": dataclasses.asdict(params),
        "seed": params.seed,
        "engine": engine.identity,
        "verifier": suite.verifier,
        "cluster_by": suite.cluster_by,
        **summary,
        "samples": samples,
        "versions": collect_versions(),
        "cost": {
            "seconds": round(drawn.seconds, 3),
            "tokens": drawn.num_tokens,
            "prompt_tokens": drawn.num_prompt_tokens,
            "tokens_per_second": round(drawn.tokens_per_second, 3),
        },
    }
    plain: dict[str, Any] = plain_json(record)
    return plain


def own_metrics(names: Sequence[str]) -> dict[str, str | None]:
    """Metrics that are functions of one's own, by name, with the hash of the file each is in; `None` without one."""
    found: dict[str, str | None] = {}
    for name in names:
        place, colon, own = name.rpartition(":") if ":" in name else name.rpartition(".")
        if not colon:
            continue
        module = find_spec(place) if colon == "." else None
        path = find_file(place) if colon == ":" else Path(str(module.origin if module else ""))
        found[own] = hash_file(path) if path.is_file() else None
    return found


def describe_benchmark(benchmark: Benchmark | None) -> dict[str, Any] | None:
    """A benchmark's definition, and its hash."""
    if benchmark is None:
        return None
    definition = plain_json(dataclasses.asdict(benchmark))
    return {**definition, "sha256": hash_json(definition)}


def _task_of(suite: EvaluationSuite, benchmark: Benchmark | None) -> str:
    config = suite.dataset_config if benchmark is None else benchmark.config
    return config or "default"


def _weights(engine: GenerationEngine, checkpoint: Checkpoint) -> str | None:
    """Of the files; `None` of a server's, whose name for its model may be that of a folder here."""
    if engine.identity.get("engine") == SERVER:
        return None
    return hash_model(checkpoint.path, checkpoint.revision)


def _prompting(renderer: PromptRenderer, mode: Mode) -> dict[str, Any]:
    """How the checkpoint was spoken to."""
    if renderer.template is not None:
        template: str | None = renderer.template
    else:
        template = None if renderer.tokenizer is None else str(renderer.tokenizer.chat_template)
    return {
        "prompt_kind": "plain" if renderer.template is not None else "chat",
        "template_sha256": None if template is None else template_hash(template),
        "response_format": renderer.response_format,
        "prefill": mode.prefill or None,
        "prefill_column": mode.prefill_column,
    }


def _words(variant: PromptVariant) -> dict[str, Any]:
    """What was said around the question."""
    return {
        "instruction": variant.instruction,
        "system_prompt": variant.system_prompt,
        "examples": [list(pair) for pair in variant.examples],
    }
