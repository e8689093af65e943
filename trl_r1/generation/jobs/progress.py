"""How far a job is: a bar on a terminal, a line of the log now and then elsewhere, and a file for who watches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from trl_r1.stage_record import write_json


if TYPE_CHECKING:
    from rich.progress import Progress

LOG_SECONDS: Final = 30.0
REDRAW_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)


class JobProgress:
    """
    Shows what all processes have made. Rate and time left are of this launch: what was there before costs nothing.

    Args:
        name (`str`):
            The step, such as `"samples"`.
        total, before (`int`):
            Samples in all, and those there when the launch began.
        file (`Path`, *optional*):
            Where to keep `{"step", "max_steps", "metrics"}`, as a training does, for a pipeline's display.
        shown (`bool`, *optional*, defaults to `True`):
            Whether to draw or log.
        clock (`Callable`, *optional*):
            Seconds.
    """

    def __init__(
        self,
        name: str,
        total: int,
        before: int,
        *,
        file: Path | None = None,
        shown: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.total, self.before = name, total, before
        self._file, self._shown, self._clock = file, shown, clock
        self._started = self._looked = self._logged = clock()
        self._bar: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self._shown:
            self._bar = self._draw()
            if self.before:
                logger.info("%s: %d of %d are there already", self.name, self.before, self.total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._file is not None and kind is None:
            self._file.unlink(missing_ok=True)

    def show(self, made: int, tokens: int, *, last: bool = False) -> None:
        """
        Tell how far all processes are.

        Args:
            made, tokens (`int`):
                Samples and tokens of this launch.
            last (`bool`, *optional*, defaults to `False`):
                Whether nothing more is to come, so that it is shown however little time has passed.
        """
        now = self._clock()
        if not last and now - self._looked < REDRAW_SECONDS:
            return
        self._looked = now
        words = self.describe(made, tokens)
        if self._file is not None:
            write_json(self._file, {"step": self.before + made, "max_steps": self.total, "metrics": {}})
        if self._bar is not None:
            self._bar.update(self._task, completed=self.before + made, words=words)
        elif self._shown and made and (last or now - self._logged >= LOG_SECONDS):
            self._logged = now
            logger.info("%s: %d of %d, %s", self.name, self.before + made, self.total, words)

    def describe(self, made: int, tokens: int) -> str:
        """Rates and time left, such as `"12.0 samples/s, 3,400 tokens/s, 1:05 left"`."""
        seconds = self._clock() - self._started
        if not made or seconds <= 0:
            return ""
        rate = made / seconds
        words = [f"{rate:,.1f} {self.name}/s"]
        if tokens:
            words.append(f"{tokens / seconds:,.0f} tokens/s")
        left = self.total - self.before - made
        return ", ".join([*words, *([f"{clock_text(left / rate)} left"] if left > 0 else [])])

    def _draw(self) -> Progress | None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        console = Console(stderr=True)
        if not console.is_terminal:
            return None
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
        )
        bar = Progress(*columns, console=console, transient=True)
        self._task = bar.add_task(self.name, total=self.total, completed=self.before, words="")
        bar.start()
        return bar


def clock_text(seconds: float) -> str:
    """`"1:05"`, or `"2:01:05"` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
