"""Load a stage's recipe: preset, YAML file and command line, checked in full before anything heavy starts.

A later source wins: TRL's default < preset < YAML < command line. Every problem of a recipe is reported at once.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from trl_r1.errors import RecipeError
from trl_r1.presets import CONVENIENCES, apply_preset, derive_batch, world_size
from trl_r1.recipe.checks import RecipeContext, check_recipe
from trl_r1.recipe.fields import dataclasses_of, make_parser, read_command_line, read_content, specs_of
from trl_r1.recipe.inputs import HEADER
from trl_r1.recipe.mixtures import translate_mixture
from trl_r1.recipe.specs import FieldSpec
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.redaction import ADVICE, redact_argv, redact_values, remember_secret
from trl_r1.user_code import find_file


logger = logging.getLogger(__name__)

RESOLVED_NAME: Final = "resolved_config.yaml"
HUB_TOKEN_VARIABLE: Final = "TRL_R1_HUB_TOKEN"  # from the pipeline runner, whose copies of recipes have no secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """
    A checked recipe.

    Args:
        verb (`str`):
            One of `VERBS`.
        path (`Path` or `None`):
            The YAML file; `None` when all came from the command line.
        argv (`list[str]`):
            The command line it was loaded from. No secrets.
        script_args, training_args, model_args, dataset_args:
            The dataclasses, `None` where the verb has none.
        resolved (`dict[str, Any]`):
            Every value that differs from its default, presets and batch arithmetic applied. No secrets.
        preset (`str` or `None`):
            The preset it started from.
        processes (`int`):
            World size it was resolved for.
        hub_token (`str` or `None`):
            The recipe's own token, which is nowhere else: not in the dataclasses, which trainers write to disk.
        hub_repo_id (`str` or `None`):
            Full name of the repository it will be published in, once the Hub was asked.
    """

    verb: str
    path: Path | None
    argv: list[str]
    script_args: Any
    training_args: Any
    model_args: Any
    dataset_args: Any
    resolved: dict[str, Any]
    preset: str | None
    processes: int
    hub_token: str | None = field(default=None, repr=False)
    hub_repo_id: str | None = None

    def write_resolved(self, folder: str | Path) -> Path:
        """
        Write `resolved_config.yaml`, from which the same recipe loads again, and return its path.

        The file needs no preset: it holds what came of it, for the same number of processes.
        """
        target = Path(folder) / RESOLVED_NAME
        target.parent.mkdir(parents=True, exist_ok=True)
        origin = f" · preset {self.preset}" if self.preset else ""
        header = (
            f"# Resolved from {self.path or 'the command line'}{origin} · {self.processes} process(es)\n"
            f"# trl-r1 {self.verb} --config {target}\n"
        )
        body = yaml.safe_dump(self.resolved, sort_keys=False, allow_unicode=True, width=119)
        partial = target.with_name(f".{target.name}.partial")
        partial.write_text(header + body, encoding="utf-8")
        partial.replace(target)
        return target


def load_recipe(verb: str, argv: Sequence[str]) -> Recipe:
    """
    Load and check a recipe for the stage that starts now.

    Args:
        verb (`str`):
            One of `VERBS`.
        argv (`Sequence[str]`):
            `--config FILE` and `--field value` pairs that win over the file.

    Raises:
        [`RecipeError`]: with every problem.
    """
    return _load(verb, list(argv), launching=True)


def inspect_recipe(path: str | Path, verb: str | None = None) -> Recipe:
    """
    Load and check a recipe without asking for its inputs or its hardware, as on a laptop for a cluster.

    Args:
        path (`str` or `Path`):
            The recipe.
        verb (`str`, *optional*):
            What runs it; by default what its header says (`trl-r1 <verb> --config <path>`).

    Raises:
        [`RecipeError`]: with every problem.
    """
    load_yaml(path)  # a file that cannot be read has no header either
    verb = verb or (header_of(path) or (None,))[0]
    if verb is None:
        raise RecipeError(["names no verb; put `trl-r1 <verb> --config <path>` into its first lines"], str(path))
    return _load(verb, ["--config", str(path)], launching=False)


def validate_recipe(path: str | Path, verb: str | None = None) -> list[str]:
    """Every problem [`inspect_recipe`] finds, a line each; empty for a good recipe."""
    try:
        inspect_recipe(path, verb)
    except RecipeError as error:
        return error.problems
    return []


def header_of(path: str | Path) -> tuple[str, str] | None:
    """Verb and path in a recipe's launch line, or `None` when its leading comment has none."""
    comment = []
    for line in find_file(path).read_text(encoding="utf-8-sig").splitlines():
        if line.strip() and not line.startswith("#"):
            break
        comment.append(line)
    found = HEADER.search("\n".join(comment))
    return (found.group(1), found.group(2)) if found else None


def is_pipeline(content: Mapping[str, Any]) -> bool:
    """Whether the content of a YAML file is a pipeline rather than a stage."""
    return "stages" in content


def _load(verb: str, argv: list[str], *, launching: bool) -> Recipe:
    kinds, specs = dataclasses_of(verb), specs_of(verb)
    problems: list[str] = []
    config, rest = _take_config(argv, problems)
    content = load_yaml(config) if config else {}
    if is_pipeline(content):
        raise RecipeError([f"is a pipeline; start it with `trl-r1 run {config}`"], config)
    environment = _read_environment(content, problems)
    translate_mixture(content, problems)
    written = read_content(specs, content, problems, verb)
    written.update(read_command_line(specs, rest, problems, verb))
    processes = world_size() if launching else written.get("expected_processes") or world_size()
    preset = written.pop("preset", None)
    hub_token = written.pop("hub_token", None)
    expanded = _expand(written, preset, processes, problems)
    given = {name: value for name, value in (expanded or written).items() if name not in CONVENIENCES}
    context = RecipeContext(
        verb=verb,
        values={name: spec.default for name, spec in specs.items()} | given,
        given=frozenset(given),
        processes=processes,
        launching=launching,
        folder=find_file(config).parent if config else None,
        batch_known=expanded is not None,
    )
    problems += [problem for problem in check_recipe(context) if not _told_before(problem, problems)]
    if problems:
        raise RecipeError(problems, config)
    if launching:
        hub_token = _keep_apart(hub_token, environment)
    built = _build(kinds, given if launching else given | _stand_in(specs, given, processes), config)
    actual = getattr(built.get("training_args"), "world_size", processes)
    if launching and actual != processes:
        message = f"WORLD_SIZE: {processes} in the environment, but accelerate started {actual}; use one launcher"
        raise RecipeError([message], config)
    resolved = {name: value for name, value in given.items() if value != specs[name].default}
    public = redact_values(environment)
    return Recipe(
        verb=verb,
        path=find_file(config) if config else None,
        argv=redact_argv(argv),
        **{name: built.get(name) for name in ("script_args", "training_args", "model_args", "dataset_args")},
        resolved=resolved | ({"env": public} if public else {}),
        preset=preset,
        processes=processes,
        hub_token=hub_token,
    )


def _keep_apart(hub_token: str | None, environment: Mapping[str, str]) -> str | None:
    """Set a recipe's environment and return its token; neither's secrets are shown by this process any more."""
    if hub_token:
        logger.info("hub_token: what stands in a recipe or on a command line is soon shared; %s instead", ADVICE)
    hub_token = os.environ.pop(HUB_TOKEN_VARIABLE, None) or hub_token
    os.environ.update(environment)  # where secrets are found by their names
    remember_secret(hub_token)
    return hub_token


def _told_before(problem: str, problems: Sequence[str]) -> bool:
    """Whether a field's value was refused, or the field misspelt, so that what follows from it is no news."""
    name = problem.partition(":")[0]
    return any(earlier.lstrip("-").startswith(f"{name}: ") or f"mean {name!r}?" in earlier for earlier in problems)


def _take_config(argv: Sequence[str], problems: list[str]) -> tuple[str | None, list[str]]:
    """The recipe's path, and the rest of the command line."""
    found, rest, words = [], [], iter(argv)
    for word in words:
        if word == "--config":
            found.append(next(words, ""))
        elif word.startswith("--config="):
            found.append(word.partition("=")[2])
        else:
            rest.append(word)
    if len(found) > 1:
        problems.append(f"--config: given {len(found)} times; a stage has one recipe")
    if found and (not found[-1] or found[-1].startswith("--")):
        raise RecipeError(["--config: no file after it; give the path of a recipe"])
    return (found[-1] if found else None), rest


def _read_environment(content: dict[str, Any], problems: list[str]) -> dict[str, str]:
    """The recipe's `env`, taken out of its content."""
    environment = content.pop("env", None) or {}
    if not isinstance(environment, dict):  # it may hold secrets: not to be shown
        problems.append(f"env: a {type(environment).__name__} is not a mapping of variables to text")
        return {}
    problems += [
        f"env.{name}: the value is not text; quote it"
        for name, value in environment.items()
        if not isinstance(value, (str, int, float))
    ]
    return {str(name): str(value) for name, value in environment.items()}


def _expand(written: dict[str, Any], preset: str | None, processes: int, problems: list[str]) -> dict[str, Any] | None:
    """Preset and batch arithmetic applied, or `None` with the reason in `problems`."""
    try:
        return derive_batch(apply_preset(preset, written) if preset else written, processes)
    except RecipeError as error:
        problems += error.problems
        return None


# What a machine without the recipe's hardware cannot build; left out when a recipe is only looked at.
_HARDWARE: Final[dict[str, Any]] = {
    "bf16": False,
    "fp16": False,
    "bf16_full_eval": False,
    "fp16_full_eval": False,
    "tf32": None,
    "deepspeed": None,
}


def _stand_in(specs: Mapping[str, FieldSpec], given: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """Values with which this one process, whatever its hardware, can build what `processes` others would."""
    values = {name: value for name, value in _HARDWARE.items() if name in specs}
    for name in ("per_device_train_batch_size", "per_device_eval_batch_size"):
        if name in specs:  # the same batch over all processes
            values[name] = given.get(name, specs[name].default) * processes
    return values


def _build(kinds: Mapping[str, type], values: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    """The dataclasses by name; TRL's own objections become lines too."""
    try:
        objects = make_parser(list(kinds.values())).parse_dict(copy.deepcopy(dict(values)))
    except RecipeError as error:
        raise RecipeError(error.problems, source) from error
    except (ValueError, TypeError, NotImplementedError, ImportError, OSError) as error:
        raise RecipeError([_explain(error)], source) from error
    return dict(zip(kinds, objects, strict=True))


def _explain(error: Exception) -> str:
    """One line for what TRL or transformers refused."""
    message = " ".join(str(error).split())
    if "bf16" in message and "use_cpu" in message:
        return "bf16: true (TRL's default) needs a GPU that has it; set `use_cpu: true` or `bf16: false`"
    return f"refused by TRL: {message}"
