"""What must not change for a finished stage to stay finished.

A stage's fingerprint covers what its user wrote: the recipe's values (comments and order aside), the arguments, seed
and environment of the pipeline, the source of the Python files and the content of every other file they name, and the
fingerprints of the stages it needs. It leaves out where the outputs lie, so a folder may be moved, and where they are
published and with which token. It also leaves out
the version of trl_r1: upgrading it would otherwise throw away weeks of training; the version is in each record and on
each card, and a stage whose folder is deleted is made again, with all that need it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from trl_r1.pipeline.graph import Pipeline, Stage
from trl_r1.pipeline.loading import strings_in
from trl_r1.recipe.hub_checks import HUB_FIELDS
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.redaction import redact_values
from trl_r1.stage_record import hash_file, hash_json
from trl_r1.user_code import find_file


def stage_fingerprints(pipeline: Pipeline) -> dict[str, str]:
    """SHA-256 of each stage of a pipeline, by name."""
    found: dict[str, str] = {}
    for name, stage in pipeline.stages.items():
        needs = {need: found[need] for need in stage.needs}
        found[name] = hash_json(describe_stage(pipeline, stage) | {"needs": needs})
    return found


def describe_stage(pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    """All that decides a stage's result, but for the stages it needs."""
    recipe = _deciding(load_yaml(stage.config)) if stage.config else {}
    args = _deciding(stage.args)
    return {
        "script": stage.script if stage.kind == stage.script else Path(stage.script).name,
        "recipe": recipe,
        "args": args,
        "seed": pipeline.seed,
        "env": redact_values(pipeline.env),
        "files": hash_named_files([stage.script, recipe, args], pipeline.default_output_dir),
    }


def _deciding(values: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a result: neither where it is published, nor a token, which may be renewed."""
    kept = redact_values({name: value for name, value in values.items() if name not in HUB_FIELDS})
    return {name: value for name, value in kept.items() if (name, value) != ("env", {})}


def hash_named_files(content: Any, outputs: str | None = None) -> dict[str, str]:
    """
    Hash of every file that a recipe names, such as a reward's source or a template, and of what those import.

    Args:
        content:
            Values of a recipe, however deep.
        outputs (`str`, *optional*):
            A folder whose files are left out.

    Returns:
        `dict[str, str]`: SHA-256 by file name, without its folder.
    """
    hashes: dict[str, str] = {}
    for text in strings_in(content):
        path = _named_file(text)
        if path is None or (outputs and PurePosixPath(text).is_relative_to(outputs)):
            continue
        for source in local_sources(path):
            hashes[source.name] = hash_file(source)
    return hashes


def _named_file(text: str) -> Path | None:
    """The file a value names, `path.py:function` included; `None` for a value that names none."""
    try:
        path = find_file(text.split(".py:")[0] + ".py" if ".py:" in text else text)
        return path if path.is_file() else None
    except (OSError, ValueError):  # too long or too odd for a path: a prompt, say
        return None


def local_sources(path: Path) -> Iterator[Path]:
    """A file and, for Python, the files beside it that it imports, directly or through each other."""
    waiting, seen = [path], set()
    while waiting:
        source = waiting.pop()
        if source in seen:
            continue
        seen.add(source)
        yield source
        waiting += [source.with_name(f"{module}.py") for module in _imports(source)]
        waiting = [candidate for candidate in waiting if candidate.is_file()]


def _imports(source: Path) -> list[str]:
    """Top-level names a Python file imports; none for other files, or where it does not parse."""
    if source.suffix != ".py":
        return []
    try:
        tree = ast.parse(source.read_bytes())
    except SyntaxError:
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module.partition(".")[0])
    return names
