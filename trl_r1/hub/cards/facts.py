"""What a model card says in words, from records: the facts at its top, its limits, and what reproduces it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trl_r1.hub.cards.eval_results import BENCHMARK_METRIC, describe_sampling
from trl_r1.hub.cards.markdown import fenced, inline_code, plain
from trl_r1.hub.cards.tables import cell, code, with_interval
from trl_r1.hub.lineage import Lineage
from trl_r1.run_records import LOSS_NOTE, Evaluation
from trl_r1.stage_record import StageRecord, weight_files
from trl_r1.stage_record.kinds import TRAINING_VERBS


METHODS: Final = {
    "grpo": "Reinforcement learning, group relative policy optimisation (GRPO)",
    "sft": "Supervised fine-tuning",
    "distill": "On-policy distillation (generalised knowledge distillation)",
    "reward_model": "Preference reward model, Bradley-Terry",
    "script": "Made by a Python file of a trl_r1 pipeline",
}
SHOWN_SUITES: Final = 4  # at the top; the table has all
TOY_BYTES: Final = 100 * 10**6  # weights below it are of a model made to try the recipe


def at_a_glance(
    folder: Path,
    record: StageRecord,
    lineage: Lineage,
    evaluations: Sequence[Evaluation],
    before: Sequence[Evaluation],
    license: str | None,
) -> Iterator[tuple[str, str]]:
    """The rows of the table at a card's top."""
    bases = [parent.name for role, parent in lineage.parents(lineage.root) if role == "base"]
    if bases:
        yield "started from", ", ".join(cell(name) for name in bases)
    yield "method", METHODS[record.kind] + _steps(record)
    if record.rewards:
        yield "rewards", ", ".join(f"{code(each.name)} × {cell(each.weight)}" for each in record.rewards)
    if record.data:
        yield "data", ", ".join(f"{code(each.source)} ({each.rows_kept:,} rows)" for each in record.data)
    headlines = "<br>".join(_headlines(evaluations, before))
    yield (
        ("accuracy (95 % interval)", headlines)
        if headlines
        else ("measured", "see results" if evaluations else "not yet")
    )
    if weights := weight_bytes(folder, record):
        yield "weights", f"{weights:,} bytes"
    yield "licence", "; ".join([cell(license or "none stated"), *_other_licences(lineage, license)])


def _other_licences(lineage: Lineage, license: str | None) -> Iterator[str]:
    """What the models it was made from say, where that is another licence: one may not be free to choose."""
    said: dict[str, str] = {}
    waiting = [lineage.root]
    while waiting:
        node = waiting.pop()
        for parent in node.record.parents if node.record else []:
            if parent.role == "base" and parent.license:
                said.setdefault(parent.name_or_path, parent.license)
        waiting += [parent for role, parent in lineage.parents(node) if role == "base"]
    return (
        f"**but {code(name)} is under {cell(other)}**"
        for name, other in said.items()
        if other.casefold() != (license or "").casefold()
    )


def limits(folder: Path, record: StageRecord, evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """What a reader should not conclude, and what the run itself warned of."""
    if evaluations:
        suites = ", ".join(cell(name) for name in dict.fromkeys(each.suite for each in evaluations))
        yield f"Measured on {suites}, as described above, and on nothing else. Nothing here measures safety."
    else:
        yield "No evaluation of these weights is on record. Nothing here measures quality or safety."
    if record.kind in TRAINING_VERBS and not record.contamination:
        yield "Whether the training data hold questions of a benchmark was not checked: there is no record of it."
    weights = weight_bytes(folder, record)
    if 0 < weights < TOY_BYTES:
        yield (
            f"It is small: {weights:,} bytes of weights. Results at this size show that the recipe runs, not what it "
            "does for a large model."
        )
    if record.kind in ("grpo", "distill") and record.config.get("max_completion_length"):
        yield f"Trained on completions of at most {cell(record.config['max_completion_length'])} tokens."
    seed = record.seeds.get("seed")
    if seed is not None:
        yield f"One training run, seed {seed}; the intervals cover the questions asked, not other seeds."
    yield from (f"The run noted: {plain(note)}" for note in record.notes if not note.startswith(LOSS_NOTE))


def loss_notes(record: StageRecord) -> list[str]:
    """What a watched run says of its loss."""
    return [plain(note) for note in record.notes if note.startswith(LOSS_NOTE)]


def protocol(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """How each suite was answered, and what its questions are."""
    for each in evaluations:
        data = each.content.get("data") or {}
        source = f", {inline_code(data['source'])}" if data.get("source") else ""
        words = plain(describe_sampling(each))
        how = f" ({words})" if words else ""
        yield f"{plain(each.suite)}, {plain(each.mode)}: {each.n} answers{source}{_begun(each)}{how}"


def _begun(evaluation: Evaluation) -> str:
    """What was put into the policy's mouth."""
    text, column = evaluation.content.get("prefill"), evaluation.content.get("prefill_column")
    if column:
        return f", each begun with the text in its column {inline_code(column)}"
    return f", each begun with {inline_code(text)}" if text else ""


def reproduction(folder: Path, record: StageRecord) -> Iterator[str]:
    """What beside the command decides the result."""
    if record.seeds:
        yield "seeds: " + ", ".join(f"{cell(name)} {cell(value)}" for name, value in sorted(record.seeds.items()))
    yield "versions: " + ", ".join(f"{cell(name)} {cell(value)}" for name, value in sorted(record.versions.items()))
    hardware = ", ".join(f"{cell(name)} {cell(value)}" for name, value in sorted(record.hardware.items()))
    spent = f"{record.seconds:.0f} s ({record.cpu_seconds:.0f} s of CPU)"
    yield f"took {spent} on {hardware}, finished {cell(record.finished)}"
    yield f"configuration: sha256 {inline_code(record.config_sha256[:16])}"
    for name, digest in sorted(record.template.items()):
        yield f"{cell(name.replace('_', ' '))}: sha256 {inline_code(digest[:16])}"
    weights = {path.name for path in weight_files(folder)}
    for artefact in record.artefacts:
        if artefact.path in weights:
            yield f"{inline_code(artefact.path)}: {artefact.size} bytes, sha256 {inline_code(artefact.sha256[:16])}"


def commands(record: StageRecord, pipeline: Mapping[str, Any]) -> str:
    """The commands that make the stage again, as a code block."""
    lines = [shlex.join(record.command)]
    if pipeline.get("pipeline"):
        seed = [] if pipeline.get("seed") is None else ["--seed", str(pipeline["seed"])]
        whole = shlex.join(["trl-r1", "run", str(pipeline["pipeline"]), *seed, "--only", record.stage])
        lines = ["# with all it was made from", whole, "# alone, once those are there", *lines]
    return fenced("\n".join(lines), "bash")


def configuration(record: StageRecord) -> str:
    """Every setting that differs from its default, as a code block; empty without any."""
    import yaml

    if not record.config:
        return ""
    return fenced(yaml.safe_dump(record.config, sort_keys=True, allow_unicode=True, width=100), "yaml")


def weight_bytes(folder: Path, record: StageRecord) -> int:
    """Size of the weights a stage recorded."""
    names = {path.name for path in weight_files(folder)}
    return sum(each.size for each in record.artefacts if each.path in names)


def _steps(record: StageRecord) -> str:
    last = record.history[-1].get("step") if record.history else None
    return f", {last:.0f} steps" if last else ""


def _headlines(evaluations: Sequence[Evaluation], before: Sequence[Evaluation]) -> Iterator[str]:
    """One line a suite: its accuracy in the first mode that has one, and that of the model it started from."""
    earlier = {each.conditions: each.telling_metrics.get(BENCHMARK_METRIC) for each in before}
    seen: set[str] = set()
    for each in evaluations:
        measured = each.telling_metrics.get(BENCHMARK_METRIC)
        if measured is None or each.suite in seen or len(seen) == SHOWN_SUITES:
            continue
        seen.add(each.suite)
        base = with_interval(earlier.get(each.conditions))
        was = f"; before: {base}" if base else ""
        yield f"{cell(each.suite)}, {cell(each.mode)}: **{with_interval(measured)}**, n = {measured.n}{was}"
