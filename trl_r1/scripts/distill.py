"""
On-policy distillation: the student answers, the teacher's distribution says what each token should have been.

    trl-r1 distill --config recipes/tiny/on_policy_distillation.yaml
    accelerate launch -m trl_r1.scripts.distill --config recipes/tiny/on_policy_distillation.yaml
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trl_r1.errors import CheckpointError, TemplateError
from trl_r1.scripts.common import StageRecorder, run_script
from trl_r1.scripts.publishing import publishing
from trl_r1.stage_record import describe_parent
from trl_r1.user_code import first_line


if TYPE_CHECKING:
    from trl_r1.recipe import Recipe

logger = logging.getLogger(__name__)


def train(recipe: Recipe) -> None:
    """Check that student and teacher read the same tokens, then let the student learn from its own answers."""
    from trl_r1.data import check_batch
    from trl_r1.data.questions import load_questions
    from trl_r1.hub.checkpoints.adapters import loadable_checkpoint
    from trl_r1.scripts.stopping import stop_probe
    from trl_r1.scripts.training import (
        check_ancestry,
        load_tokenizer,
        template_hashes,
        train_and_record,
        trainer_arguments,
    )
    from trl_r1.trainer.distillation_trainer import R1DistillationTrainer

    script_args, args = recipe.script_args, recipe.training_args
    recorder = StageRecorder.from_recipe("distill", recipe, args.output_dir, script_args.stage_name)
    tokenizer = load_tokenizer(recipe)
    teacher, revision = str(args.teacher_model_name_or_path), args.teacher_model_revision
    recorder.notes += check_same_tokens(tokenizer, teacher, revision)
    data = load_questions(script_args, recipe.dataset_args, tokenizer, args.chat_template_kwargs)
    step = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    check_batch(len(data.dataset), step, "prompts a step")
    recorder.data = data.sources
    recorder.parents = [describe_parent(teacher, role="teacher", revision=revision)]
    check_ancestry(recipe, recorder)
    args.teacher_model_init_kwargs = teacher_init_kwargs(recipe)
    trainer = R1DistillationTrainer(
        teacher_model=loadable_checkpoint(teacher),
        train_dataset=data.dataset,
        **trainer_arguments(recipe, tokenizer),
    )
    recorder.template = template_hashes(recipe, tokenizer)
    probe = stop_probe(trainer, recipe, recorder, data.dataset, tokenizer, args.max_completion_length)
    train_and_record(trainer, recipe, recorder, when_saved=probe)


def teacher_init_kwargs(recipe: Recipe) -> dict[str, Any]:
    """Arguments for the teacher's `from_pretrained`: type and attention of the student, then what the recipe adds."""
    args, model_args = recipe.training_args, recipe.model_args
    return {
        "revision": args.teacher_model_revision,
        "trust_remote_code": args.trust_remote_code,
        "attn_implementation": model_args.attn_implementation,
        "dtype": model_args.dtype,
        **(args.teacher_model_init_kwargs or {}),
    }


def check_same_tokens(tokenizer: Any, teacher: str, revision: str | None = None) -> list[str]:
    """
    Check that the teacher reads the student's tokens as the student does.

    TRL compares the sizes of the vocabularies; with the same size and another order, the teacher would teach noise.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The student's.
        teacher (`str`):
            Folder or Hub id.
        revision (`str`, *optional*):
            Of a Hub id.

    Returns:
        `list[str]`: notes for the record: that the teacher was trained with another chat template.

    Raises:
        [`CheckpointError`]: when the teacher has no tokenizer.
        [`TemplateError`]: when a token has another id there.
    """
    from transformers import AutoTokenizer

    try:
        other = AutoTokenizer.from_pretrained(teacher, revision=revision)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"teacher_model_name_or_path: no tokenizer in {teacher!r} ({first_line(error)}); save one beside it"
        ) from error
    own, theirs = tokenizer.get_vocab(), other.get_vocab()
    strange = sorted(token for token in own.keys() | theirs.keys() if own.get(token) != theirs.get(token))
    if strange:
        raise TemplateError(
            f"teacher_model_name_or_path: {teacher!r} has another vocabulary ({len(strange)} tokens differ, such as "
            f"{strange[0]!r}); take a teacher of the student's family, or its traces (trl-r1 rejection_sample) for SFT"
        )
    if tokenizer.chat_template and other.chat_template and not _render_alike(tokenizer, other):
        note = (
            "The teacher's chat template differs from the student's, so that it reads prompts it was not trained on."
        )
        logger.warning("teacher_model_name_or_path: %s", note)
        return [note]
    return []


def _render_alike(first: Any, second: Any) -> bool:
    chat = [{"role": "user", "content": "a question"}]
    shown = [each.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for each in (first, second)]
    return bool(shown[0] == shown[1])


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("distill", publishing(train), argv)


if __name__ == "__main__":
    sys.exit(main())
