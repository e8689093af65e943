"""
Have a teacher answer prompts that no rule verifies, with thoughts where they help, and keep what is fit to learn from.

    trl-r1 general_data --config general_data.yaml

Goes on where it was after a kill. Rows are chats in R1's format, with an empty think block where nothing was thought.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from trl_r1.errors import DataError, TemplateError
from trl_r1.scripts.common import run_script
from trl_r1.scripts.publishing import publishing
from trl_r1.scripts.sampling import SamplingRun, generation_metrics, sampling_run
from trl_r1.stage_record import Measurement


if TYPE_CHECKING:
    from trl_r1.data import PromptData
    from trl_r1.data.general_data import GeneralFilters
    from trl_r1.generation.jobs import BatchStep, GenerationJob
    from trl_r1.recipe import Recipe

ANSWERS: Final = pa.schema(
    [
        ("prompt", pa.int64()),
        ("sample", pa.int64()),
        ("text", pa.string()),  # none where it is dropped
        ("thinking", pa.bool_()),
        ("reason", pa.string()),
        ("key", pa.binary()),  # the same for equal answers to equal prompts
        ("seed", pa.int64()),
        ("tokens", pa.int64()),
    ]
)


def answer(recipe: Recipe) -> None:
    """Ask, look at the answers, write the rows, then the record with every count, and the card."""
    filters = filters_of(recipe.script_args)
    with sampling_run(recipe, load_general(recipe)) as run:
        tail = _prompt_tail(run)
        job = run.sample()
        step = _answer_step(run, job, filters, tail)
        step.run(
            lambda index: _read_batch(run, job, index, filters, tail),
            size=lambda index: len(job.plan[index].rows),
            progress=True,
            progress_file=run.progress_file,
        )
        if not run.is_main:
            return
        step.wait()
        counts = _write(run, step, filters)
        sampled = generation_metrics(job.summary())
        run.finish(sampled | {name: Measurement(value=float(count)) for name, count in counts.items()})


def load_general(recipe: Recipe) -> PromptData:
    """The recipe's prompts, ready to ask."""
    from trl_r1.data import PromptData
    from trl_r1.data.general_data import prepare_general
    from trl_r1.data.mixture import load_sources
    from trl_r1.data.prompts import describe_sources
    from trl_r1.data.rows import first_rows, join_parts

    arguments = recipe.script_args
    raw = load_sources(arguments, recipe.dataset_args)
    prepared = [
        prepare_general(
            source,
            arguments.dataset_prompt_column,
            arguments.dataset_domain_column,
            thinking=arguments.thinking,
            column=arguments.thinking_column,
            max_trivial_words=arguments.max_trivial_words,
        )
        for source in raw
    ]
    parts = first_rows([dataset for dataset, _ in prepared], arguments.max_train_rows)
    return PromptData(dataset=join_parts(parts), sources=describe_sources(raw, prepared, parts))


def filters_of(arguments: Any) -> GeneralFilters:
    """The recipe's filters."""
    from trl_r1.data.general_data import GeneralFilters

    return GeneralFilters(
        drop_refusals=arguments.drop_refusals,
        keep_language_consistent=arguments.keep_language_consistent,
        drop_markdown_thoughts=arguments.drop_markdown_thoughts,
        max_paragraph_words=arguments.max_paragraph_words,
        max_repetition=arguments.max_repetition,
        max_kept_per_prompt=arguments.max_kept_per_prompt,
        max_rows=arguments.max_rows,
        domain_column=arguments.dataset_domain_column,
    )


def _prompt_tail(run: SamplingRun) -> str:
    """What the teacher's chat template begins of its answers."""
    from trl_r1.data.rendering import PromptRenderer

    tokenizer = run.engine.tokenizer
    if tokenizer is None:
        return ""
    if not tokenizer.chat_template:
        raise TemplateError("chat_template: the teacher's tokenizer has none; general prompts are asked as chats")
    return PromptRenderer(tokenizer).prompt_tail


def _answer_step(run: SamplingRun, job: GenerationJob, filters: GeneralFilters, tail: str) -> BatchStep:
    import dataclasses

    from trl_r1.generation.jobs import BatchStep

    looked_at_by = {
        name: value
        for name, value in dataclasses.asdict(filters).items()
        if name not in ("max_kept_per_prompt", "max_rows")
    }
    identity = [looked_at_by, tail, [source.fingerprint for source in run.prompts.sources]]
    plan = len(job.plan)
    return BatchStep(run.folder, "answers", ANSWERS, plan, rank=run.rank, world_size=run.world_size, identity=identity)


def _read_batch(
    run: SamplingRun, job: GenerationJob, index: int, filters: GeneralFilters, tail: str
) -> list[dict[str, Any]]:
    from trl_r1.data.general_data import read_answer
    from trl_r1.data.rejection_sampling.steps import key_of

    rows = []
    for place, completion in job.samples(index):
        prompt = run.prompts.dataset[place.prompt]
        found = read_answer(prompt, completion, tail, filters)
        words = " ".join((found.text or "").split())
        rows.append(
            {
                "prompt": place.prompt,
                "sample": place.sample,
                "text": found.text,
                "thinking": found.thinking,
                "reason": found.reason,
                "key": None if found.text is None else key_of(" ".join(prompt["problem"].split()), words),
                "seed": completion.seed,
                "tokens": completion.num_tokens,
            }
        )
    return rows


def _write(run: SamplingRun, step: BatchStep, filters: GeneralFilters) -> dict[str, int]:
    """
    Write the rows. Returns the counts, which add up.

    Raises:
        [`DataError`]: when none is left.
    """
    from trl_r1.data.general_data import choose_answers, general_rows
    from trl_r1.data.parquet_files import write_parquet

    answers = step.dataset()
    prompts, keys = answers["prompt"][:], answers["key"][:]
    order = sorted((place for place, key in enumerate(keys) if key is not None), key=lambda place: prompts[place])
    passed = [(prompts[place], keys[place]) for place in order]
    reasons = Counter(reason for reason in answers["reason"][:] if reason is not None)
    chosen, left_out = choose_answers(passed, filters, run.arguments.seed)
    kept = [order[place] for place in chosen]
    dropped = Counter(dict(reasons)) + Counter(left_out)
    if not kept:
        told = ", ".join(f"{reason} {count}" for reason, count in dropped.most_common())
        raise DataError(f"general data: none of {len(keys)} answers passed ({told}); look at the teacher's samples")
    features = _features(run)
    stream: Iterator[tuple[int, Mapping[str, Any]]] = ((prompts[place], answers[place]) for place in kept)
    rows = general_rows(run.prompts.dataset, stream, _constants(run))
    write_parquet(run.output_dir, ({name: row.get(name) for name in features} for row in rows), features, len(kept))
    thinking = sum(answers[place]["thinking"] for place in kept)
    return {
        "solved_prompts": len({prompts[place] for place in kept}),
        "kept": len(kept),
        "with_thoughts": thinking,
        **{f"dropped/{reason}": count for reason, count in dropped.most_common()},
    }


def _constants(run: SamplingRun) -> dict[str, Any]:
    teacher = run.recipe.model_args.model_name_or_path
    return {"teacher": teacher, "temperature": run.params.temperature, "top_p": run.params.top_p}


def _features(run: SamplingRun) -> Any:
    """Columns of the rows and their types."""
    from datasets import Features, Value

    text, number, whole = Value("string"), Value("float64"), Value("int64")
    own = {
        name: feature
        for name, feature in run.prompts.dataset.features.items()
        if name not in ("prompt", "asked", "way", "thinking", "messages")
    }
    made: dict[str, Any] = {
        "thinking": Value("bool"),
        "teacher": text,
        "temperature": number,
        "top_p": number,
        "sample_index": whole,
        "sample_seed": whole,
        "completion_tokens": whole,
    }
    turns: Any = [{"role": text, "content": text}]
    return Features({"messages": turns} | own | made)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("general_data", publishing(answer), argv)


if __name__ == "__main__":
    sys.exit(main())
