"""What the rewards that run model-written code share: reading their settings and their columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, get_args

from trl_r1.errors import RewardError
from trl_r1.verifiers.sandbox import Isolation, Limits


def read_sandbox_settings(isolation: str, limits: Mapping[str, float] | Limits | None) -> tuple[Isolation, Limits]:
    """
    Settings of the sandbox, as a recipe gives them.

    Args:
        isolation (`str`):
            `"auto"`, `"bubblewrap"`, `"landlock"` or `"unsafe_local"`.
        limits (`Mapping[str, float]` or [`~trl_r1.verifiers.sandbox.Limits`], *optional*):
            Limits, or those of them that differ from the defaults.

    Raises:
        [`RewardError`]: when there is no such isolation or limit.
    """
    if isolation not in get_args(Isolation):
        raise RewardError(f"isolation: {isolation!r} is unknown; use one of {', '.join(get_args(Isolation))}")
    try:
        found = limits if isinstance(limits, Limits) else Limits(**(limits or {}))  # type: ignore[arg-type]
    except TypeError as error:
        raise RewardError(f"limits: {limits!r} does not fit; give some of {list(Limits.__slots__)}") from error
    return isolation, found  # type: ignore[return-value]


def is_missing(value: Any, beside: Collection[str] = ()) -> bool:
    """
    Whether a row has nothing in a column. Arrow turns a missing mapping into one whose values are all `None`.

    Args:
        value (`Any`):
            What the column holds.
        beside (`Collection[str]`, *optional*):
            Keys of a mapping that mean nothing alone.
    """
    if isinstance(value, Mapping):
        return all(item is None for key, item in value.items() if key not in beside)
    return value is None
