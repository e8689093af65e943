"""
Sample a policy on a dataset and keep what is right and readable: cold-start data, SFT data, distillation data.

    trl-r1 rejection_sample --config recipes/tiny/cold_start_data.yaml

Goes on where it was after a kill. Processes share it: accelerate launch -m trl_r1.scripts.rejection_sample --config ..
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trl_r1.errors import R1Error, RecipeError
from trl_r1.scripts.common import run_script
from trl_r1.scripts.publishing import publishing
from trl_r1.scripts.sampling import SamplingRun, sampling_run
from trl_r1.stage_record import Measurement


if TYPE_CHECKING:
    from trl_r1.data import RejectionResult
    from trl_r1.data.rejection_sampling import ModelJudge, Refine, RejectionJob, Rewriting
    from trl_r1.recipe import Recipe


def sample(recipe: Recipe) -> None:
    """Sample, judge and filter, write `train.jsonl`, then the record with every count, and the card."""
    arguments = recipe.script_args
    rewriting, judge = load_rewriting(arguments), load_judge(arguments)  # before a model is loaded
    with sampling_run(recipe) as run:
        job = _make_job(run, rewriting, judge)
        job.run(progress=True, progress_file=run.progress_file)
        if not run.is_main:
            return
        result = job.result()
        result.write(run.output_dir)
        run.recorder.template |= result.hashes
        run.recorder.notes += _model_notes(rewriting, judge)
        run.finish(count_metrics(result))


def _make_job(run: SamplingRun, rewriting: Refine | Rewriting | None, judge: ModelJudge | None) -> RejectionJob:
    from trl_r1.data import RejectionFilters
    from trl_r1.data.rejection_sampling import RejectionJob

    return RejectionJob(
        run.engine,
        run.prompts.dataset,
        run.params,
        RejectionFilters.from_arguments(run.arguments),
        refine=rewriting,
        judge=judge,
        output_format=run.arguments.output_format,
        teacher=run.recipe.model_args.model_name_or_path,
        sources=[(source.source, source.rows_kept) for source in run.prompts.sources],
        folder=run.folder,
        rank=run.rank,
        world_size=run.world_size,
    )


def load_rewriting(arguments: Any) -> Refine | Rewriting | None:
    """
    What writes kept samples anew: a model, the recipe's own function, or nothing.

    R1-Zero samples that are turned into chats get their answer written out as a sentence at least.
    """
    from trl_r1.data.cold_start import ModelRewriting, read_examples, summarise_answer
    from trl_r1.user_code import find_file, load_callable

    if arguments.rewrite_model:
        examples = read_examples(find_file(arguments.rewrite_examples)) if arguments.rewrite_examples else []
        return ModelRewriting.from_endpoint(
            arguments.rewrite_model,
            arguments.rewrite_base_url,
            arguments.rewrite_api_key_env,
            examples=examples,
            max_failures=arguments.max_rewrite_failures,
            language_ignored_tokens=tuple(arguments.language_ignored_tokens),
            max_tokens=arguments.rewrite_max_tokens,
            **_endpoint_limits(arguments),
        )
    if arguments.refine:
        try:
            return load_callable(arguments.refine)
        except R1Error as error:
            raise RecipeError([f"refine: {arguments.refine}: {error}"]) from error
    chats = arguments.output_format == "messages"
    return summarise_answer if arguments.prompt_template and chats else None


def load_judge(arguments: Any) -> ModelJudge | None:
    """The model that grades what no rule verifies, if the recipe names one."""
    from trl_r1.data.rejection_sampling import ModelJudge

    if not arguments.judge_model:
        return None
    return ModelJudge.from_endpoint(
        arguments.judge_model,
        base_url=arguments.judge_base_url,
        api_key_env=arguments.judge_api_key_env,
        scope=arguments.judge_scope,
        max_failures=arguments.max_judge_failures,
        **_endpoint_limits(arguments),
    )


def count_metrics(result: RejectionResult) -> dict[str, Measurement]:
    """What was asked, kept and dropped, by reason."""
    counts = {
        "prompts": result.num_prompts,
        "samples": result.num_samples,
        "solved_prompts": result.num_solved,
        "kept": len(result.rows),
        **{f"dropped/{reason}": count for reason, count in result.dropped.items()},
    }
    return {name: Measurement(value=float(count)) for name, count in counts.items()}


def _endpoint_limits(arguments: Any) -> dict[str, Any]:
    return {
        "max_concurrency": arguments.server_max_concurrency,
        "requests_per_minute": arguments.server_requests_per_minute,
        "timeout": arguments.server_timeout,
        "max_retries": arguments.server_max_retries,
    }


def _model_notes(rewriting: Refine | Rewriting | None, judge: ModelJudge | None) -> list[str]:
    """The models asked beside the teacher, for the record."""
    notes = [f"Judge: {json.dumps(judge.identity, sort_keys=True)}"] if judge else []
    endpoint = getattr(rewriting, "endpoint", None)
    if endpoint is not None:
        notes.append(f"Rewriting: {json.dumps(getattr(rewriting, 'identity', {}), sort_keys=True)}")
    return notes


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("rejection_sample", publishing(sample), argv)


if __name__ == "__main__":
    sys.exit(main())
