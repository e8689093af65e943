"""What an evaluation scores when the questions that were found in the training data are left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any, Final

from trl_r1.data.normalised_text import normalise
from trl_r1.data.parquet_files import read_rows
from trl_r1.errors import DataError


CONFIDENCE: Final = 0.95
_SAMPLES: Final = ("samples-*.parquet", "samples-*.jsonl")  # the latter of older evaluations


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreChange:
    """
    The accuracy of one file of samples, on all questions and without those found.

    Args:
        samples (`str`):
            The file's name.
        questions, contaminated (`int`):
            Questions asked, and how many of them were found.
        accuracy (`float`):
            On all questions; the answers of one are averaged first.
        clean_accuracy (`float`, *optional*):
            On those not found; `None` when all were.
        contaminated_accuracy (`float`, *optional*):
            On those found; `None` when none was.
        change, low, high (`float`, *optional*):
            `clean_accuracy - accuracy`, with its 95 % interval where both kinds of questions can be compared.
    """

    samples: str
    questions: int
    contaminated: int
    accuracy: float
    clean_accuracy: float | None = None
    contaminated_accuracy: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None


def find_sample_files(paths: Sequence[str | Path]) -> list[Path]:
    """
    Files of evaluation samples: those named, and those of the folders named.

    Raises:
        [`DataError`]: when a path is not there, or a folder has none.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        found = _samples_of(path) if path.is_dir() else [path] if path.is_file() else []
        if not found:
            raise DataError(f"samples: {str(path)!r} holds no {_SAMPLES[0]}; name an evaluation's folder or file")
        files += found
    return files


def _samples_of(folder: Path) -> list[Path]:
    return sorted(path for pattern in _SAMPLES for path in folder.glob(pattern))


def score_change(path: str | Path, asked: set[str], found: set[str]) -> ScoreChange | None:
    """
    The change of a score when the questions found are left out.

    The difference of all and clean questions is the share of questions found times the difference between clean and
    found ones, who are other questions: its interval is Newcombe's where each question is right or wrong, Welch's
    where several answers are averaged.

    Args:
        path (`str` or `Path`):
            A file of evaluation samples.
        asked, found (`set[str]`):
            Normalised questions of the benchmarks, and those of them that were found.

    Returns:
        [`ScoreChange`] or `None`: `None` when the file has no question of the benchmarks.

    Raises:
        [`DataError`]: when a row lacks what a sample has.
    """
    values: dict[str, list[float]] = {}
    for row in read_rows(path):
        try:
            key = normalise(row["problem"])
            right = _is_right(row)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: a row is no evaluation sample ({error}); name files of an evaluation") from error
        if key in asked and right is not None:
            values.setdefault(key, []).append(right)
    if not values:
        return None
    means = {key: fmean(own) for key, own in values.items()}
    dirty = [value for key, value in means.items() if key in found]
    clean = [value for key, value in means.items() if key not in found]
    change = difference_without(dirty, clean)
    return ScoreChange(
        samples=Path(path).name,
        questions=len(means),
        contaminated=len(dirty),
        accuracy=fmean(means.values()),
        clean_accuracy=fmean(clean) if clean else None,
        contaminated_accuracy=fmean(dirty) if dirty else None,
        change=change[0] if change else None,
        low=change[1] if change else None,
        high=change[2] if change else None,
    )


def difference_without(
    dirty: Sequence[float], clean: Sequence[float]
) -> tuple[float, float | None, float | None] | None:
    """Mean of `clean` minus mean of both, with its interval; `None` where one of them is empty."""
    if not dirty or not clean:
        return None
    share = len(dirty) / (len(dirty) + len(clean))
    change = share * (fmean(clean) - fmean(dirty))
    if set(dirty) | set(clean) <= {0.0, 1.0}:
        low, high = _newcombe(clean, dirty)
    elif len(dirty) > 1 and len(clean) > 1 and variance(dirty) + variance(clean) > 0:
        low, high = _welch(clean, dirty)
    else:
        return change, None, None
    return change, share * low, share * high


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _newcombe(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Newcombe's hybrid score interval of `first - second`, rates of independent trials (1998, method 10)."""
    a, b = fmean(first), fmean(second)
    (a_low, a_high), (b_low, b_high) = (wilson(round(sum(own)), len(own)) for own in (first, second))
    return a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)


def _welch(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    from scipy.stats import ttest_ind

    interval = ttest_ind(first, second, equal_var=False).confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high)


def _is_right(row: dict[str, Any]) -> float | None:
    """Whether a sample is right; `None` where no verifier decides."""
    accuracy = row["metrics"].get("accuracy")
    return None if accuracy is None else float(accuracy)
