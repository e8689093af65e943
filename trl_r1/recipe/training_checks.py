"""What is wrong with the values of the verbs that teach a model whole answers: `sft` and `distill`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def sft_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with how rows are to be packed and masked, a line each."""
    yield from _probe_problems(values)
    if values["packing"] and values["packing_strategy"] == "wrapped":
        yield (
            "packing_strategy: 'wrapped' cuts rows anywhere, so that answers lose their end, and lets the rows of a "
            "sequence read each other; use bfd"
        )
    if values["packing"] and values["max_length"] is None:
        yield "max_length: null leaves a packed sequence without a length; set it to the model's context"
    if values["padding_free"] and not values["packing"] and values["max_length"] is not None:
        yield f"padding_free: TRL takes it with `packing: true`, or with `max_length: null` for {values['max_length']}"
    if (values["dataset_kwargs"] or {}).get("skip_prepare_dataset"):
        yield "dataset_kwargs: skip_prepare_dataset leaves rows without labels; delete it"


def distillation_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the teacher and with how the student is sampled, a line each."""
    yield from _probe_problems(values)
    teacher = values["teacher_model_name_or_path"]
    if not teacher:
        yield "teacher_model_name_or_path: missing; give a folder or a Hub id with the student's vocabulary"
    elif teacher == values["model_name_or_path"] and not values["use_peft"]:
        yield f"teacher_model_name_or_path: {teacher!r} is the student itself, so that there is nothing to learn"
    if not 0 <= values["beta"] <= 1:
        yield f"beta: {values['beta']} must be between 0 (forward KL) and 1 (reverse KL)"
    if values["temperature"] <= 0:
        yield f"temperature: {values['temperature']} must be above 0, for the loss divides by it"
    if not 0 < values["top_p"] <= 1:
        yield f"top_p: {values['top_p']} must be above 0 and at most 1"
    if values["vllm_mode"] not in ("colocate", "server"):
        yield f"vllm_mode: {values['vllm_mode']!r} is unknown; use colocate or server"


def _probe_problems(values: Mapping[str, Any]) -> Iterator[str]:
    if values["stop_probe_prompts"] < 0:
        yield f"stop_probe_prompts: {values['stop_probe_prompts']} must be at least 0, which asks none"
    if values["stop_probe_max_tokens"] < 1:
        yield f"stop_probe_max_tokens: {values['stop_probe_max_tokens']} must be at least 1"
