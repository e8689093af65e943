"""
How hard questions are for a model: sample it, verify, count.

A question passes by the definition of training's filter, [`~trl_r1.data.difficulty`]. A sample that nobody could
judge is no sample.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from trl_r1.data.difficulty import PASS_RATE_COLUMN, PASSING_REWARD, PassCount, in_band, passes
from trl_r1.data.judging import JUDGED_BY, judge_by_row, response_text
from trl_r1.data.verdict_cache import RIGHT, UNDECIDED, WRONG, VerdictCache, question_key
from trl_r1.errors import DataError
from trl_r1.generation.jobs import BatchStep, GenerationJob
from trl_r1.generation.types import GenerationEngine, Prompt, SamplingParameters
from trl_r1.rewards.completions import parse_completions
from trl_r1.stage_record import collect_versions
from trl_r1.verifiers import Judgement, Verdict


if TYPE_CHECKING:
    from datasets import Dataset

VERDICTS: Final = pa.schema([("prompt", pa.int64()), ("sample", pa.int64()), ("verdict", pa.string())])
VERIFIERS: Final = ("trl_r1", "math-verify", "reasoning-gym")  # packages whose version a verdict depends on
BANDS: Final = ("0", "0-0.25", "0.25-0.5", "0.5-0.75", "0.75-1", "1")  # the ends that are open stand in the inner ones

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DifficultyEstimate:
    """
    Pass counts of questions.

    Args:
        counts (`list[PassCount]`):
            Of each row. No sample where none could be judged.
        num_questions (`int`):
            Different questions among the rows.
        drawn, reused (`int`):
            Samples drawn now, and taken from the cache.
        undecided (`int`):
            Of both, those that nobody could judge.
    """

    counts: list[PassCount]
    num_questions: int
    drawn: int
    reused: int
    undecided: int

    def histogram(self) -> dict[str, int]:
        """Rows by band of pass rate: none solved, four quarters, all solved, and `none` where it is not known."""
        bands = dict.fromkeys((*BANDS, "none"), 0)
        for count in self.counts:
            bands[band_of(count.rate)] += 1
        return bands

    def outside(self, low: float, high: float) -> list[str | None]:
        """Why each row is not in a band of pass rates: `too_hard`, `too_easy` or `not_judged`; `None` where it is."""
        return [_outside(count.rate, low, high) for count in self.counts]


class DifficultyJob:
    """
    Measures pass rates, as a job that several processes share and that goes on after a kill.

    Samples are taken from the cache where it has them; only what is missing is drawn. Further samples of a question
    are drawn with a seed that follows from how many there are already, so they are independent of those: 4 samples
    and then 4 more say as much as 8 at once, but are not the same 8. (An engine that draws a batch at once could not
    draw the missing half of a batch by itself.)

    Args:
        engine ([`GenerationEngine`]):
            The model.
        rows (`Dataset` or `Sequence[Mapping[str, Any]]`):
            Questions as [`load_prompts`] prepares them; their columns say what judges them, see
            [`~trl_r1.data.judging.route_of`].
        prompts (`Sequence[Prompt]`):
            The same as the model reads them.
        params ([`SamplingParameters`]):
            How to sample; `num_samples` is how many each question is to have.
        folder (`str` or `Path`):
            Where the work is kept until it is finished.
        cache (`str` or `Path`, *optional*):
            Folder of verdicts that outlasts it.
        rank, world_size (`int`, *optional*):
            This process, and the number of all.

    Raises:
        [`DataError`]: when there is no question, or nothing decides any of them.
    """

    def __init__(
        self,
        engine: GenerationEngine,
        rows: Dataset | Sequence[Mapping[str, Any]],
        prompts: Sequence[Prompt],
        params: SamplingParameters,
        *,
        folder: str | Path,
        cache: str | Path | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not len(rows):
            raise DataError("dataset: no question to measure; give a dataset with rows")
        self.engine, self.rows, self.prompts, self.params = engine, rows, prompts, params
        self.folder, self.rank, self.world_size = Path(folder), rank, world_size
        self.keys = [question_key(prompt, _judged_by(row)) for prompt, row in zip(prompts, rows, strict=True)]
        self.cache = VerdictCache(cache, self._identity()) if cache is not None else None
        self.known = self.cache.read() if self.cache is not None else {}
        self._jobs = self._plan()

    def run(self, progress: bool = False, progress_file: Path | None = None) -> None:
        """
        Draw and judge this process's share of what is missing.

        Raises:
            [`GenerationError`]: when samples could not be had; the others stay.
        """
        for number, (questions, job) in enumerate(self._jobs, start=1):
            logger.info("part %d of %d: %d questions", number, len(self._jobs), len(questions))
            job.run(progress=progress, progress_file=progress_file)
            step = self._step(job)
            step.run(
                lambda index, job=job, questions=questions: self._judge(job, questions, index),  # type: ignore[misc]
                size=lambda index, job=job: len(job.plan[index].rows),  # type: ignore[misc]
                progress=progress,
                progress_file=progress_file,
            )

    def result(self) -> DifficultyEstimate:
        """
        Count all verdicts, once every process has done its share, and keep them in the cache. For the first process.

        Raises:
            [`DataError`]: when nothing could be judged.
        """
        verdicts = dict(self.known)
        new: dict[str, str] = {}
        drawn = 0
        for questions, job in self._jobs:
            step = self._step(job)
            step.wait()
            series: dict[int, list[str]] = {}
            for row in step.dataset():  # in the order of the plan: a prompt's samples follow one another
                series.setdefault(row["prompt"], []).append(row["verdict"])
                drawn += 1
            for place, letters in series.items():
                key = self.keys[questions[place]]
                new[key] = self.known.get(key, "") + "".join(letters)
        verdicts |= new
        if self.cache is not None:
            self.cache.add(new)
        own = {key: verdicts[key][: self.params.num_samples] for key in dict.fromkeys(self.keys)}
        counts = {
            key: PassCount(series.count(RIGHT), len(series) - series.count(UNDECIDED)) for key, series in own.items()
        }
        undecided = sum(series.count(UNDECIDED) for series in own.values())
        if not any(count.num_samples for count in counts.values()):
            raise DataError(f"dataset: none of {undecided} samples could be judged; give rows a reference answer")
        return DifficultyEstimate(
            counts=[counts[key] for key in self.keys],
            num_questions=len(own),
            drawn=drawn,
            reused=sum(map(len, own.values())) - drawn,
            undecided=undecided,
        )

    def _identity(self) -> dict[str, Any]:
        """What decides a verdict beside its question. The size of a batch moves text, not how likely it is."""
        sampling = dataclasses.asdict(self.params)
        for name in ("num_samples", "batch_size", "logprobs"):
            del sampling[name]
        versions = {name: version for name, version in collect_versions().items() if name in VERIFIERS}
        return {"engine": self.engine.identity, "sampling": sampling, "verifiers": versions}

    def _plan(self) -> list[tuple[list[int], GenerationJob]]:
        """The questions to sample, each once, by how many samples of them are known; a job for each number."""
        by_known: dict[int, list[int]] = {}
        firsts: dict[str, int] = {}
        for place, key in enumerate(self.keys):
            firsts.setdefault(key, place)
        for key, place in firsts.items():
            known = len(self.known.get(key, ""))
            if known < self.params.num_samples:
                by_known.setdefault(known, []).append(place)
        return [(questions, self._job(known, questions)) for known, questions in sorted(by_known.items())]

    def _job(self, known: int, questions: list[int]) -> GenerationJob:
        params = dataclasses.replace(
            self.params,
            num_samples=self.params.num_samples - known,
            seed=later_seed(self.params.seed, known),
        )
        prompts = [self.prompts[place] for place in questions]
        folder = self.folder / f"after-{known}-{_digest([self.keys[place] for place in questions])[:8]}"
        return GenerationJob(folder, prompts, params, self.engine, rank=self.rank, world_size=self.world_size)

    def _step(self, job: GenerationJob) -> BatchStep:
        versions = self._identity()["verifiers"]
        return BatchStep(
            job.folder,
            "verdicts",
            VERDICTS,
            len(job.plan),
            rank=self.rank,
            world_size=self.world_size,
            identity=[versions, _digest(self.keys)],
        )

    def _judge(self, job: GenerationJob, questions: Sequence[int], index: int) -> list[dict[str, Any]]:
        """Verdicts of a batch."""
        batch = job.samples(index)
        rows = {place: self.rows[questions[place]] for place in dict.fromkeys(row.prompt for row, _ in batch)}
        asked = [rows[row.prompt] for row, _ in batch]
        texts = [response_text(row, "", made.text) for row, (_, made) in zip(asked, batch, strict=True)]
        parsed = parse_completions(texts, None, [row.get("response_format") for row in asked])
        judged = judge_by_row(asked, parsed)
        return [
            {"prompt": row.prompt, "sample": row.sample, "verdict": _letter(judgement)}
            for (row, _), judgement in zip(batch, judged, strict=True)
        ]


def estimate_difficulty(
    engine: GenerationEngine,
    rows: Dataset | Sequence[Mapping[str, Any]],
    params: SamplingParameters,
    *,
    folder: str | Path,
    cache: str | Path | None = None,
    progress: bool = False,
) -> DifficultyEstimate:
    """
    Measure how often a model solves each question.

    Args:
        engine, rows, params, folder, cache:
            As of [`DifficultyJob`].
        progress (`bool`, *optional*, defaults to `False`):
            Whether to draw a progress bar.

    Returns:
        [`DifficultyEstimate`]

    Raises:
        [`DataError`] and [`GenerationError`]: as of [`DifficultyJob`].
    """
    from trl_r1.data.rendering import render_text

    tokenizer = engine.tokenizer
    prompts = [row["prompt"] if tokenizer is None else render_text(row["prompt"], tokenizer) for row in rows]
    job = DifficultyJob(engine, rows, prompts, params, folder=folder, cache=cache)
    job.run(progress)
    return job.result()


def measured_columns(count: PassCount, interval: Callable[[int, int], tuple[float, float]]) -> dict[str, Any]:
    """
    The columns a measured row gets: `pass_rate`, `num_samples`, and the ends of an interval.

    Args:
        count ([`PassCount`]):
            Of the row.
        interval (`Callable[[int, int], tuple[float, float]]`):
            Of successes among trials.
    """
    ends = interval(count.num_correct, count.num_samples) if count.num_samples else (None, None)
    return {
        PASS_RATE_COLUMN: count.rate,
        "num_samples": count.num_samples,
        "pass_rate_low": ends[0],
        "pass_rate_high": ends[1],
    }


def measured_rows(
    rows: Dataset,
    estimate: DifficultyEstimate,
    interval: Callable[[int, int], tuple[float, float]],
    kept: Sequence[int],
) -> Iterator[dict[str, Any]]:
    """The rows chosen, as a data set of questions: what they came with, and what was measured."""
    names = [name for name in rows.column_names if name not in left_out(rows)]
    for place in kept:
        row = rows[place]
        yield {name: row[name] for name in names} | measured_columns(estimate.counts[place], interval)


def left_out(rows: Dataset) -> frozenset[str]:
    """Columns that loading made of the question, or the question where a ready-made prompt stands for it."""
    made = {"prompt_tail", "response_format", "num_samples", "pass_rate", "pass_rate_low", "pass_rate_high"}
    return frozenset(made | ({"problem"} if _has_ready_prompts(rows) else {"prompt"}))


def band_of(rate: float | None) -> str:
    """The band of a pass rate, of `BANDS`; `"none"` where it is not known."""
    if rate is None:
        return "none"
    if rate in (0, 1):
        return BANDS[0] if rate == 0 else BANDS[-1]
    return next(name for name in BANDS[1:-1] if rate <= float(name.partition("-")[2]))


def later_seed(seed: int, known: int) -> int:
    """The seed of samples beyond the `known` first ones: independent of those'; the seed itself for the first."""
    if not known:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}:{known}".encode()).digest()[:4], "big") >> 1


def _has_ready_prompts(rows: Dataset) -> bool:
    """Whether prompts say more than the question and a template do: chats of several turns, or texts of their own."""
    for row in rows.select_columns(["prompt", "problem"]):
        prompt = row["prompt"]
        if (isinstance(prompt, str) and prompt == row["problem"]) or (isinstance(prompt, list) and len(prompt) > 1):
            return True
    return False


def _judged_by(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in (*JUDGED_BY, "response_format") if row.get(name) is not None}


def _letter(judgement: Judgement | None) -> str:
    rewards = {Verdict.CORRECT: PASSING_REWARD, Verdict.WRONG: 0.0}
    reward = None if judgement is None else rewards.get(judgement.verdict)
    return {True: RIGHT, False: WRONG, None: UNDECIDED}[passes(reward)]


def _digest(keys: Sequence[str]) -> str:
    return hashlib.sha256("".join(keys).encode()).hexdigest()


def _outside(rate: float | None, low: float, high: float) -> str | None:
    if rate is None:
        return "not_judged"
    if in_band(rate, low, high):
        return None
    return "too_hard" if rate < low else "too_easy"
