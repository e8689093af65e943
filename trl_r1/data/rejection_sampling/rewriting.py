"""A kept sample written anew, by a function of the user's or by a model."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trl_r1.chat_template import ParsedCompletion
from trl_r1.data.judging import JudgedSample
from trl_r1.data.rejection_sampling.replies import Replies
from trl_r1.errors import DataError
from trl_r1.rewards.endpoint import Endpoint, Messages


# Rewrites a kept sample: its question's row and the parsed sample in, the whole new response out (`None` drops it).
Refine = Callable[[Mapping[str, Any], ParsedCompletion], str | None]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The new response, or why there is none."""

    text: str | None = None
    reason: str = "rejected"


class Rewriting(Protocol):
    """Writes kept samples anew. Its results are parsed and verified again, whoever wrote them."""

    @property
    def label(self) -> str:
        """Begins the reasons of the samples it costs: `"refined"`, `"rewritten"`."""
        ...

    @property
    def author(self) -> str:
        """Who or what writes, noted in every row."""
        ...

    @property
    def max_failures(self) -> float:
        """Largest share of a batch's questions that may stay without a reply."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """What decides its results, as JSON."""
        ...

    @property
    def endpoint(self) -> Endpoint | None:
        """The model that is asked, if one is."""
        ...

    def plan(self, samples: Mapping[str, JudgedSample], replies: Replies) -> Mapping[str, Messages]:
        """Questions to ask next about samples, by name."""
        ...

    def check(self, name: str, reply: str) -> None:
        """Raise `ValueError` for a reply that is none."""
        ...

    def write(self, samples: Mapping[str, JudgedSample], replies: Replies) -> dict[str, Rewritten]:
        """What became of each sample."""
        ...

    def find_problem(self, sample: JudgedSample, parsed: ParsedCompletion) -> str | None:
        """Why a well-formed result is not to be kept, beyond its answer being wrong."""
        ...


class FunctionRewriting:
    """
    Rewriting by a function of the user's.

    Args:
        refine (`Callable`):
            `(row, parsed) -> str | None`.
    """

    label = "refined"
    endpoint: Endpoint | None = None
    max_failures = 0.0

    def __init__(self, refine: Refine) -> None:
        self.refine = refine
        self.author = getattr(refine, "__name__", type(refine).__name__)

    @property
    def identity(self) -> dict[str, Any]:
        """The function's name and the hash of the file it is in."""
        return {"refine": self.author, "sha256": hash_source(self.refine)}

    def plan(self, samples: Mapping[str, JudgedSample], replies: Replies) -> Mapping[str, Messages]:
        """Nothing: a function asks nobody."""
        return {}

    def check(self, name: str, reply: str) -> None:
        """Nothing to check."""

    def write(self, samples: Mapping[str, JudgedSample], replies: Replies) -> dict[str, Rewritten]:
        """
        Call the function on each sample.

        Raises:
            [`DataError`]: when it raises, or returns what is no text.
        """
        return {name: Rewritten(self._call(sample)) for name, sample in samples.items()}

    def find_problem(self, sample: JudgedSample, parsed: ParsedCompletion) -> str | None:
        """Nothing beyond format and answer."""
        return None

    def _call(self, sample: JudgedSample) -> str | None:
        try:
            text = self.refine(sample.row, sample.parsed)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise DataError(
                f"refine: {self.author} raised {reason} on problem {sample.row['problem']!r}; mend it"
            ) from error
        if text is not None and not isinstance(text, str):
            raise DataError(
                f"refine: {self.author} returned {type(text).__name__}; it must return the response, or None"
            )
        return text


def hash_source(function: Callable[..., Any]) -> str:
    """
    SHA-256 of the file that a function is from, with its name: what it calls there decides, too.

    Of a function without a file (one typed into a console) only the name is hashed.
    """
    named = function if hasattr(function, "__qualname__") else type(function)
    try:
        file = inspect.getsourcefile(named)
        source = Path(file).read_bytes() if file else b""
    except (TypeError, OSError):
        source = b""
    return hashlib.sha256(f"{getattr(named, '__qualname__', '')}\n".encode() + source).hexdigest()
