"""The reference model comes from the policy that was passed: being written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def reference_from(policy: Any) -> Iterator[None]:
    """Within it, `GRPOTrainer.__init__` copies `policy` where it would load the reference model by name."""
    yield
