"""The model card of a checkpoint, written from the records of its stage, its ancestors and its evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import RecordError
from trl_r1.hub.cards import facts as card_facts
from trl_r1.hub.cards import tables as card_tables
from trl_r1.hub.cards.curves import CURVES_NAME, draw_curves, write_curves
from trl_r1.hub.cards.episode import episode_section
from trl_r1.hub.cards.eval_results import benchmark_entries, write_benchmark_files
from trl_r1.hub.cards.markdown import plain
from trl_r1.hub.cards.metadata import card_metadata
from trl_r1.hub.cards.text import render, seal, write_whole
from trl_r1.hub.cards.together import CARD_NAME, write_cards
from trl_r1.hub.cards.usage import cite, usage_section
from trl_r1.hub.lineage import Lineage
from trl_r1.run_records import Evaluation, FinishedStage, RunRecords
from trl_r1.stage_record import StageRecord


SUMMARIES: Final = {
    "grpo": "A policy trained by group relative policy optimisation (GRPO) with trl_r1, which follows DeepSeek-R1.",
    "sft": "A policy made by supervised fine-tuning with trl_r1, which follows DeepSeek-R1.",
    "distill": "A student whose own answers a teacher corrected, token by token, with trl_r1, which follows "
    "DeepSeek-R1.",
    "reward_model": "A preference reward model trained with trl_r1.",
    "script": "A model made by a Python file of a trl_r1 pipeline.",
}


def create_model_card(
    folder: str | Path,
    *,
    evaluations: Sequence[Evaluation] = (),
    before: Sequence[Evaluation] = (),
    license: str | None = None,
    pipeline: Mapping[str, Any] | None = None,
    verify_weights: bool = True,
    repo_id: str | None = None,
) -> str:
    """
    Write the card (`README.md`) of a checkpoint, with `training_curves.png` and `.eval_results/*.yaml` beside it.

    All three depend on the records alone: the same records give the same text and the same picture. Nothing is written
    before all of it is known, and the card last.

    Args:
        folder (`str` or `Path`):
            Folder of the checkpoint, with its `stage.json`.
        evaluations (`Sequence[Evaluation]`, *optional*):
            What was measured of it.
        before (`Sequence[Evaluation]`, *optional*):
            What was measured of the model it started from, to stand beside.
        license (`str`, *optional*):
            Licence of the weights, such as `"apache-2.0"`: the owner's choice. By default what the recipe or the card
            of the base model says; left out where neither does.
        pipeline (`Mapping[str, Any]`, *optional*):
            `pipeline.json` of the run the stage belongs to, for the command that makes it with all its ancestors.
        verify_weights (`bool`, *optional*, defaults to `True`):
            Whether to check that every ancestor still holds the weights its child was made from.
        repo_id (`str`, *optional*):
            Where it will be on the Hub, for the lines that load it. By default what the record says.

    Returns:
        `str`: the card, sealed by [`~trl_r1.hub.cards.text.seal`].

    Raises:
        [`RecordError`]: when a record of the checkpoint or of an ancestor is missing, damaged or contradicted.
    """
    folder = Path(folder)
    lineage = Lineage.from_folder(folder, verify_weights=verify_weights)
    record = lineage.root.record
    if record is None or record.kind not in SUMMARIES:
        raise RecordError(f"{folder}: a stage that leaves no model; a card is for {', '.join(SUMMARIES)}")
    picture = draw_curves(record.history)
    sections = _sections(folder, record, lineage, evaluations, before, license, pipeline or {})
    sections["usage"] = usage_section(folder, record, repo_id)
    sections["curves"] = CURVES_NAME if picture else ""
    text = seal(render("model_card.md", sections))
    write_benchmark_files(folder, benchmark_entries(evaluations))
    write_curves(folder, picture)
    write_whole(folder / CARD_NAME, text)
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
        [`RecordError`]: as [`create_model_card`], once every card that can be written is.
    """
    records = RunRecords.read(pipeline_folder)
    content = records.content
    checkpoints = [
        stage for stage in records.stages.values() if stage.record.kind in SUMMARIES and stage.is_checkpoint
    ]

    def write(stage: FinishedStage) -> None:
        create_model_card(
            stage.folder,
            evaluations=stage.evaluations,
            before=records.before(stage),
            license=stage.record.config.get("hub_license") or content.get("license"),
            pipeline=content,
        )

    return write_cards(checkpoints, write)


def _sections(
    folder: Path,
    record: StageRecord,
    lineage: Lineage,
    evaluations: Sequence[Evaluation],
    before: Sequence[Evaluation],
    license: str | None,
    pipeline: Mapping[str, Any],
) -> dict[str, Any]:
    """What most of the template is filled with; every text in it is Markdown already."""
    metadata = card_metadata(lineage, record, evaluations, license)
    chosen = license or lineage.license()  # as it was said; the header has it as the Hub takes it
    results, other_results = card_tables.result_rows(evaluations, before)
    return {
        "card_data": metadata.to_yaml().strip(),
        "name": plain(record.stage),
        "summary": SUMMARIES[record.kind],
        "glance": list(card_facts.at_a_glance(folder, record, lineage, evaluations, before, chosen)),
        "results": results,
        "other_results": other_results,
        "compared": any(row["before"] for row in results),
        "meanings": card_tables.metric_meanings(evaluations),
        "protocol": list(card_facts.protocol(evaluations)),
        "mermaid": lineage.to_mermaid() if lineage.edges else "",
        "ancestry": card_tables.ancestry_rows(lineage),
        "data": card_tables.data_rows(record),
        "contamination": card_tables.contamination_rows(record),
        "rewards": card_tables.reward_rows(record),
        "training": card_tables.training_rows(record),
        "loss_notes": card_facts.loss_notes(record),
        "episode": episode_section(folder, record),
        "limits": list(card_facts.limits(folder, record, evaluations)),
        "commands": card_facts.commands(record, pipeline),
        "reproduction": list(card_facts.reproduction(folder, record)),
        "config": card_facts.configuration(record),
        "citation": cite(record),
    }
