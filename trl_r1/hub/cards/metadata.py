"""The YAML header of a model card: what the Hub reads to file, filter and link a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from trl_r1.hub.cards.eval_results import index_results
from trl_r1.hub.cards.licenses import license_fields
from trl_r1.hub.cards.markdown import one_line
from trl_r1.hub.checkpoints.checks import ADAPTER_CONFIG
from trl_r1.hub.lineage import Lineage
from trl_r1.run_records import Evaluation
from trl_r1.stage_record import StageRecord, is_language


if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

PIPELINE_TAGS: Final = {"reward_model": "text-classification"}
TRL_TAGS: Final = {"grpo": "grpo", "sft": "sft", "distill": "distillation", "reward_model": "reward-trainer"}
REASONING_KINDS: Final = frozenset({"grpo", "sft", "distill"})


def card_metadata(
    lineage: Lineage, record: StageRecord, evaluations: Sequence[Evaluation], license: str | None
) -> ModelCardData:
    """
    The header of a checkpoint's card.

    Args:
        lineage ([`Lineage`]):
            Of the checkpoint.
        record ([`~trl_r1.stage_record.StageRecord`]):
            Its own record.
        evaluations (`Sequence[Evaluation]`):
            What was measured of it.
        license (`str` or `None`):
            The owner's choice, before what the ancestors' cards say.

    Returns:
        [`~huggingface_hub.ModelCardData`]: without entries that nothing backs.

    Raises:
        [`RecordError`]: when an evaluation names a data set that cannot be one.
    """
    from huggingface_hub import ModelCardData

    bases = lineage.base_models()
    results = index_results(evaluations)
    return ModelCardData(
        base_model=bases or None,
        base_model_relation=_relation(record, bases),
        datasets=_once(lineage.datasets()) or None,
        language=[code for code in _once(lineage.languages()) if is_language(code)] or None,
        library_name="peft" if is_adapter(record) else "transformers",
        pipeline_tag=PIPELINE_TAGS.get(record.kind, "text-generation"),
        tags=_tags(record),
        model_name=one_line(record.stage) if results else None,
        eval_results=results or None,
        **license_fields(license or lineage.license(), bases),
    )


def is_adapter(record: StageRecord) -> bool:
    """Whether a stage left an adapter instead of whole weights."""
    return any(artefact.path == ADAPTER_CONFIG for artefact in record.artefacts)


def _relation(record: StageRecord, bases: Sequence[str]) -> str | None:
    """How the Hub calls what was made of the base models."""
    if not bases:
        return None
    if is_adapter(record):
        return "adapter"
    return "merge" if len(bases) > 1 else "finetune"


def _tags(record: StageRecord) -> list[str]:
    tags = ["trl_r1"]
    if record.kind in TRL_TAGS:
        tags += ["trl", TRL_TAGS[record.kind], "deepseek-r1-recipe"]
    if record.kind in REASONING_KINDS:
        tags.append("reasoning")
    return tags


def _once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(one_line(value) for value in values))
