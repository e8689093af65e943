"""The model card of a checkpoint, written from the records of its stage, its ancestors and its evaluations."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.errors import RecordError
from trl_r1.hub import card_tables
from trl_r1.hub.lineage import Lineage
from trl_r1.hub.usage import cite, usage_kind
from trl_r1.run_records import Evaluation, RunRecords
from trl_r1.stage_record import StageRecord, weight_files


if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

CARD_NAME = "README.md"
PIPELINE_TAGS = {"reward_model": "text-classification"}
SUMMARIES = {
    "grpo": "A policy trained by group relative policy optimisation (GRPO) with trl_r1, which follows DeepSeek-R1.",
    "sft": "A policy made by supervised fine-tuning with trl_r1, which follows DeepSeek-R1.",
    "reward_model": "A preference reward model trained with trl_r1.",
    "script": "A model made by a Python file of a trl_r1 pipeline.",
}


def create_model_card(
    folder: str | Path,
    *,
    evaluations: Sequence[Evaluation] = (),
    license: str | None = None,
    pipeline: Mapping[str, Any] | None = None,
    verify_weights: bool = True,
    repo_id: str | None = None,
) -> str:
    """
    Write the card (`README.md`) of a checkpoint.

    The text depends on the records alone: the same records give the same card.

    Args:
        folder (`str` or `Path`):
            Folder of the checkpoint, with its `stage.json`.
        evaluations (`Sequence[Evaluation]`, *optional*):
            What was measured of it.
        license (`str`, *optional*):
            Licence of the weights as the Hub spells it, such as `"apache-2.0"`. Left out unless given: it is the
            owner's to choose.
        pipeline (`Mapping[str, Any]`, *optional*):
            `pipeline.json` of the run the stage belongs to, for the command that makes it with all its ancestors.
        verify_weights (`bool`, *optional*, defaults to `True`):
            Whether to check that every ancestor still holds the weights its child was made from.
        repo_id (`str`, *optional*):
            Where it will be on the Hub, for the lines that load it. By default what the record says.

    Returns:
        `str`: the card.

    Raises:
        [`RecordError`]: when a record of the checkpoint or of an ancestor is missing, damaged or contradicted.
    """
    import jinja2

    folder = Path(folder)
    lineage = Lineage.from_folder(folder, verify_weights=verify_weights)
    record = lineage.root.record
    if record is None or record.kind not in SUMMARIES:
        raise RecordError(f"{folder}: a stage that leaves no model; a card is for {', '.join(SUMMARIES)}")
    source = (files("trl_r1") / "templates" / "model_card.md").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    text = environment.from_string(source).render(
        card_data=_metadata(lineage, record, evaluations, license).to_yaml().strip(),
        name=record.stage,
        summary=SUMMARIES[record.kind],
        lineage=list(card_tables.lineage_lines(lineage)),
        mermaid=lineage.to_mermaid() if lineage.edges else "",
        results=card_tables.result_rows(evaluations),
        result_notes=list(_protocol(evaluations)),
        data=card_tables.data_rows(record),
        rewards=card_tables.reward_rows(record),
        training=card_tables.training_rows(record),
        usage=usage_kind(record),
        path=repo_id or record.config.get("hub_model_id") or record.config.get("output_dir") or record.stage,
        template=record.config.get("prompt_template"),
        command=shlex.join(record.command),
        pipeline_command=_pipeline_command(record, pipeline or {}),
        reproduction=list(_reproduction(folder, record)),
        config=_config_yaml(record),
        notes=record.notes,
        citation=cite(record),
    )
    _write_text(folder / CARD_NAME, text)
    return text


def create_model_cards(pipeline_folder: str | Path) -> list[Path]:
    """
    Write the card of every checkpoint of a pipeline, with all that its evaluation stages measured.

    Args:
        pipeline_folder (`str` or `Path`):
            Folder that holds the stages' folders, and `pipeline.json` with the licence if one was named.

    Returns:
        `list[Path]`: the cards.

    Raises:
        [`RecordError`]: as [`create_model_card`].
    """
    records = RunRecords.read(pipeline_folder)
    content = records.content
    checkpoints = [
        stage for stage in records.stages.values() if stage.record.kind in SUMMARIES and stage.is_checkpoint
    ]
    for stage in checkpoints:
        create_model_card(
            stage.folder, evaluations=stage.evaluations, license=content.get("license"), pipeline=content
        )
    return [stage.folder / CARD_NAME for stage in checkpoints]


def _metadata(
    lineage: Lineage, record: StageRecord, evaluations: Sequence[Evaluation], license: str | None
) -> ModelCardData:
    """What the Hub reads: the card's YAML header."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_name=evaluation.suite,
            dataset_type=evaluation.suite,
            metric_type=name,
            metric_name=f"{name} ({evaluation.mode})",
            metric_value=measured.value,
            metric_args={"n": measured.n, "low": measured.low, "high": measured.high},
        )
        for evaluation in evaluations
        for name, measured in evaluation.telling_metrics.items()
    ]
    hub_data = [source.source for source in record.data if _is_hub_id(source.source)]
    return ModelCardData(
        base_model=lineage.hub_models("base") or None,
        datasets=hub_data or None,
        license=license,
        library_name="transformers",
        pipeline_tag=PIPELINE_TAGS.get(record.kind, "text-generation"),
        tags=["trl_r1", *([] if record.kind == "script" else ["trl", record.kind.replace("_", "-")])],
        model_name=record.stage if results else None,
        eval_results=results or None,
    )


def _protocol(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """How each suite was answered."""
    for evaluation in evaluations:
        settings = evaluation.content.get("sampling") or {}
        words = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
        yield f"{evaluation.suite}, {evaluation.mode}: {evaluation.n} answers{f' ({words})' if words else ''}"


def _is_hub_id(source: str) -> bool:
    return source.count("/") == 1 and not source.startswith((".", "/", "~")) and not Path(source).exists()


def _pipeline_command(record: StageRecord, pipeline: Mapping[str, Any]) -> str:
    """Command that makes the stage and all it needs from nothing, or nothing for a stage that was run alone."""
    if not pipeline.get("pipeline"):
        return ""
    seed = [] if pipeline.get("seed") is None else ["--seed", str(pipeline["seed"])]
    return shlex.join(["trl-r1", "run", str(pipeline["pipeline"]), *seed, "--only", record.stage])


def _reproduction(folder: Path, record: StageRecord) -> Iterator[str]:
    """What beside the command decides the result."""
    if record.seeds:
        yield "seeds: " + ", ".join(f"{name} {value}" for name, value in sorted(record.seeds.items()))
    yield "versions: " + ", ".join(f"{name} {value}" for name, value in sorted(record.versions.items()))
    hardware = ", ".join(f"{name} {value}" for name, value in sorted(record.hardware.items()))
    yield f"took {record.seconds:.0f} s ({record.cpu_seconds:.0f} s of CPU) on {hardware}, finished {record.finished}"
    for name, digest in sorted(record.template.items()):
        yield f"{name.replace('_', ' ')}: sha256 `{digest[:16]}`"
    weights = {path.name for path in weight_files(folder)}
    for artefact in record.artefacts:
        if artefact.path in weights:
            yield f"`{artefact.path}`: {artefact.size} bytes, sha256 `{artefact.sha256[:16]}`"


def _config_yaml(record: StageRecord) -> str:
    import yaml

    if not record.config:
        return ""
    return yaml.safe_dump(record.config, sort_keys=True, allow_unicode=True, width=100).strip()


def _write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the whole new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
