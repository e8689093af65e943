"""
What every verb that samples a model does around its own work: load once, share among processes, record, clean up.

All processes work in `.work` below the output folder and meet there alone; no process group is formed. What is a
result is written by the first process, when the work of all is there, and `.work` goes last: whatever is killed when,
the same command goes on.
"""

from __future__ import annotations

import json
import logging
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import GenerationError, R1Error
from trl_r1.scripts.common import StageRecorder
from trl_r1.stage_record import Measurement, describe_parent


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trl_r1.data import PromptData
    from trl_r1.generation import GenerationEngine, GenerationSummary, SamplingParameters
    from trl_r1.generation.jobs import GenerationJob
    from trl_r1.generation.types import Prompt
    from trl_r1.recipe import Recipe

WORK_NAME: Final = ".work"
PROGRESS_NAME: Final = "progress.json"
TERMINATED: Final = 128 + signal.SIGTERM  # exit code

logger = logging.getLogger(__name__)


@dataclass
class SamplingRun:
    """
    A sampling verb at work, in one of its processes.

    Args:
        recipe ([`Recipe`]):
            What to do.
        recorder ([`StageRecorder`]):
            Of the stage; data, parents, templates and seeds are filled in.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
            The model's, with the recipe's chat template; `None` for a server that keeps it to itself.
        prompts ([`PromptData`]):
            What to ask.
        engine ([`GenerationEngine`]):
            What to sample from.
        params ([`SamplingParameters`]):
            How.
        rank, world_size (`int`):
            This process, and the number of all.
    """

    recipe: Recipe
    recorder: StageRecorder
    tokenizer: PreTrainedTokenizerBase | None
    prompts: PromptData
    engine: GenerationEngine
    params: SamplingParameters
    rank: int
    world_size: int
    finished: bool = field(default=False, init=False)

    @property
    def arguments(self) -> Any:
        """The verb's own arguments."""
        return self.recipe.script_args

    @property
    def is_main(self) -> bool:
        """Whether this process writes the result."""
        return self.rank == 0

    @property
    def output_dir(self) -> Path:
        """The stage's folder."""
        return Path(self.arguments.output_dir)

    @property
    def folder(self) -> Path:
        """Where the work is kept until the stage is finished."""
        return self.output_dir / WORK_NAME

    @property
    def progress_file(self) -> Path:
        """Where a pipeline's display looks for how far the stage is."""
        return self.output_dir / PROGRESS_NAME

    def sample(self, prompts: Sequence[Prompt] | None = None) -> GenerationJob:
        """
        Draw this process's share; the first process returns when the work of all is there.

        Args:
            prompts (`Sequence[Prompt]`, *optional*):
                By default those of the data set, as the model reads them.

        Raises:
            [`GenerationError`] or [`R1Error`]: as [`~trl_r1.generation.jobs.GenerationJob`].
        """
        from trl_r1.generation.jobs import GenerationJob

        asked = self.shown_prompts() if prompts is None else prompts
        job = GenerationJob(self.folder, asked, self.params, self.engine, rank=self.rank, world_size=self.world_size)
        job.run(progress=True, progress_file=self.progress_file)
        return job

    def shown_prompts(self) -> list[Prompt]:
        """The prompts of the data set as the model reads them; chats where a server renders them."""
        from trl_r1.data.rendering import render_text

        column = self.prompts.dataset["prompt"]
        if self.engine.tokenizer is None:
            return list(column)
        return [render_text(prompt, self.engine.tokenizer) for prompt in column]

    def finish(self, metrics: Mapping[str, Measurement]) -> None:
        """
        Record the stage and write its card, in that order, when its rows are on disk. For the first process.

        Args:
            metrics (`Mapping[str, Measurement]`):
                Every count.
        """
        from trl_r1.generation.jobs.shares import earlier_launches
        from trl_r1.hub.cards.dataset_card import create_dataset_card
        from trl_r1.hub.lineage import write_lineage

        self.recorder.metrics.update(metrics)
        self.recorder.notes += [f"Server: {note}" for note in getattr(self.engine, "notes", ())]
        self.recipe.write_resolved(self.arguments.output_dir)
        if earlier := earlier_launches(self.folder):
            self.recorder.count_in(earlier.begun, earlier.seconds, earlier.cpu_seconds)
        self.recorder.write()
        write_lineage(self.arguments.output_dir)
        create_dataset_card(
            self.arguments.output_dir, license=self.arguments.hub_license, repo_id=self.recipe.hub_repo_id
        )
        self.finished = True


@contextmanager
def sampling_run(recipe: Recipe, data: Any = None) -> Iterator[SamplingRun]:
    """
    Load what a sampling verb needs, once, and leave the folder as it should be afterwards.

    In a process that is not the first, samples that could not be had end the work without an error: the first process
    waits for the others, and tells all that is missing.

    Args:
        recipe ([`Recipe`]):
            What to do.
        data ([`PromptData`], *optional*):
            What to ask. By default the recipe's data set, loaded as prompts.

    Yields:
        [`SamplingRun`]
    """
    from trl_r1.generation.jobs.shares import end_share, rank_and_world, share_of

    rank, world_size = rank_and_world()
    run = _load(recipe, data, rank, world_size)
    with stop_on_sigterm():
        try:
            yield run
        except R1Error as error:
            if run.is_main:
                raise
            logger.error("process %d: %s", rank, error)  # perhaps its own alone, and the first would not tell it
            if not isinstance(error, GenerationError):
                raise
        finally:
            if not run.is_main:
                end_share(run.folder)
        if run.finished and not recipe.script_args.keep_work:
            share_of(run.folder, rank, world_size).wait_for_others()  # one that comes late would make the folder anew
            remove_work(run.folder)


def remove_work(folder: Path) -> None:
    """Delete the work of a finished stage, in one go for whoever looks: half of it would be no job any more."""
    from trl_r1.generation.jobs.locking import release_shares

    if not folder.exists():
        return
    gone = folder.with_name(f"{folder.name}.done")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    release_shares(folder)


def generation_metrics(summary: GenerationSummary) -> dict[str, Measurement]:
    """What was asked and drawn."""
    counts = {
        "prompts": summary.num_prompts,
        "samples": summary.num_completions,
        "tokens": summary.num_tokens,
        "truncated": summary.num_truncated,
        **({} if summary.num_prompt_tokens is None else {"prompt_tokens": summary.num_prompt_tokens}),
    }
    return {name: Measurement(value=float(count)) for name, count in counts.items()}


def sampling_parameters(arguments: Any) -> SamplingParameters:
    """How the recipe wants to sample."""
    from trl_r1.generation import SamplingParameters

    return SamplingParameters(
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        max_new_tokens=arguments.max_completion_length,
        num_samples=arguments.num_generations,
        seed=arguments.seed,
        batch_size=arguments.generation_batch_size,
        logprobs=getattr(arguments, "logprobs", False),
    )


def _load(recipe: Recipe, data: PromptData | None, rank: int, world_size: int) -> SamplingRun:
    from trl_r1.data import load_prompts
    from trl_r1.generation.engine_loading import load_engine
    from trl_r1.scripts.training import check_ancestry, load_tokenizer, local_revision, template_hashes

    arguments, model_args = recipe.script_args, recipe.model_args
    recorder = StageRecorder.from_recipe(recipe.verb, recipe, arguments.output_dir, arguments.stage_name)
    params = sampling_parameters(arguments)
    tokenizer = load_tokenizer(recipe) if arguments.engine != "server" else _load_server_tokenizer(recipe)
    prompts = load_prompts(arguments, recipe.dataset_args, tokenizer) if data is None else data
    recorder.data = prompts.sources
    check_ancestry(recipe, recorder)
    engine = load_engine(arguments, model_args, tokenizer)
    model = str(model_args.model_name_or_path)
    recorder.parents = [describe_parent(model, role="teacher", revision=local_revision(model_args))]
    if tokenizer is not None:
        recorder.template = template_hashes(recipe, tokenizer)
    recorder.seeds = {"seed": arguments.seed}
    recorder.processes = {"world_size": world_size}
    if arguments.engine != "transformers":  # of that one, parent and versions say all
        recorder.notes.append(f"Engine: {json.dumps(engine.identity, sort_keys=True)}")
    return SamplingRun(recipe, recorder, tokenizer, prompts, engine, params, rank, world_size)


def _load_server_tokenizer(recipe: Recipe) -> PreTrainedTokenizerBase | None:
    """The tokenizer of the model served, if the recipe names one."""
    import copy
    import dataclasses

    from trl_r1.scripts.training import load_tokenizer

    name = recipe.script_args.server_tokenizer
    if name is None:
        return None
    model_args = copy.copy(recipe.model_args)
    model_args.model_name_or_path = name
    return load_tokenizer(dataclasses.replace(recipe, model_args=model_args))


@contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """End well when asked to: nothing half written, a word on how to go on, and the exit code a shell expects."""

    def stop(number: int, frame: FrameType | None) -> None:
        logger.info("stopped; the same command goes on from what is saved")
        sys.exit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread only
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
