"""Plain values as bytes and back: the only language spoken across the sandbox's wall.

JSON carries `None`, booleans, strings, floats, small integers and lists as they are; everything else is an object of
one key that names the type. The encoder runs on both sides and is a convenience. The decoder is the wall: whatever
the bytes say, it gives plain data of bounded size and depth, or raises [`WireError`].
"""

from __future__ import annotations

import binascii
import itertools
import json
import re
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any


MAX_DEPTH = 100  # of nested containers; deep enough for any test, shallow enough for `==` and `repr`
MAX_EQUAL_HASHES = 64  # keys of one set or dictionary; more make building it quadratic
_MOST_BRACKETS = 3 * MAX_DEPTH + 20  # a dictionary is an object, a list, and a list of each pair
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - _STEPS.keys())
_NATIVE_DIGITS = 18
_NATIVE_INTEGERS = 10**_NATIVE_DIGITS
HEADER = struct.Struct(">I")


class WireError(ValueError):
    """A value that cannot cross, or bytes that are none of ours."""


def frame(message: list[Any]) -> bytes:
    """A message as bytes, its length first."""
    body = encode(message)
    return HEADER.pack(len(body)) + body


def encode(value: Any) -> bytes:
    """
    Plain data as bytes. Subclasses travel as the builtin type they extend.

    Raises:
        [`WireError`]: the value holds something that is not plain data, or is nested too deeply.
    """
    return json.dumps(_lower(value, MAX_DEPTH), separators=(",", ":")).encode("ascii")


def decode(data: bytes) -> Any:
    """
    Bytes as plain data of exactly the builtin types.

    Raises:
        [`WireError`]: the bytes are nothing [`encode`] would have made, or are built to be slow to read.
    """
    _check_brackets(data)
    try:
        value = json.loads(
            data.decode("ascii"), parse_int=_native_integer, object_pairs_hook=_raise_tagged, parse_constant=float
        )
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise WireError(f"not a value: {error}"[:200]) from None
    _check_depth(value)
    return value


def _lower(value: Any, depth: int) -> Any:
    if depth < 0:
        raise WireError(f"nested more than {MAX_DEPTH} deep, or contains itself")
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if -_NATIVE_INTEGERS < value < _NATIVE_INTEGERS else {"int": hex(value)}
    if kind is list:
        return [_lower(item, depth - 1) for item in value]
    if kind in _CONTAINERS:
        return {_CONTAINERS[kind]: [_lower(item, depth - 1) for item in value]}
    if kind is dict:
        return {"dict": [[_lower(key, depth - 1), _lower(item, depth - 1)] for key, item in value.items()]}
    if kind is bytes:
        return {"bytes": binascii.b2a_base64(value, newline=False).decode("ascii")}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    return _lower(_as_builtin(value), depth)


def _as_builtin(value: Any) -> Any:
    """The builtin value behind an instance of a subclass, a byte array, or a NumPy scalar."""
    kind = type(value)
    for base in (int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict):
        if base in kind.__mro__:
            return bytes(value) if base is bytearray else _BASE_VALUE[base](value)
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    raise WireError(f"{kind.__name__} is no plain value")


_CONTAINERS: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}
_BASE_VALUE: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    complex: lambda value: complex(complex.real.__get__(value), complex.imag.__get__(value)),  # type: ignore[attr-defined]
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
}


def _check_brackets(data: bytes) -> None:
    """
    Refuse deep nesting before JSON's reader sees it: the reader's only limit is `sys.setrecursionlimit`, and where the
    caller has raised that, brackets alone would overflow the stack and end the training process.
    """
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    if max(itertools.accumulate(map(_STEPS.__getitem__, brackets)), default=0) > _MOST_BRACKETS:
        raise WireError(f"nested more than {MAX_DEPTH} deep")


def _native_integer(digits: str) -> int:
    if len(digits) > _NATIVE_DIGITS + 1:
        raise WireError("a long integer that is not marked as one")
    return int(digits)


def _raise_tagged(pairs: list[tuple[str, Any]]) -> Any:
    """The value behind an object of one key, which JSON's reader hands over once its content is read."""
    if len(pairs) != 1:
        raise WireError("an object without exactly one key")
    tag, content = pairs[0]
    if tag in ("int", "bytes"):
        if type(content) is not str:
            raise WireError(f"{tag} without its text")
        return int(content, 16) if tag == "int" else binascii.a2b_base64(content, strict_mode=True)
    if type(content) is not list:
        raise WireError(f"{tag} without its items")
    if tag == "tuple":
        return tuple(content)
    if tag == "complex" and len(content) == 2 and all(type(part) is float for part in content):
        return complex(*content)
    if tag in ("set", "frozenset"):
        _check_hashes(content)
        return set(content) if tag == "set" else frozenset(content)
    if tag == "dict" and all(type(pair) is list and len(pair) == 2 for pair in content):
        _check_hashes([key for key, _ in content])
        return dict(content)
    raise WireError(f"no such type: {tag[:40]}")


def _check_hashes(keys: list[Any]) -> None:
    """Refuse keys made to share a hash: a few thousand tuples of -1 and -2 would block the reader for minutes."""
    if len(keys) > MAX_EQUAL_HASHES and Counter(map(hash, keys)).most_common(1)[0][1] > MAX_EQUAL_HASHES:
        raise WireError("too many keys of one hash")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 2):
        level = [item for container in level for item in _items(container)]
        if not level:
            return
    raise WireError(f"nested more than {MAX_DEPTH} deep")


def _items(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return [*value.keys(), *value.values()]
    return value if kind in (list, tuple, set, frozenset) else ()
