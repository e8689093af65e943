"""The fields of dataclasses as a recipe sees them: name, type, default and allowed values."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """A field a recipe may set."""

    name: str
    hint: Any
    default: Any
    choices: tuple[Any, ...] | None


def field_specs(
    dataclass_types: Iterable[type], choices: Mapping[str, Sequence[str]] | None = None
) -> dict[str, FieldSpec]:
    """
    Every field of some dataclasses by name.

    Args:
        dataclass_types (`Iterable[type]`):
            What the parser will build.
        choices (`Mapping[str, Sequence[str]]`, *optional*):
            Allowed values the dataclasses do not declare themselves.
    """
    specs = {}
    for kind in dataclass_types:
        hints = get_type_hints(kind)
        for item in dataclasses.fields(kind):
            if item.init:
                allowed = (
                    (choices or {}).get(item.name) or item.metadata.get("choices") or _enum_values(hints[item.name])
                )
                specs[item.name] = FieldSpec(
                    name=item.name,
                    hint=hints[item.name],
                    default=item.default if item.default is not dataclasses.MISSING else _made(item.default_factory),
                    choices=tuple(allowed) if allowed else None,
                )
    return specs


def _made(factory: Any) -> Any:
    return None if factory is dataclasses.MISSING else factory()


def members_of(hint: Any) -> list[Any]:
    """The types of a union, or the one type there is."""
    if get_origin(hint) in (Union, types.UnionType):
        return [member for item in get_args(hint) for member in members_of(item)]
    return [hint]


def is_enum(member: Any) -> bool:
    """Whether a type is an enumeration."""
    return isinstance(member, type) and issubclass(member, enum.Enum)


def _enum_values(hint: Any) -> list[Any] | None:
    for member in members_of(hint):
        if is_enum(member):
            return [item.value for item in member]
    members = [member for member in members_of(hint) if member is not type(None)]
    if members and all(get_origin(member) is Literal for member in members):
        return [item for member in members for item in get_args(member)]
    return None
