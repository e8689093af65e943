"""
Sample a policy on a dataset and keep what is right and readable: cold-start data, SFT data, distillation data.

    trl-r1 rejection_sample --config recipes/tiny/cold_start_data.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trl_r1.errors import R1Error, RecipeError
from trl_r1.scripts.common import StageRecorder, run_script
from trl_r1.scripts.publishing import publishing
from trl_r1.stage_record import Measurement, describe_parent


if TYPE_CHECKING:
    from trl_r1.data import RejectionResult
    from trl_r1.data.rejection_sampling import Refine
    from trl_r1.recipe import Recipe


def sample(recipe: Recipe) -> None:
    """Sample, filter, write `train.jsonl`, then the record with every count, and the card."""
    from trl_r1.data import RejectionFilters, load_prompts, rejection_sample
    from trl_r1.generation import SamplingParameters, TransformersEngine
    from trl_r1.hub.cards.dataset_card import create_dataset_card
    from trl_r1.hub.lineage import write_lineage
    from trl_r1.scripts.training import check_ancestry, load_tokenizer, local_revision, template_hashes

    arguments, model_args = recipe.script_args, recipe.model_args
    recorder = StageRecorder.from_recipe("rejection_sample", recipe, arguments.output_dir, arguments.stage_name)
    refine = load_refine(arguments)
    tokenizer = load_tokenizer(recipe)
    prompts = load_prompts(arguments, recipe.dataset_args, tokenizer)
    recorder.data = prompts.sources
    check_ancestry(recipe, recorder)
    teacher = model_args.model_name_or_path
    engine = TransformersEngine.from_pretrained(teacher, model_args.model_revision, model_args.dtype or "auto")
    engine.tokenizer.chat_template = tokenizer.chat_template
    result = rejection_sample(
        engine,
        prompts.dataset,
        SamplingParameters(
            temperature=arguments.temperature,
            top_p=arguments.top_p,
            max_new_tokens=arguments.max_completion_length,
            num_samples=arguments.num_generations,
            seed=arguments.seed,
            batch_size=arguments.generation_batch_size,
        ),
        RejectionFilters.from_arguments(arguments),
        refine=refine,
        output_format=arguments.output_format,
        teacher=teacher,
        progress=True,
    )
    result.write(arguments.output_dir)
    recorder.parents = [describe_parent(teacher, role="teacher", revision=local_revision(model_args))]
    recorder.template = template_hashes(recipe, tokenizer)
    recorder.seeds = {"seed": arguments.seed}
    recorder.metrics = count_metrics(result)
    recipe.write_resolved(arguments.output_dir)
    recorder.write()
    write_lineage(arguments.output_dir)
    create_dataset_card(arguments.output_dir, license=arguments.hub_license, repo_id=recipe.hub_repo_id)


def load_refine(arguments: Any) -> Refine | None:
    """The recipe's own rewriting; for R1-Zero samples turned into chats, the answer written out as a sentence."""
    from trl_r1.data import summarise_answer
    from trl_r1.user_code import load_callable

    if arguments.refine:
        try:
            return load_callable(arguments.refine)
        except R1Error as error:
            raise RecipeError([f"refine: {arguments.refine}: {error}"]) from error
    chats = arguments.output_format == "messages"
    return summarise_answer if arguments.prompt_template and chats else None


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


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("rejection_sample", publishing(sample), argv)


if __name__ == "__main__":
    sys.exit(main())
