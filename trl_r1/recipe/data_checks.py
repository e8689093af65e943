"""What is wrong with the values of the verbs that sample a model or work on rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from trl_r1.recipe.data_set_checks import composition_problems, difficulty_problems, general_problems
from trl_r1.recipe.decontamination_checks import decontamination_problems
from trl_r1.recipe.engine_checks import engine_problems
from trl_r1.recipe.training_checks import distillation_problems, sft_problems
from trl_r1.user_code import find_file


def sampling_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with how a model is to be sampled, a line each."""
    if values["num_generations"] < 1:
        yield f"num_generations: {values['num_generations']} must be at least 1"
    if values["temperature"] < 0:
        yield f"temperature: {values['temperature']} must be at least 0"
    if not 0 < values["top_p"] <= 1:
        yield f"top_p: {values['top_p']} must be above 0 and at most 1"
    if values["temperature"] == 0 and values["num_generations"] > 1:
        yield "num_generations: all samples are the same at temperature 0; set it to 1 or the temperature above 0"
    yield from engine_problems(values)
    if values["engine"] == "server" and not values["server_base_url"]:
        yield "server_base_url: missing; give the endpoint's address, such as http://localhost:8000/v1"


def _rejection_problems(values: Mapping[str, Any]) -> Iterator[str]:
    for name in ("max_repetition", "max_judge_failures", "max_rewrite_failures"):
        if values[name] is not None and not 0 <= values[name] <= 1:
            yield f"{name}: {values[name]} must be between 0 and 1"
    for name in ("max_paragraph_words", "max_rows_per_domain", "rewrite_max_tokens"):
        if values[name] is not None and values[name] < 1:
            yield f"{name}: {values[name]} must be at least 1"
    for domain, rows in (values["domain_max_rows"] or {}).items():
        if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
            yield f"domain_max_rows: {rows!r} of {domain!r} must be a whole number of at least 1"
    if values["refine"] and not _is_function_path(values["refine"]):
        yield f"refine: {values['refine']!r} names no function; write path.py:name or package.module.name"
    yield from _model_problems(values)


def _model_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the models that judge and rewrite."""
    if values["judge_scope"] != "marked" and not values["judge_model"]:
        yield f"judge_scope: {values['judge_scope']!r} without a judge_model judges nothing; name the model"
    for role in ("judge", "rewrite"):
        if values[f"{role}_base_url"] and not values[f"{role}_model"]:
            yield f"{role}_model: missing beside {role}_base_url; name the model served there"
    if not values["rewrite_model"]:
        if values["rewrite_examples"]:
            yield "rewrite_examples: nothing is rewritten without a rewrite_model; name the model"
        return
    if values["refine"]:
        yield "refine: it would be ignored beside rewrite_model; keep one of them"
    if values["output_format"] != "messages":
        yield f"output_format: {values['output_format']!r}, but rewritten samples are chats; write messages"
    examples = values["rewrite_examples"]
    if examples and not find_file(examples).is_file():
        yield f"rewrite_examples: there is no file {examples!r}"


def _is_function_path(text: str) -> bool:
    path, colon, name = text.rpartition(":")
    if colon:
        return name.isidentifier() and path.endswith(".py") and find_file(path).is_file()
    return "." in text and all(part.isidentifier() for part in text.split("."))


# By verb, what else is wrong with its recipe, whose values have the right types.
DATA_PROBLEMS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "sft": sft_problems,
    "distill": distillation_problems,
    "rejection_sample": _rejection_problems,
    "decontaminate": decontamination_problems,
    "compose": composition_problems,
    "general_data": general_problems,
    "estimate_difficulty": difficulty_problems,
}
