"""Check one value of a recipe against the type its dataclass field declares.

TRL's parser lets any value of a YAML file through that is not text (`num_generations: 8.0` stays a float), so that a
wrong one shows up deep inside a run.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, get_args, get_origin

from trl_r1.presets import nearest
from trl_r1.recipe.specs import FieldSpec, field_specs, is_enum, members_of
from trl_r1.script_arguments import JsonMapping, RewardSpec


FILE_OR_MAPPING: Final = frozenset({"deepspeed", "fsdp_config", "accelerator_config"})  # text names a JSON file
_TRUE, _FALSE = ("yes", "true", "t", "y", "1"), ("no", "false", "f", "n", "0")  # as TRL's parser reads them


class ValueProblemError(ValueError):
    """What is wrong with a value; the message continues the sentence `field: value ...`."""


def convert(spec: FieldSpec, value: Any, *, from_command_line: bool = False) -> Any:
    """
    A value as its field takes it.

    Args:
        spec ([`FieldSpec`]):
            The field.
        value:
            As the YAML file or the command line gives it; a command line gives text, or a list of texts.
        from_command_line (`bool`, *optional*, defaults to `False`):
            Whether text may stand for `None` and for a mapping or list item in JSON.

    Raises:
        [`ValueProblemError`]: when it does not fit.
    """
    members = members_of(spec.hint)
    if from_command_line and str not in members and isinstance(value, str) and value.lower() in ("none", "null"):
        value = None
    value = _spell_out_switch(spec, value)
    if from_command_line and isinstance(value, list):
        value = [_item_from_text(members, text) for text in value]
    if value is None and type(None) in members:
        return None
    result = _whole_keys(members, _mapping_from_text(spec, members, _match(members, value)))
    if spec.choices is not None and result is not None and result not in spec.choices:
        hint = nearest(str(result), [str(choice) for choice in spec.choices])
        raise ValueProblemError(f"is unknown; {hint or 'use one of ' + ', '.join(map(str, spec.choices))}")
    return result


def _spell_out_switch(spec: FieldSpec, value: Any) -> Any:
    """`no` is false in YAML 1.1; a field that has the word among its choices means the word."""
    if spec.choices is None or not isinstance(value, (bool, str)):
        return value
    word = str(value).lower()
    off = next((choice for choice in ("no", "none") if choice in spec.choices), None)
    if word == "false" and off:
        return off
    if word == "true" and spec.name == "scale_rewards":  # as TRL maps it
        return "group"
    return value


def _mapping_from_text(spec: FieldSpec, members: Sequence[Any], value: Any) -> Any:
    """Text in a field for mappings is JSON, or for a few fields the name of a JSON file."""
    takes_mapping = any((get_origin(member) or member) is dict for member in members)
    if not takes_mapping or not isinstance(value, str) or (spec.name in FILE_OR_MAPPING and value[:1] != "{"):
        return value
    try:
        return _read_mapping(value)
    except ValueError as error:
        hint = '; text is read as JSON, as {"name": 1}' if value[:1] == "{" else ""
        raise ValueProblemError(f"is not a mapping{hint}") from error


def _whole_keys(members: Sequence[Any], value: Any) -> Any:
    """A mapping by number is the same from YAML and from JSON, which puts quotes around its keys."""
    if not isinstance(value, dict) or not any(get_args(member)[:1] == (int,) for member in members):
        return value
    keys = [int(key) if isinstance(key, str) and key.isdecimal() else key for key in value]
    return dict(zip(keys, value.values(), strict=True)) if len({*keys}) == len(keys) else value


def _item_from_text(members: Sequence[Any], text: str) -> Any:
    """One word of a list on a command line."""
    for member in members:
        item = get_args(member)[0] if get_origin(member) is list else None
        if dataclasses.is_dataclass(item):
            return {"path": text}  # a dataset of a mixture, by its path
        if item in (RewardSpec, JsonMapping):
            try:
                return item(text)
            except ValueError as error:
                raise ValueProblemError(f"is not JSON ({error})") from error
    return text


def _match(members: Sequence[Any], value: Any) -> Any:
    """The value as the first type that takes it: as it is, else read from text."""
    reasons = []
    for member in members:
        try:
            return _as_is(member, value)
        except ValueProblemError as error:
            reasons.append(str(error))
    if isinstance(value, str):
        for member in members:
            reader = _READERS.get(get_origin(member) or member)
            if reader is not None:
                try:
                    return reader(value)
                except ValueError:
                    continue
    specific = [reason for reason in reasons if reason]
    raise ValueProblemError(specific[0] if specific else f"is not {_describe(members)}{_fix(members, value)}")


def _as_is(member: Any, value: Any) -> Any:
    """The value, if it already has the type; raises with an empty message where it plainly has another."""
    origin = get_origin(member) or member
    if origin is Any:
        return value
    if origin is float and isinstance(value, float) and not math.isfinite(value):
        raise ValueProblemError("is not a finite number")
    if origin is Literal and any(type(value) is type(item) and value == item for item in get_args(member)):
        return value
    if origin in (RewardSpec, JsonMapping):
        return _nested(origin, value)
    if dataclasses.is_dataclass(origin) and isinstance(value, dict):
        return _dataset(origin, value)
    if origin is list and isinstance(value, list):
        return _items(get_args(member), value)
    if (origin is Literal or is_enum(origin)) and isinstance(value, str):
        return value  # the choices are checked after
    kinds: dict[Any, Any] = {bool: bool, int: int, float: (int, float), str: str, dict: dict}
    plain = kinds.get(origin)
    if plain is None or not isinstance(value, plain) or (isinstance(value, bool) and origin is not bool):
        raise ValueProblemError("")
    return value


def _nested(kind: Any, value: Any) -> Any:
    """An item that is a mapping, or for a reward also a name."""
    if kind is RewardSpec and isinstance(value, str) and value:
        return value
    if kind is RewardSpec and isinstance(value, dict):
        parameters = next(iter(value.values()), None)
        if len(value) != 1 or not isinstance(parameters, (dict, type(None))):
            raise ValueProblemError("must be one name with a mapping of parameters, {name: {parameter: value}}")
        return {str(key): parameters or {} for key in value}
    if kind is JsonMapping and isinstance(value, dict):
        return value
    raise ValueProblemError(
        "is not a name or {name: {parameter: value}}" if kind is RewardSpec else "is not a mapping"
    )


def _dataset(kind: Any, value: dict[str, Any]) -> dict[str, Any]:
    """A dataset of a mixture; stays a mapping, which TRL turns into its class."""
    specs = field_specs([kind])
    problems = [f"{key}: no such field; {nearest(str(key), specs)}".rstrip("; ") for key in value if key not in specs]
    for key in value.keys() & specs.keys():
        try:
            convert(specs[key], value[key])
        except ValueProblemError as error:
            problems.append(f"{key}: {value[key]!r} {error}")
    if not value.get("path"):
        problems.append("path: missing")
    if problems:
        raise ValueProblemError(f"has problems: {'; '.join(problems)}")
    return value


def _items(item_types: Sequence[Any], values: list[Any]) -> list[Any]:
    members = members_of(item_types[0]) if item_types else [Any]
    converted = []
    for value in values:
        try:
            converted.append(_match(members, value))
        except ValueProblemError as error:
            raise ValueProblemError(f"is wrong in its item {value!r}, which {error}") from error
    return converted


def _read_bool(text: str) -> bool:
    if text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    raise ValueProblemError("")


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueProblemError("")
    return number


def _read_mapping(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueProblemError("")
    return value


_READERS: Final[dict[Any, Callable[[str], Any]]] = {
    int: int,
    float: _read_float,
    bool: _read_bool,
    dict: _read_mapping,
}

_NAMES: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "a mapping",
    list: "a list",
}


def _describe(members: Sequence[Any]) -> str:
    names = []
    for member in members:
        origin = get_origin(member) or member
        if origin is list and get_args(member)[:1] in ((float,), (int,)):
            names.append("a list of numbers")
        elif origin is not type(None):
            names.append("text" if is_enum(origin) else _NAMES.get(origin, "a value a YAML file can hold"))
    return " or ".join(dict.fromkeys(names))


def _fix(members: Sequence[Any], value: Any) -> str:
    """What to write instead, where that is plain."""
    origins = [get_origin(member) or member for member in members]
    if int in origins and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    if list in origins and isinstance(value, (str, int, float)):
        return f"; write [{value}]"
    if str in origins and isinstance(value, (bool, int, float)):
        return "; put it in quotes"
    return ""
