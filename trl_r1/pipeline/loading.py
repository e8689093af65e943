"""A pipeline file: its stages, what each needs, and the order that follows.

```yaml
output_dir: outputs/tiny
seed: 42                      # optional; handed to every stage, so that it wins over the recipes' own
jobs: 2                       # stages that may run at the same time, 1 unless given
env: {OMP_NUM_THREADS: 1}     # optional; environment of every stage
stages:
  base:    {script: make_base.py, args: {steps: 1500}}
  r1_zero: {script: grpo, config: r1_zero.yaml, needs: [base]}
license: apache-2.0           # optional; of the checkpoints, for their cards
report: {title: The tiny world}
```

A script is a verb of `trl-r1` or a Python file; it and its `config` are looked for beside the pipeline file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from trl_r1.errors import RecipeError
from trl_r1.pipeline.graph import LOG_FOLDER, Pipeline, Stage, ancestors, describe_unknown, sort_stages
from trl_r1.recipe.hub_checks import secret_problems
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.redaction import ADVICE, secrets_in
from trl_r1.stage_record.kinds import VERBS
from trl_r1.user_code import find_file


SEEDS = 2**32  # NumPy takes no larger one
PIPELINE_FIELDS = ("output_dir", "seed", "jobs", "env", "license", "stages", "report")
STAGE_FIELDS = ("script", "config", "needs", "args", "output")
REPORT_FIELDS = {"title": str, "questions": int}
RUNNER_ARGUMENTS = ("config", "output_dir")  # what the runner itself puts on a stage's command line


def load_pipeline(
    path: str | Path, *, output_dir: str | Path | None = None, seed: int | None = None, jobs: int | None = None
) -> Pipeline:
    """
    Read and check a pipeline file.

    Args:
        path (`str` or `Path`):
            The YAML file.
        output_dir, seed, jobs (*optional*):
            Win over the file's own.

    Raises:
        [`RecipeError`]: with every problem of the file at once.
    """
    path = find_file(path)
    content = load_yaml(path)
    if "stages" not in content and "model_name_or_path" in content:
        raise RecipeError([f"is the recipe of one stage; start it with `trl-r1 <verb> --config {path}`"], str(path))
    problems = _unknown_fields("", content, PIPELINE_FIELDS)
    default_output_dir = _read(content, "output_dir", str, problems) or "outputs"
    stages = _read_stages(content, path.parent, problems)
    settings: dict[str, Any] = {name: _read(content, name, int, problems, required=False) for name in ("seed", "jobs")}
    settings.update({name: value for name, value in (("seed", seed), ("jobs", jobs)) if value is not None})
    settings["jobs"] = 1 if settings["jobs"] is None else settings["jobs"]
    if settings["seed"] is not None and not 0 <= settings["seed"] < SEEDS:
        problems.append(f"seed: {settings['seed']} must be at least 0 and below {SEEDS}")
    if settings["jobs"] < 1:
        problems.append(f"jobs: {settings['jobs']} is not a number of stages; give at least 1")
    report = _read(content, "report", dict, problems, required=False) or {}
    problems += _unknown_fields("report.", report, REPORT_FIELDS)
    for name, kind in REPORT_FIELDS.items():
        _read(report, name, kind, problems, "report.", required=False)
    license = _read(content, "license", str, problems, required=False)
    env = _read(content, "env", dict, problems, required=False) or {}
    if not problems:
        problems += _check_references(stages, default_output_dir)
    if problems:
        raise RecipeError(problems, str(path))
    return Pipeline(
        path=path,
        output_dir=Path(output_dir or default_output_dir),
        default_output_dir=default_output_dir.rstrip("/"),
        stages=stages,
        env={str(name): str(value) for name, value in env.items()},
        license=license,
        report=report,
        **settings,
    )


def _read_stages(content: Mapping[str, Any], folder: Path, problems: list[str]) -> dict[str, Stage]:
    """All stages in the order of their needs; what is wrong with them goes to `problems`."""
    entries = _read(content, "stages", dict, problems) or {}
    if not entries and not problems:
        problems.append("stages: there is none; name at least one")
    stages = {}
    for name, entry in entries.items():
        if isinstance(entry, dict):
            stages[str(name)] = _read_stage(str(name), entry, folder, entries, problems)
        else:
            problems.append(f"stages.{name}: {entry!r} is not a mapping; write `{{script: ..., config: ...}}`")
    _check_outputs(stages, problems)
    return stages if problems else sort_stages(stages, problems)


def _read_stage(
    name: str, entry: Mapping[str, Any], folder: Path, names: Collection[str], problems: list[str]
) -> Stage:
    """One stage; what is wrong with it goes to `problems`."""
    prefix = f"stages.{name}."
    problems += _unknown_fields(prefix, entry, STAGE_FIELDS)
    script = _find_script(prefix, _read(entry, "script", str, problems, prefix), folder, problems)
    given = _read(entry, "config", str, problems, prefix, required=script in VERBS)
    config = folder / given if given else None
    if config and not config.is_file():
        problems.append(
            f"{prefix}config: there is no file {str(config)!r}; paths are taken from the pipeline's folder"
        )
    needs = _read(entry, "needs", list, problems, prefix, required=False) or []
    problems += [
        f"{prefix}needs: {describe_unknown(str(need), names, 'stage')}" for need in needs if need not in names
    ]
    args = _read(entry, "args", dict, problems, prefix, required=False) or {}
    for taken in RUNNER_ARGUMENTS:
        if taken in args:
            fix = "use `output`, a folder name" if taken == "output_dir" else "use the stage's own `config`"
            problems.append(f"{prefix}args.{taken}: the runner sets it; {fix}")
    problems += [
        f"{prefix}args.{place}: it looks like a secret, and a command line can be read by everybody; {ADVICE}"
        for place in secrets_in(args)
    ]
    problems += [
        f"{prefix}args.{key}: null has no command-line form; leave it out" for key in args if args[key] is None
    ]
    output = _read(entry, "output", str, problems, prefix, required=False) or name
    return Stage(name=name, script=script, config=config, needs=tuple(map(str, needs)), args=dict(args), output=output)


def _find_script(prefix: str, script: str | None, folder: Path, problems: list[str]) -> str:
    """The verb, or the path of the Python file: beside the pipeline file, else from the working directory."""
    if script is None or script in VERBS:
        return script or ""
    if not script.endswith(".py"):
        problems.append(f"{prefix}script: {describe_unknown(script, VERBS, 'verb')}, or the path of a .py file")
        return script
    for candidate in (folder / script, Path(script)):
        if candidate.is_file():
            return str(candidate)
    problems.append(f"{prefix}script: there is no file {script!r}, neither in {str(folder)!r} nor where you are")
    return script


def _check_outputs(stages: Mapping[str, Stage], problems: list[str]) -> None:
    """Folders must lie inside the pipeline's and belong to one stage."""
    owners: dict[str, str] = {}
    for name, stage in stages.items():
        parts = PurePosixPath(stage.output).parts
        if not parts or parts[0] in ("/", LOG_FOLDER) or any(part.startswith(".") for part in parts):
            problems.append(f"stages.{name}.output: {stage.output!r} is not a plain folder name")
        for other, owner in owners.items():
            if _overlap(PurePosixPath(stage.output), PurePosixPath(other)):
                problems.append(f"stages.{name}.output: {stage.output!r} shares a folder with {owner!r}; name another")
        owners[stage.output] = name


def _overlap(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _check_references(stages: Mapping[str, Stage], output_dir: str) -> list[str]:
    """A stage that reads another's folder must need it, or the order would be luck."""
    problems: list[str] = []
    makers = {stage.output: name for name, stage in stages.items()}
    for name, stage in stages.items():
        try:
            recipe = load_yaml(stage.config) if stage.config else {}
        except RecipeError as error:
            problems += [f"stages.{name}.config: {problem}" for problem in error.problems]
            continue
        if stage.kind == "script":  # those of verbs are checked with all else in them
            recorded = {key: value for key, value in recipe.items() if key not in ("hub_token", "env")}
            problems += [f"stages.{name}.config: {problem}" for problem in secret_problems(recorded)]
        allowed = ancestors(stages, name) | {name}
        read = {key: value for key, value in recipe.items() if key != "output_dir"}
        for text in dict.fromkeys(strings_in([read, stage.args])):
            if not PurePosixPath(text).is_relative_to(output_dir):
                continue
            inside = PurePosixPath(text).relative_to(output_dir)
            maker = next((makers[str(part)] for part in (inside, *inside.parents) if str(part) in makers), None)
            if maker is None:
                problems.append(f"stages.{name}: it reads {text!r}, which no stage makes")
            elif maker not in allowed:
                problems.append(f"stages.{name}: it reads {text!r}; add {maker!r} to its needs")
    return problems


def check_recipes(pipeline: Pipeline, names: Iterable[str]) -> None:
    """
    Check the recipes of stages as their scripts will, but for the inputs that earlier stages have yet to make.

    This loads TRL, so it is done for stages that are going to run and no others.

    Raises:
        [`RecipeError`]: with every problem of every recipe.
    """
    problems = []
    for name in names:
        stage = pipeline.stages[name]
        if stage.config and stage.kind == stage.script:
            from trl_r1.recipe import validate_recipe

            problems += [f"{stage.config}: {problem}" for problem in validate_recipe(stage.config, stage.script)]
    if problems:
        raise RecipeError(problems, str(pipeline.path))


def strings_in(value: Any) -> Iterator[str]:
    """Every string among the values of a parsed YAML file, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)


def _read(
    content: Mapping[str, Any], name: str, kind: type, problems: list[str], prefix: str = "", *, required: bool = True
) -> Any:
    """A field of the wanted type, or `None` with the reason in `problems`."""
    value = content.get(name)
    if value is None:
        if required:
            problems.append(f"{prefix}{name}: missing; every such file has one")
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {str: "text", int: "a whole number", dict: "a mapping", list: "a list"}
        shown = f"a {type(value).__name__}" if name == "env" else repr(value)  # there are secrets in an environment
        problems.append(f"{prefix}{name}: {shown} is not {names[kind]}")
        return None
    return value


def _unknown_fields(prefix: str, content: Mapping[str, Any], known: Collection[str]) -> list[str]:
    return [f"{prefix}{name}: {describe_unknown(str(name), known, 'field')}" for name in content if name not in known]
