"""The fields each verb's recipe may set, and the two places they are set in: a YAML file and a command line."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trl_r1.errors import RecipeError
from trl_r1.presets import CONVENIENCES, PRESETS, nearest
from trl_r1.recipe.specs import FieldSpec, field_specs
from trl_r1.recipe.values import ValueProblemError, convert
from trl_r1.redaction import is_secret_name, secrets_in
from trl_r1.stage_record.kinds import VERBS


if TYPE_CHECKING:
    from trl import TrlParser


@dataclass
class _Conveniences:
    """What a GRPO recipe may say beside TRL's fields; expanded before the configuration is built."""

    preset: str | None = field(
        default=None, metadata={"help": "Published settings to start from.", "choices": list(PRESETS)}
    )
    prompts_per_step: int | None = field(default=None, metadata={"help": "Prompts an update, over all processes."})
    updates_per_rollout: int | None = field(default=None, metadata={"help": "Updates a rollout feeds."})


def dataclasses_of(verb: str) -> dict[str, type]:
    """The dataclasses a verb's recipe fills, by their name in [`Recipe`]."""
    from trl import DatasetMixtureConfig, DistillationConfig, ModelConfig, RewardConfig, SFTConfig

    from trl_r1 import configs

    shared: dict[str, type] = {"model_args": ModelConfig, "dataset_args": DatasetMixtureConfig}
    kinds: dict[str, dict[str, type]] = {
        "grpo": {"script_args": configs.GRPOScriptArguments, "training_args": configs.R1GRPOConfig, **shared},
        "sft": {"script_args": configs.SFTScriptArguments, "training_args": SFTConfig, **shared},
        "reward_model": {
            "script_args": configs.RewardModelScriptArguments,
            "training_args": RewardConfig,
            **shared,
        },
        "distill": {
            "script_args": configs.DistillationScriptArguments,
            "training_args": DistillationConfig,
            **shared,
        },
        "generate": {"script_args": configs.GenerationArguments, **shared},
        "rejection_sample": {"script_args": configs.RejectionSamplingArguments, **shared},
        "general_data": {"script_args": configs.GeneralDataArguments, **shared},
        "estimate_difficulty": {"script_args": configs.DifficultyArguments, **shared},
        "decontaminate": {"script_args": configs.DecontaminationArguments, "dataset_args": DatasetMixtureConfig},
        "compose": {"script_args": configs.CompositionArguments, "dataset_args": DatasetMixtureConfig},
        "evaluate": {"script_args": configs.EvaluationArguments},
    }
    if verb not in kinds:
        raise RecipeError([f"{verb!r} is no verb; {nearest(verb, VERBS) or 'use one of ' + ', '.join(VERBS)}"])
    return kinds[verb]


def specs_of(verb: str) -> dict[str, FieldSpec]:
    """Every field a verb's recipe may set, the conveniences included."""
    from trl_r1.configs import CHOICES

    return field_specs(_parsed_by(verb), CHOICES if verb == "grpo" else None)


def _parsed_by(verb: str) -> list[type]:
    return [*dataclasses_of(verb).values(), *([_Conveniences] if verb == "grpo" else [])]


def read_content(
    specs: Mapping[str, FieldSpec], content: Mapping[str, Any], problems: list[str], verb: str
) -> dict[str, Any]:
    """The values of a YAML file that fit; the others go to `problems`."""
    values = {}
    for name, value in content.items():
        if name not in specs:
            problems.append(_unknown_field(name, specs, verb))
            continue
        try:
            values[name] = convert(specs[name], copy.deepcopy(value))
        except ValueProblemError as error:
            problems.append(_misfit(name, name, value, error))
    return values


def _misfit(place: str, name: str, value: Any, error: ValueProblemError) -> str:
    """What is wrong with a value, which is shown unless nobody else should read it."""
    if any(secrets_in(value)):
        return f"{place}: the value does not fit; it is not shown, since it seems to hold a secret"
    return f"{place}: {'the value' if is_secret_name(name) else repr(value)} {error}"


def _unknown_field(name: str, known: Mapping[str, FieldSpec], verb: str) -> str:
    if name in ("preset", *CONVENIENCES):
        return f"{name}: only a grpo recipe has it; delete the line"
    return f"{name}: no such field of a {verb} recipe; {nearest(name, known) or 'delete the line'}"


def make_parser(kinds: Sequence[type]) -> TrlParser:
    """TRL's parser, which raises instead of ending the process and takes no abbreviations."""
    from trl import TrlParser

    class Parser(TrlParser):
        def error(self, message: str) -> Any:  # argparse says NoReturn: it raises too
            raise RecipeError([message])

    parsed: Any = list(kinds)  # TRL's alias for dataclass types is no type to mypy
    return Parser(parsed, allow_abbrev=False)


def read_command_line(
    specs: Mapping[str, FieldSpec], argv: Sequence[str], problems: list[str], verb: str
) -> dict[str, Any]:
    """The values given on the command line; what is wrong with them goes to `problems`."""
    if not argv:
        return {}
    parser = make_parser(_parsed_by(verb))
    if {"-h", "--help"} & set(argv):
        parser.prog = f"trl-r1 {verb} --config FILE"
        parser.parse_args(["--help"])  # prints it and ends the process
    for action in parser._actions:  # only what is given, as text: types are checked as those of the file are
        if not isinstance(action, argparse._HelpAction):
            action.default, action.required, action.type, action.choices = argparse.SUPPRESS, False, None, None
    try:
        namespace, unknown = parser.parse_known_args(list(argv))
    except RecipeError as error:
        problems += error.problems
        return {}
    flags = [word.partition("=")[0] for word in unknown if word.startswith("--")]
    options = [option for action in parser._actions for option in action.option_strings]
    problems += [f"{flag}: no such option; {nearest(flag, options) or 'see --help'}" for flag in flags]
    if unknown and not flags:
        shown = "a word" if any(map(is_secret_name, argv)) else repr(unknown[0])  # it may be half of a token
        problems.append(f"{shown}: not expected here; write --field value")
    values = {}
    for name, value in vars(namespace).items():
        try:
            values[name] = convert(specs[name], value, from_command_line=True)
        except ValueProblemError as error:
            problems.append(_misfit(f"--{name}", name, value, error))
    return values
