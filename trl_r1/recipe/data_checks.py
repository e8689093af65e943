"""What is wrong with the values of the verbs that sample a model or work on rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

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
    if values["engine"] == "server" and not values["server_base_url"]:
        yield "server_base_url: missing; give the endpoint's address, such as http://localhost:8000/v1"


def _rejection_problems(values: Mapping[str, Any]) -> Iterator[str]:
    if values["max_repetition"] is not None and not 0 <= values["max_repetition"] <= 1:
        yield f"max_repetition: {values['max_repetition']} must be between 0 and 1"
    if values["refine"] and not _is_function_path(values["refine"]):
        yield f"refine: {values['refine']!r} names no function; write path.py:name or package.module.name"


def _is_function_path(text: str) -> bool:
    path, colon, name = text.rpartition(":")
    if colon:
        return name.isidentifier() and path.endswith(".py") and find_file(path).is_file()
    return "." in text and all(part.isidentifier() for part in text.split("."))


# By verb, what else is wrong with its recipe, whose values have the right types.
DATA_PROBLEMS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "rejection_sample": _rejection_problems,
}
