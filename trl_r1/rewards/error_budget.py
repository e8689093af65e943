"""Errors of a reward, kept from ending a run: counted, shown, and bounded by a budget."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trl_r1.chat_template import completion_text
from trl_r1.errors import RewardError, RewardFaultError
from trl_r1.redaction import hide_secrets
from trl_r1.rewards.batches import BatchLogs, group_rows, slice_batch


MIN_ROWS = 64  # a share of fewer rows says little
MAX_EXHIBITS = 1000  # lines written by one reward
MAX_EXHIBIT_CHARS = 20_000  # of a prompt or completion


def fault_of(name: str, error: BaseException) -> RewardFaultError:
    """The error of reward `name` for an exception it raised, in one line that says where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    lines = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return RewardFaultError(
        f"reward {name!r} raised {what}{where}; mend it, or let it return None for rows it cannot judge"
    )


class ErrorBudget:
    """
    How many rows of a run one reward may fail on. Each process counts its own rows.

    Args:
        name (`str`):
            The reward's name.
        share (`float`):
            Share of the rows that may fail.
        exhibits (`Path`):
            File that gets a JSON line for each failed row: reward, step, reason, prompt and completion.

    Attributes:
        rows (`int`): rows seen so far.
        failed (`int`): rows failed so far.
    """

    def __init__(self, name: str, share: float, exhibits: Path) -> None:
        self.name = name
        self.share = share
        self.exhibits = exhibits
        self.rows = 0
        self.failed = 0

    def spend(self, batch: Mapping[str, Any], faults: Mapping[int, str]) -> None:
        """
        Count a batch.

        Args:
            batch (`Mapping[str, Any]`):
                The reward's keyword arguments.
            faults (`Mapping[int, str]`):
                Failed rows and why.

        Raises:
            [`RewardError`]: when more than the share of the run's rows failed, once 64 rows were seen.
        """
        self._show(batch, faults)
        self.rows += len(batch["completions"])
        self.failed += len(faults)
        if self.rows >= MIN_ROWS and self.failed > self.share * self.rows:
            raise RewardError(
                f"reward {self.name!r} failed on {self.failed} of {self.rows} rows ({self.failed / self.rows:.1%}), "
                f"more than reward_error_budget {self.share:g} allows; mend what {self.exhibits} shows"
            )

    def _show(self, batch: Mapping[str, Any], faults: Mapping[int, str]) -> None:
        room = max(0, MAX_EXHIBITS - self.failed)
        if not faults or not room:
            return
        prompts = batch.get("prompts") or [""] * len(batch["completions"])
        step = getattr(batch.get("trainer_state"), "global_step", None)
        self.exhibits.parent.mkdir(parents=True, exist_ok=True)
        with self.exhibits.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            for row, reason in list(faults.items())[:room]:
                texts = [completion_text(batch_of[row]) for batch_of in (prompts, batch["completions"])]
                prompt, completion = (text[:MAX_EXHIBIT_CHARS] for text in texts)
                line = {"reward": self.name, "step": step, "reason": hide_secrets(reason)}
                line |= {"prompt": prompt, "completion": completion}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")


class Attempt:
    """
    One call of a reward under a budget: the whole batch, then, if that fails, group by group.

    Args:
        batch (`Mapping[str, Any]`):
            Keyword arguments of the call.
        check (`Callable`):
            `check(output, expected)` gives the output as a list, or raises [`RewardFaultError`].

    Attributes:
        faults (`dict[int, str]`): rows without a reward through no fault of the completion, and why.
    """

    def __init__(self, batch: Mapping[str, Any], check: Callable[[Any, int], list[float | None]]) -> None:
        self.batch = batch
        self.size = len(batch["completions"])
        self.faults: dict[int, str] = {}
        self._check = check
        self._values: list[float | None] = [None] * self.size
        self._groups = group_rows(batch.get("prompts") or list(range(self.size)))
        self._logs = BatchLogs(self.size)
        self._part = BatchLogs(self.size)
        self._rows: list[int] = []
        self._failed: str | None = None

    def calls(self) -> Iterator[dict[str, Any]]:
        """Keyword arguments of each call to make. After each, call [`take`] or [`fail`]."""
        yield self._call(list(range(self.size)))
        if self._failed is None:
            return
        groups = self._groups
        if len(groups) == 1:  # the same call again
            self.faults = dict.fromkeys(groups[0], self._failed)
            return
        for rows in groups:
            yield self._call(rows)
            if self._failed is not None:
                self.faults |= dict.fromkeys(rows, self._failed)

    def _call(self, rows: list[int]) -> dict[str, Any]:
        self._rows, self._failed, self._part = rows, None, BatchLogs(self.size)
        return slice_batch(self.batch, rows, self.size) | self._part.callbacks(rows)

    def take(self, output: Any) -> None:
        """The call gave this output."""
        try:
            values = self._check(output, len(self._rows))
        except RewardFaultError as error:
            self.fail(error)
            return
        self._logs.update(self._part)  # what a failed call logged is dropped
        for row, value in zip(self._rows, values, strict=True):
            self._values[row] = value

    def fail(self, error: RewardFaultError) -> None:
        """The call failed."""
        self._failed = str(error)

    def finish(self) -> list[float | None]:
        """Hand on what was logged, and return the rewards, `None` for rows that failed."""
        for group in self._groups:
            unjudged = [row for row in group if self._values[row] is None]
            if len(unjudged) < len(group):  # it applies to this group, so these are faults
                self.faults |= dict.fromkeys(unjudged, "no reward, although others of the group have one")
        self.faults |= self._logs.faults
        self._logs.forward(self.batch)
        return self._values
