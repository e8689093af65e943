"""What types alone cannot tell: fields that contradict each other, files that are not there, unknown rewards."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trl_r1.chat_template import RESPONSE_FORMATS, load_prompt_template, load_template
from trl_r1.configs import grpo_problems
from trl_r1.errors import R1Error
from trl_r1.presets import nearest
from trl_r1.recipe_yaml import find_recipe


TRAINING_VERBS: Final = ("grpo", "sft", "reward_model")
_OUTPUT: Final = re.compile(r"^output_dir:\s*['\"]?([^\s'\"#]+)", re.MULTILINE)
HEADER: Final = re.compile(r"(?:trl-r1\s+|trl_r1\.scripts\.)(\w+)\s+--config\s+(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeContext:
    """
    What a recipe's values are checked against.

    Args:
        verb (`str`):
            What is to run.
        values (`dict[str, Any]`):
            Every field, the unset ones with their default.
        given (`frozenset[str]`):
            Fields the user or a preset set.
        processes (`int`):
            World size.
        launching (`bool`):
            Whether the stage starts now, so that its inputs must be there.
        folder (`Path`, *optional*):
            Where the recipe's neighbours are.
        batch_known (`bool`, *optional*, defaults to `True`):
            Whether `prompts_per_step` could be expanded; if not, the batch says nothing.
    """

    verb: str
    values: dict[str, Any]
    given: frozenset[str]
    processes: int
    launching: bool
    folder: Path | None = None
    batch_known: bool = True


def check_recipe(context: RecipeContext) -> list[str]:
    """Every problem of a recipe whose values have the right types, a line each."""
    problems = [*_required(context), *_bounds(context.values, _POSITIVE, 1), *_templates(context.values)]
    if context.verb in TRAINING_VERBS:
        problems += _training(context)
    if context.verb == "grpo":
        problems += [*grpo_problems(context.values), *_rewards(context), *_rollout(context)]
    if context.verb == "rejection_sample":
        problems += _sampling(context.values)
    if context.verb == "evaluate":
        problems += [*_checkpoints(context.values["checkpoints"]), *_suites(context.values["suites"])]
    if context.launching:
        problems += [*_processes(context), *_inputs(context)]
    return problems


_POSITIVE: Final = (
    *("max_train_rows", "expected_processes", "max_kept_per_prompt", "max_rows", "generation_batch_size"),
    *("max_completion_length", "max_reasoning_tokens", "per_device_train_batch_size", "gradient_accumulation_steps"),
)


def _bounds(values: Mapping[str, Any], names: Collection[str], lowest: float) -> list[str]:
    low = [name for name in names if values.get(name) is not None and values[name] < lowest]
    return [f"{name}: {values[name]} must be at least {lowest}" for name in low]


def _required(context: RecipeContext) -> Iterator[str]:
    values = context.values
    if not values.get("output_dir"):
        yield "output_dir: missing; name the folder the stage writes"
    elif Path(values["output_dir"]).is_file():
        yield f"output_dir: {values['output_dir']!r} is a file; name a folder"
    if context.verb == "evaluate":
        return
    if not values["model_name_or_path"]:
        yield "model_name_or_path: missing; give a folder or a Hub id"
    if not values["dataset_name"] and not values["datasets"]:
        yield "dataset_name: missing; give a folder, a Hub id, or a mixture in `datasets`"
    if values["dataset_name"] and values["datasets"]:
        yield f"dataset_name: {values['dataset_name']!r} would be ignored beside `datasets`; keep one of them"


def _templates(values: Mapping[str, Any]) -> Iterator[str]:
    for name, load in (("prompt_template", load_prompt_template), ("chat_template", load_template)):
        if values.get(name) and isinstance(values[name], str):
            try:
                load(values[name])
            except R1Error as error:
                yield _named(name, str(error))
            except (OSError, UnicodeDecodeError) as error:
                yield f"{name}: {values[name]!r} cannot be read ({error})"


def _named(name: str, message: str) -> str:
    """A message that starts with the field it is about."""
    return message if message.startswith(name) else f"{name}: {message.split(': ', 1)[-1]}"


def _training(context: RecipeContext) -> Iterator[str]:
    values, given = context.values, context.given
    if {"max_steps", "num_train_epochs"} <= given and values["max_steps"] > 0:
        epochs, steps = values["num_train_epochs"], values["max_steps"]
        yield f"num_train_epochs: {epochs} is ignored beside max_steps {steps}; keep one of them"
    if values["fp16"] and values["bf16"]:
        yield "fp16: true and bf16 true exclude each other; keep one"
    if values["use_peft"] and values.get("sync_ref_model"):
        yield "sync_ref_model: true does not work with use_peft; TRL keeps no reference model there, leave one out"
    reports = values["report_to"] if isinstance(values["report_to"], list) else [values["report_to"]]
    if "report_to" in given:
        yield from _report_to([report for report in reports if report])


def _report_to(reports: Sequence[str]) -> Iterator[str]:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    known = ["none", "all", *INTEGRATION_TO_CALLBACK]
    for report in reports:
        if report not in known:
            yield f"report_to: {report!r} is unknown; {nearest(report, known) or 'use one of ' + ', '.join(known)}"


def _rewards(context: RecipeContext) -> Iterator[str]:
    from trl_r1.rewards.registry import check_reward_specs

    rewards, weights = context.values["reward_funcs"], context.values["reward_weights"]
    if not rewards:
        yield "reward_funcs: missing; name at least one, such as [accuracy_reward, format_reward]"
        return
    yield from (_named("reward_funcs", problem) for problem in check_reward_specs(rewards))
    if weights is not None and len(weights) != len(rewards):
        yield f"reward_weights: {len(weights)} weights for {len(rewards)} reward_funcs; give one each"


def _rollout(context: RecipeContext) -> Iterator[str]:
    """A rollout must hold whole groups, or TRL could not compare the completions of a prompt."""
    values = context.values
    generations, batch = values["num_generations"], values["per_device_train_batch_size"] * context.processes
    if not context.batch_known or not generations or generations < 2:
        return  # reported already
    steps = values["steps_per_generation"] or values["gradient_accumulation_steps"]
    rollout = values["generation_batch_size"]
    if rollout is None and batch * steps % generations:
        yield (
            f"num_generations: {generations} does not divide a rollout of {batch * steps} completions "
            f"(per_device_train_batch_size {values['per_device_train_batch_size']} x {context.processes} processes x "
            f"{steps} steps a rollout); set `prompts_per_step` and leave the rest out"
        )
    if rollout is not None and batch > 0 and rollout % batch:
        yield f"generation_batch_size: {rollout} is no multiple of {batch}, the batch of all processes; make it one"
    elif rollout is not None and rollout % generations:
        yield f"generation_batch_size: {rollout} is no multiple of num_generations {generations}; make it one"


def _sampling(values: Mapping[str, Any]) -> Iterator[str]:
    yield from _bounds(values, ("num_generations",), 1)
    yield from _bounds(values, ("temperature", "seed"), 0)
    if not 0 < values["top_p"] <= 1:
        yield f"top_p: {values['top_p']} must be above 0 and at most 1"
    if values["temperature"] == 0 and values["num_generations"] > 1:
        yield "num_generations: all samples are the same at temperature 0; set it to 1 or the temperature above 0"
    if values["max_repetition"] is not None and not 0 <= values["max_repetition"] <= 1:
        yield f"max_repetition: {values['max_repetition']} must be between 0 and 1"
    if values["refine"] and not _is_function_path(values["refine"]):
        yield f"refine: {values['refine']!r} names no function; write path.py:name or package.module.name"


def _is_function_path(text: str) -> bool:
    path, colon, name = text.rpartition(":")
    if colon:
        return name.isidentifier() and path.endswith(".py") and find_recipe(path).is_file()
    return "." in text and all(part.isidentifier() for part in text.split("."))


_CHECKPOINT_FIELDS: Final = ("name", "path", "revision", "prompt_template", "chat_template", "response_format")
_SUITE_FIELDS: Final = (
    *("name", "dataset_name", "dataset_config", "split", "modes", "group_by", "metrics", "max_rows"),
    *("dataset_prompt_column", "dataset_solution_column", "language_ignored_tokens", "max_completion_length"),
)
_TEXT_FIELDS: Final = frozenset(
    ("revision", "prompt_template", "chat_template", "dataset_config", "split", "group_by", "dataset_prompt_column")
)
_MODE_FIELDS: Final = ("temperature", "top_p", "prefill", "num_samples", "max_completion_length")


def _checkpoints(checkpoints: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not checkpoints:
        yield "checkpoints: missing; list at least one {name: ..., path: ...}"
    yield from _entries("checkpoints", checkpoints, _CHECKPOINT_FIELDS, ("name", "path"))
    for index, entry in enumerate(checkpoints):
        yield from (f"checkpoints[{index}].{problem}" for problem in _templates(entry))
        if entry.get("response_format") not in (None, *RESPONSE_FORMATS):
            yield f"checkpoints[{index}].response_format: {entry['response_format']!r} is none of {RESPONSE_FORMATS}"


def _suites(suites: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not suites:
        yield "suites: missing; list at least one {name: ..., dataset_name: ...}"
    yield from _entries("suites", suites, _SUITE_FIELDS, ("name", "dataset_name"))
    for index, suite in enumerate(suites):
        modes = suite.get("modes", {})
        if not isinstance(modes, Mapping):
            yield f"suites[{index}].modes: {modes!r} is not a mapping of names to sampling settings"
            continue
        for mode, settings in modes.items():
            where = f"suites[{index}].modes.{mode}"
            if settings is None:  # all defaults
                continue
            if not isinstance(settings, Mapping):
                yield f"{where}: {settings!r} is not a mapping; write {{temperature: 1.0}}"
                continue
            yield from _unknown(where, settings, _MODE_FIELDS)
            temperature = settings.get("temperature", 1.0)
            if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or temperature < 0:
                yield f"{where}.temperature: {temperature!r} is not a number of at least 0"


def _entries(
    field: str, entries: Sequence[Mapping[str, Any]], known: Collection[str], needed: Collection[str]
) -> Iterator[str]:
    """Unknown, missing and doubled things in a list of mappings."""
    names = [entry.get("name") for entry in entries]
    for index, entry in enumerate(entries):
        yield from _unknown(f"{field}[{index}]", entry, known)
        for name in needed:
            if not isinstance(entry.get(name), str) or not entry[name]:
                yield f"{field}[{index}].{name}: {entry.get(name)!r} is not text; every entry needs one"
        for name in _TEXT_FIELDS & entry.keys() - set(needed):
            if not isinstance(entry[name], (str, type(None))):
                yield f"{field}[{index}].{name}: {entry[name]!r} is not text; put it in quotes"
        if names.index(entry.get("name")) != index:
            yield f"{field}[{index}].name: {entry.get('name')!r} stands twice; results would overwrite each other"


def _unknown(where: str, entry: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    for name in entry:
        if name not in known:
            yield f"{where}.{name}: no such field; {nearest(str(name), known) or 'use one of ' + ', '.join(known)}"


def _processes(context: RecipeContext) -> Iterator[str]:
    if context.processes > 1 and "RANK" not in os.environ:
        yield f"WORLD_SIZE: {context.processes} in the environment, but no launcher started this process; unset it"
        return
    expected = context.values["expected_processes"]
    if expected is not None and expected != context.processes:
        yield (
            f"expected_processes: {expected}, but the launcher started {context.processes}; "
            f"start with `torchrun --nproc_per_node` or `accelerate launch`, or change the field"
        )


def _inputs(context: RecipeContext) -> Iterator[str]:
    """Local inputs that are not there, each with the stage that makes it where a neighbour says so."""
    values = context.values
    named = [("model_name_or_path", values.get("model_name_or_path")), ("dataset_name", values.get("dataset_name"))]
    named += [(f"datasets[{index}].path", entry["path"]) for index, entry in enumerate(values.get("datasets") or [])]
    named += [
        (f"checkpoints[{index}].path", entry.get("path"))
        for index, entry in enumerate(values.get("checkpoints") or [])
    ]
    named += [
        (f"suites[{index}].dataset_name", entry.get("dataset_name"))
        for index, entry in enumerate(values.get("suites") or [])
    ]
    for field, path in named:
        if isinstance(path, str) and _looks_local(path) and not Path(path).expanduser().exists():
            yield f"{field}: {path!r} does not exist; {_how_to_make(path, context.folder)}"


def _looks_local(path: str) -> bool:
    """A Hub id has one slash at most, and does not begin like a path."""
    return path.startswith((".", "/", "~")) or path.count("/") > 1 or ("/" in path and Path(path).parent.is_dir())


def _how_to_make(path: str, folder: Path | None) -> str:
    """The command of the neighbouring recipe whose output holds `path`, a stage rather than its whole pipeline."""
    makers = {}
    for recipe in sorted(folder.glob("*.yaml")) if folder else []:
        text = recipe.read_text(encoding="utf-8", errors="replace")
        output, header = _OUTPUT.search(text), HEADER.search(text)
        if output and Path(path).is_relative_to(output.group(1)):
            if "\nstages:" in text:
                makers[output.group(1)] = f"run `trl-r1 run {recipe}` first"
            elif header:
                makers[output.group(1)] = f"run `trl-r1 {header.group(1)} --config {header.group(2)}` first"
    return makers[max(makers, key=len)] if makers else "check the path, or run the stage that writes it first"
