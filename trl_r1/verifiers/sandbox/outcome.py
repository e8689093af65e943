"""What a session is allowed, and what came of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from trl_r1.errors import R1Error


Isolation = Literal["auto", "bubblewrap", "landlock", "unsafe_local"]
Failure = Literal["exception", "timeout", "memory", "output", "died", "protocol", "fault"]


class SandboxError(R1Error):
    """Code cannot be isolated on this machine. Never raised for what a candidate does."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What one session may use.

    Args:
        cpu_seconds (`float`):
            Processor time of the session's process, rounded up to whole seconds.
        wall_seconds (`float`):
            Time on the clock for one request. Time the caller spends in `on_call` does not count.
        memory_bytes (`int`):
            Address space of the process, the interpreter's own 50 MB included.
        output_bytes (`int`):
            Size of one reply, or of a program's standard output.

    Example:

    ```python
    >>> from trl_r1.verifiers.sandbox import Limits

    >>> Limits(wall_seconds=2.0).memory_bytes
    1073741824
    ```
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 10.0
    memory_bytes: int = 1 * 1024**3
    output_bytes: int = 1_000_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise SandboxError(f"{name} is {getattr(self, name)}, and must be above 0")


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of one request.

    Args:
        value (`Any`):
            Plain data the code returned, of exactly the builtin types, or the text a program wrote.
        failure (`str`, *optional*):
            Why there is no value: `"exception"`, `"timeout"`, `"memory"`, `"output"` (too much of it), `"died"` (the
            process ended by itself), `"protocol"` (it said something it was not asked), all the code's doing; or
            `"fault"`, ours.
        detail (`str`):
            One line for a reader, such as `"ZeroDivisionError: division by zero"`.
        exception (`str`):
            Name of the exception's type.
    """

    value: Any = None
    failure: Failure | None = None
    detail: str = ""
    exception: str = ""
