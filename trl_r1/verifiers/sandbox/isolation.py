"""How a fork server is started in each mode of isolation, and which mode this machine allows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from trl_r1.verifiers.sandbox.outcome import Isolation, SandboxError


INSIDE = Path(__file__).parent / "inside"
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from inside.server import main; main(int(sys.argv[2]), sys.argv[3])"
)


def command(isolation: Isolation, descriptor: int) -> list[str]:
    """The command line of a fork server that is spoken to through `descriptor`."""
    if isolation == "unsafe_local":
        interpreter = os.path.realpath(sys.executable)
        return [interpreter, "-s", "-S", "-P", "-B", "-c", _START, str(INSIDE.parent), str(descriptor), isolation]
    raise SandboxError(f"isolation {isolation} is not there yet")


def resolve(isolation: Isolation) -> Isolation:
    """The mode meant by `isolation` on this machine."""
    return isolation
