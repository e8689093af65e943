"""What the training scripts share: tokenizer, model arguments, resume, and the order in which a stage ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.chat_template import check_shows_question, load_prompt_template, load_template, template_hash
from trl_r1.errors import CheckpointError, R1Error, TemplateError
from trl_r1.run_records import LOSS_NOTE
from trl_r1.scripts.common import StageRecorder, is_main_process
from trl_r1.scripts.earlier_settings import check_earlier_settings, settings_notes
from trl_r1.stage_record import Measurement, describe_parent
from trl_r1.stage_record.kinds import TRAINING_VERBS
from trl_r1.user_code import first_line


if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase, Trainer, TrainerCallback
    from trl import ModelConfig

    from trl_r1.evaluation.held_out import HeldOut
    from trl_r1.recipe import Recipe

logger = logging.getLogger(__name__)

UNSAID_LENGTH: Final = 256  # tokens of an answer, where training has no length of its own


def load_tokenizer(recipe: Recipe) -> PreTrainedTokenizerBase:
    """
    The tokenizer of the recipe's model, with the recipe's chat template.

    Raises:
        [`TemplateError`]: when the model folder or repository has no tokenizer.
    """
    from transformers import AutoTokenizer

    name = recipe.model_args.model_name_or_path
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=recipe.model_args.model_revision)
    except (OSError, ValueError) as error:
        raise TemplateError(
            f"model_name_or_path: no tokenizer in {name!r} ({first_line(error)}); "
            "save one beside the model with tokenizer.save_pretrained"
        ) from error
    if not tokenizer.is_fast or tokenizer.eos_token is None:
        missing = "end token" if tokenizer.is_fast else "fast form (tokenizer.json)"
        raise TemplateError(
            f"model_name_or_path: the tokenizer of {name!r} has no {missing}, so no checkpoint could be used"
        )
    if recipe.script_args.chat_template:
        tokenizer.chat_template = load_template(recipe.script_args.chat_template)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template:
        check_shows_question(tokenizer)
    return tokenizer


def model_init_kwargs(model_args: ModelConfig, training_args: Any) -> dict[str, Any]:
    """Arguments for `from_pretrained`: TRL's model arguments, then what the recipe's `model_init_kwargs` adds."""
    return {
        "revision": model_args.model_revision,
        "trust_remote_code": training_args.trust_remote_code,
        "attn_implementation": model_args.attn_implementation,
        "dtype": model_args.dtype,
        **(training_args.model_init_kwargs or {}),
    }


def template_hashes(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Hash of each template the stage shows its prompts through."""
    hashes = {}
    if recipe.script_args.prompt_template:
        hashes["prompt_template"] = template_hash(load_template(recipe.script_args.prompt_template).strip())
    if tokenizer.chat_template:
        hashes["chat_template"] = template_hash(tokenizer.get_chat_template())  # of several, the one for no tools
    return hashes


def trainer_arguments(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What every trainer takes: the model and how to load it, quantisation, adapters, callbacks."""
    from trl import get_peft_config, get_quantization_config

    from trl_r1.hub.checkpoints.adapters import loadable_checkpoint
    from trl_r1.trainer.callbacks import ProgressFileCallback, WholeCheckpointCallback

    args, model_args = recipe.training_args, recipe.model_args
    check_earlier_settings(recipe)
    args.model_init_kwargs = model_init_kwargs(model_args, args)
    return {
        "model": loadable_checkpoint(str(model_args.model_name_or_path)),
        "args": args,
        "processing_class": tokenizer,
        "quantization_config": get_quantization_config(model_args),
        "peft_config": get_peft_config(model_args),
        "callbacks": [WholeCheckpointCallback(), ProgressFileCallback()],
    }


def check_ancestry(recipe: Recipe, recorder: StageRecorder) -> None:
    """
    Check the records of the stages that made model and data now, not when the card is written after training.

    Raises:
        [`RecordError`]: as [`~trl_r1.hub.lineage.Lineage.from_folder`].
        [`CheckpointError`]: when the model lies where the result is to be written.
    """
    from trl_r1.hub.lineage import Lineage
    from trl_r1.hub.lineage.reading import recorded_folders

    result = Path(recorder.output_dir)
    models = [parent.name_or_path for parent in recorder.parents]
    if recipe.model_args is not None:
        model = str(recipe.model_args.model_name_or_path)
        models.insert(0, model)
        if recorder.kind in TRAINING_VERBS and Path(model).is_dir() and Path(model).resolve() == result.resolve():
            raise CheckpointError(
                f"output_dir: {str(result)!r} holds the model to start from; choose a folder of its own"
            )
    names = [*models, *(source.source for source in recorder.data)]
    folders = dict.fromkeys(folder for name in names for folder in recorded_folders(name))
    for folder in (found for found in folders if found.resolve() != result.resolve()):  # not of an earlier recipe
        record = Lineage.from_folder(folder).root.record
        if record is not None:
            recorder.begin_after(record)


def held_out_suites(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, recorder: StageRecorder, dataset: Dataset
) -> tuple[list[HeldOut], Dataset]:
    """
    The suites the policy is asked while it is trained, and the training rows that ask none of their questions.

    Raises:
        [`DataError`], [`RecipeError`] or [`R1Error`]: when a suite cannot be asked, or no row is left.
    """
    from trl_r1.data.held_out import asks_held_out, question_key
    from trl_r1.data.rows import keep_rows
    from trl_r1.evaluation import Checkpoint, EvaluationSuite
    from trl_r1.evaluation.held_out import load_held_out
    from trl_r1.evaluation.preflight import Reader

    arguments, model_args = recipe.script_args, recipe.model_args
    if not arguments.evaluation_suites:
        return [], dataset
    base = Checkpoint(
        name=str(model_args.model_name_or_path),
        path=str(model_args.model_name_or_path),
        revision=model_args.model_revision,
    )
    trained_with = getattr(recipe.training_args, "max_completion_length", None) or UNSAID_LENGTH
    held_out = load_held_out(
        [EvaluationSuite.from_mapping(entry) for entry in arguments.evaluation_suites],
        tokenizer,
        prompt_template=arguments.prompt_template,
        response_format=arguments.response_format,
        context_length=Reader.of_checkpoint(base, tokenizer).context_length,
        seed=recipe.training_args.seed,
        max_completion_length=arguments.evaluation_max_completion_length or trained_with,
    )
    keys = {question_key(row["problem"]) for one in held_out for row in one.asked.questions.rows}
    reasons = ["in_evaluation_suites" if asks else None for asks in asks_held_out(dataset, keys)]
    kept, dropped = keep_rows(dataset, reasons, "training data")
    if dropped:
        count = len(dataset) - len(kept)
        recorder.notes.append(f"{count} training rows ask a question of evaluation_suites and were left out")
    return held_out, kept


def evaluate_while_training(trainer: Trainer, held_out: Sequence[HeldOut], recipe: Recipe) -> None:
    """Let the trainer measure its policy, where the recipe asks for it."""
    from trl_r1.trainer.callbacks import EvaluationCallback

    if held_out:
        trainer.add_callback(EvaluationCallback(trainer, held_out, every=recipe.script_args.evaluation_every))


def _held_out_metrics(trainer: Trainer) -> dict[str, Measurement]:
    """What the last evaluation during training measured."""
    from trl_r1.trainer.callbacks import evaluation_callback

    callback = evaluation_callback(trainer)
    found = callback.latest if callback is not None else {}
    return {
        f"held-out {metric} ({name})": Measurement(**measured)
        for name, metrics in found.items()
        for metric, measured in metrics.items()
    }


def _held_out_faults(trainer: Trainer) -> list[str]:
    """How many evaluations during training came to nothing."""
    from trl_r1.trainer.callbacks import evaluation_callback

    callback = evaluation_callback(trainer)
    if callback is None or not callback.failed:
        return []
    return [f"{callback.failed} evaluations during training were not finished; the log says why"]


def watching_callbacks(canary: str) -> list[TrainerCallback]:
    """What watches a GRPO run: its signals, the alarms they raise, the note on the loss, and an episode to show."""
    from trl_r1.trainer.callbacks import AlarmCallback, EpisodeCallback, LossNoteCallback, RolloutSignals, get_canary

    signals = RolloutSignals(get_canary(canary))
    return [signals, AlarmCallback(signals), LossNoteCallback(), EpisodeCallback()]


def train_and_record(
    trainer: Trainer, recipe: Recipe, recorder: StageRecorder, when_saved: Callable[[], None] | None = None
) -> None:
    """
    Train from the last whole checkpoint if there is one; save, and write what others need to use the result; then
    record and card, in that order.

    A folder that holds `stage.json` is therefore always complete.

    Args:
        trainer ([`~transformers.Trainer`]):
            Built, not yet trained.
        recipe ([`Recipe`]):
            What it was built from.
        recorder ([`StageRecorder`]):
            Of the stage.
        when_saved (`Callable[[], None]`, *optional*):
            Called on the main process once the weights are saved, for what the record is to hold beside the curve.

    Raises:
        [`R1Error`]: when an alarm stopped training; the next start goes on from the checkpoint.
    """
    from trl_r1.hub.cards.model_card import create_model_card
    from trl_r1.hub.lineage import write_lineage
    from trl_r1.trainer.callbacks import check_not_stopped

    args, model_args = recipe.training_args, recipe.model_args
    check_will_save(trainer)
    if trainer.is_world_process_zero():  # as it is now, for its folder may change or go while this trains
        base = describe_parent(model_args.model_name_or_path, role="base", revision=local_revision(model_args))
        recorder.parents.insert(0, base)
    _train(trainer)
    check_not_stopped(trainer)
    save_whole(trainer)
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        recipe.write_resolved(args.output_dir)  # a merge reads there how the adapter was trained
        recorder.notes += finish_files(recipe)
        if when_saved is not None:
            when_saved()
        recorder.seeds["seed"] = args.seed
        recorder.use_trainer(trainer)
        recorder.metrics |= _held_out_metrics(trainer)
        recorder.notes += _held_out_faults(trainer)
        recorder.notes += [*settings_notes(args.output_dir), *_notes(trainer)]
        recorder.write()
        write_lineage(args.output_dir)
        create_model_card(args.output_dir, license=recipe.script_args.hub_license, repo_id=recipe.hub_repo_id)
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()


def save_whole(trainer: Trainer) -> None:
    """Save the model in one piece, also under FSDP with checkpoints of shards, where the Trainer saves no model."""
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(trainer.args.output_dir)


def check_will_save(trainer: Trainer) -> None:
    """
    Refuse, before training, a configuration under which the Trainer ends without weights that can be loaded.

    Raises:
        [`CheckpointError`]: under ZeRO-3 that does not gather the weights to save them.
    """
    if not trainer.is_deepspeed_enabled:
        return
    zero = trainer.accelerator.state.deepspeed_plugin.deepspeed_config.get("zero_optimization", {})
    if zero.get("stage") == 3 and not zero.get("stage3_gather_16bit_weights_on_model_save"):
        raise CheckpointError(
            "zero3_save_16bit_model: false, so that training would end without weights that transformers can load; "
            "set it true in the accelerate configuration (stage3_gather_16bit_weights_on_model_save in DeepSpeed's)"
        )


def finish_files(recipe: Recipe) -> list[str]:
    """
    Write what lies beside the weights so that others load and use them as they were trained.

    Returns:
        `list[str]`: notes for the record. An adapter that cannot be merged here can be merged elsewhere, later.

    Raises:
        [`CheckpointError`]: as [`~trl_r1.hub.checkpoints.files.finish_checkpoint`], and how to go on.
    """
    from trl_r1.hub.checkpoints.adapters import merge_adapter
    from trl_r1.hub.checkpoints.files import finish_checkpoint

    folder, template = recipe.training_args.output_dir, recipe.script_args.prompt_template
    try:
        finish_checkpoint(
            folder,
            kind=recipe.verb,
            prompt_template=load_prompt_template(template) if template else None,
            base_revision=local_revision(recipe.model_args),
        )
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}\n{folder}: what was trained stays there; when this is mended, the same command goes on from the "
            "last checkpoint-* and finishes the stage"
        ) from error
    if recipe.model_args.use_peft and getattr(recipe.script_args, "merge_adapter", False):
        try:
            merge_adapter(folder)
        except CheckpointError as error:
            logger.warning("the adapter is whole and was not merged: %s", error)
            return [f"The adapter was not merged: {error}"]
    return []


def _train(trainer: Trainer) -> None:
    from trl_r1.trainer.callbacks import train_or_resume

    resume = trainer.args.resume_from_checkpoint
    try:
        if resume:
            trainer.train(resume_from_checkpoint=resume)
        else:
            train_or_resume(trainer)
    except R1Error as error:
        if not is_main_process():  # its rows alone may have failed, and the main process then only loses a connection
            logger.error("process %s: %s", os.environ["RANK"], error)
        raise


def _notes(trainer: Trainer) -> list[str]:
    """What a watched run has to say beside its figures: its alarms, and why a loss near 0 is fine."""
    from trl_r1.trainer.callbacks import alarm_callback, explain_curve

    alarms = alarm_callback(trainer)
    if alarms is None:
        return []
    note = explain_curve(vars(trainer.args), trainer.state.log_history)
    return [*alarms.raised, *([LOSS_NOTE + note] if note else [])]


def local_revision(model_args: ModelConfig) -> str | None:
    """The revision of a Hub model; a local folder has none."""
    return None if Path(str(model_args.model_name_or_path)).is_dir() else str(model_args.model_revision)
