"""Generation without waste: being written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def why_not_compact(model: Any, generation_config: Any) -> str | None:
    """Why generation must be left as it is, or `None`. `generation_config` is `None` when another engine generates."""
    return "not built yet"


@contextmanager
def compact_generation(model: Any) -> Iterator[None]:
    """Within it, `model.generate` drops finished rows and reads each distinct prompt once."""
    yield
