"""Check what a recipe reads: templates, models and datasets on the disk."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from trl_r1.chat_template import load_prompt_template, load_template
from trl_r1.errors import R1Error


HEADER: Final = re.compile(r"(?:trl-r1\s+|trl_r1\.scripts\.)(\w+)\s+--config\s+(\S+)")
_OUTPUT: Final = re.compile(r"^output_dir:\s*['\"]?([^\s'\"#]+)", re.MULTILINE)


def template_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the templates a recipe or a checkpoint names, a line each."""
    for name, load in (("prompt_template", load_prompt_template), ("chat_template", load_template)):
        if values.get(name) and isinstance(values[name], str):
            try:
                load(values[name])
            except R1Error as error:
                yield named(name, str(error))
            except (OSError, UnicodeDecodeError) as error:
                yield f"{name}: {values[name]!r} cannot be read ({error})"


def named(name: str, message: str) -> str:
    """A message that starts with the field it is about."""
    return message if message.startswith(name) else f"{name}: {message.split(': ', 1)[-1]}"


def input_problems(values: Mapping[str, Any], folder: Path | None) -> Iterator[str]:
    """
    Local models and datasets that are not there, a line each.

    Args:
        values (`Mapping[str, Any]`):
            A recipe's fields.
        folder (`Path` or `None`):
            Where its neighbours are, one of which may say that it makes the input.
    """
    named = [("model_name_or_path", values.get("model_name_or_path")), ("dataset_name", values.get("dataset_name"))]
    named += [(f"datasets[{index}].path", entry["path"]) for index, entry in enumerate(values.get("datasets") or [])]
    named += _of_evaluation(values)
    for field, path in named:
        if isinstance(path, str) and _looks_local(path) and not Path(path).expanduser().exists():
            yield f"{field}: {path!r} does not exist; {_how_to_make(path, folder)}"


def _of_evaluation(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Checkpoints and data of an evaluation; a server's name for its model is no folder here."""
    checkpoints = [] if values.get("engine") == "server" else values.get("checkpoints") or []
    named = [(f"checkpoints[{index}].path", entry.get("path")) for index, entry in enumerate(checkpoints)]
    return named + [
        (f"suites[{index}].{name}", entry.get(name))
        for index, entry in enumerate(values.get("suites") or [])
        for name in ("dataset_name", "data_files")
    ]


def overwriting_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """
    Inputs that lie where the stage would write, a line each: a user's own rows or weights would be lost.

    Args:
        values (`Mapping[str, Any]`):
            A recipe's fields.
    """
    output = values.get("output_dir")
    if not output:
        return
    single = ("dataset_name", "model_name_or_path", "teacher_model_name_or_path")
    inputs = [(name, values.get(name)) for name in single]
    for name in ("datasets", "held_out_datasets"):
        inputs += [(f"{name}[{index}].path", entry.get("path")) for index, entry in enumerate(values.get(name) or [])]
    inputs += _of_evaluation(values)
    inputs += [("benchmarks", str(text).split(":", 1)[0]) for text in values.get("benchmarks") or []]
    place = Path(output).expanduser().resolve()
    for name, path in inputs:
        if isinstance(path, str) and path and Path(path).expanduser().exists():
            source = Path(path).expanduser().resolve()
            if place in (source, source.parent if source.is_file() else source):
                yield f"output_dir: {output!r} holds {name} {path!r}, which would be overwritten; name another folder"


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
