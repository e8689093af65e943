"""A dataclass from JSON, with every field's presence and type checked, so that damage is named and never shown."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

from trl_r1.errors import RecordError


T = TypeVar("T")

LARGEST = 2**64  # of a whole number in a record: beyond it, other readers of JSON lose digits
NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def parse_json(text: str) -> Any:
    """
    Parse JSON, strictly.

    Raises:
        [`RecordError`]: when it is no JSON, is nested beyond reading, or names a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not valid JSON ({error})") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        raise RecordError(f"not valid JSON (key {max(names, key=names.count)!r} stands there twice)")
    return content


def read_typed(kind: type[T], content: Any, where: str = "") -> T:
    """
    Build a value of a type out of JSON.

    Args:
        kind (`type`):
            A dataclass, or what its fields are made of: `str`, `int`, `float`, `bool`, `list`, `dict`, unions, `Any`.
        content (`Any`):
            Parsed JSON.
        where (`str`, *optional*):
            Path of the value in its file, for the message.

    Raises:
        [`RecordError`]: naming the field, what stands there and what belongs there.
    """
    if dataclasses.is_dataclass(kind):
        return typing.cast(T, _read_dataclass(kind, content, where))
    return typing.cast(T, _read(kind, content, where))


def _read_dataclass(kind: Any, content: Any, where: str) -> Any:
    if not isinstance(content, dict):
        raise _wrong(where, content, "an object")
    hints = typing.get_type_hints(kind)
    fields = {item.name: item for item in dataclasses.fields(kind)}
    if unknown := sorted(set(content) - set(fields)):
        raise RecordError(f"{_join(where, unknown[0])}: no such field in this schema")
    needed = [name for name, item in fields.items() if not _has_default(item)]
    if missing := [name for name in needed if name not in content]:
        raise RecordError(f"{_join(where, missing[0])}: missing")
    return kind(**{name: _read(hints[name], value, _join(where, name)) for name, value in content.items()})


def _has_default(item: dataclasses.Field[Any]) -> bool:
    return item.default is not dataclasses.MISSING or item.default_factory is not dataclasses.MISSING


def _read(hint: Any, value: Any, where: str) -> Any:
    """A value as its type hint wants it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return _read_any(value, where)
    if origin in (types.UnionType, typing.Union):
        return _read_union(arguments, value, where)
    if origin is list:
        return [_read(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(_need(list, value, where))]
    if origin is dict:
        pairs = _need(dict, value, where).items()
        return {_text(name, where): _read(arguments[1], item, _join(where, name)) for name, item in pairs}
    if dataclasses.is_dataclass(hint):
        return _read_dataclass(hint, value, where)
    return _read_scalar(hint, value, where)


def _read_union(choices: Iterable[Any], value: Any, where: str) -> Any:
    """`X | None`, the only union of the schema."""
    (kind,) = [choice for choice in choices if choice is not type(None)]
    return None if value is None else _read(kind, value, where)


def _read_scalar(kind: Any, value: Any, where: str) -> Any:
    allowed = (int, float) if kind is float else (kind,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(where, value, NAMES[kind])
    return _text(value, where) if isinstance(value, str) else _number(value, where)


def _read_any(value: Any, where: str) -> Any:
    """JSON of any shape, but nothing that other readers of JSON would refuse."""
    if isinstance(value, list):
        return [_read_any(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {_text(name, where): _read_any(item, _join(where, name)) for name, item in value.items()}
    return _text(value, where) if isinstance(value, str) else _number(value, where)


def _number(value: Any, where: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(where, value, "a finite number")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise RecordError(
            f"{where}: a whole number of {value.bit_length()} bits, where other readers of JSON keep 64 at most"
        )
    return value


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"{where}: {value!r} is no Unicode text") from error
    return value


def _need(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(where, value, "a list" if kind is list else "an object")
    return value


def _wrong(where: str, value: Any, wanted: str) -> RecordError:
    shown = repr(value)
    return RecordError(
        f"{where or 'the record'}: {shown[:80]}{'...' if len(shown) > 80 else ''}, where {wanted} belongs"
    )


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
