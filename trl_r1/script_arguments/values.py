"""Item types of list fields, as the command line and YAML give them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    RewardSpec = str | dict[str, dict[str, Any]]
    JsonMapping = dict[str, Any]
else:
    # At run time the item type of a list field is what the parser calls on each word of a command line.

    def RewardSpec(text):  # noqa: N802
        """A reward's name, or its name with parameters as JSON."""
        return json.loads(text) if text.startswith("{") else text

    def JsonMapping(text):  # noqa: N802
        """A mapping written as JSON."""
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"{text!r} is no JSON mapping")
        return value
