"""The sandbox as others use it: made anywhere, started when needed, shared by threads."""

from __future__ import annotations

import os
from typing import Any

from trl_r1.verifiers.sandbox.outcome import Isolation, Limits
from trl_r1.verifiers.sandbox.servers import Servers
from trl_r1.verifiers.sandbox.session import Session


class Sandbox:
    """
    Isolated processes for code nobody has read.

    Cheap to make: servers start with the first session. Usable from any thread; a forked process starts its own
    servers; pickles without them.

    Args:
        isolation (`str`):
            `"bubblewrap"`, `"landlock"`, `"auto"` (the first of these that works here, else a refusal), or
            `"unsafe_local"`: a plain process of this user, which can read its files and reach the network.
        size (`int`, *optional*):
            Most servers. Each runs any number of sessions. Defaults to the cores this process may expect: cores of the
            machine over processes on it (`LOCAL_WORLD_SIZE`), at least 1 and at most 4.

    Example:

    ```python
    >>> from trl_r1.verifiers.sandbox import Sandbox

    >>> with Sandbox("unsafe_local").session() as session:
    ...     session.load({"main": "def double(x): return 2 * x"}).failure, session.call("double", [21]).value
    (None, 42)
    ```
    """

    def __init__(self, isolation: Isolation = "auto", size: int | None = None) -> None:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.size = size or max(1, min(4, (os.cpu_count() or 1) // processes))
        self._asked: Isolation = isolation
        self._servers = Servers(isolation, self.size)

    @property
    def isolation(self) -> Isolation:
        """The mode in use. Before the first session, the mode asked for."""
        return self._servers.isolation

    def session(self, limits: Limits = Limits()) -> Session:  # noqa: B008  (frozen)
        """
        A fresh process.

        Args:
            limits ([`Limits`]):
                What it may use.

        Raises:
            [`SandboxError`]: code cannot be isolated here.
        """
        return Session(self._servers, limits)

    def close(self) -> None:
        """End all processes. The next session starts them again."""
        self._servers.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return Sandbox, (self._asked, self.size)


_SHARED: dict[Isolation, Sandbox] = {}


def shared_sandbox(isolation: Isolation = "auto") -> Sandbox:
    """The sandbox of this process for a mode, made when first asked for."""
    return _SHARED.setdefault(isolation, Sandbox(isolation))
