"""Find and read recipe files: plain YAML, every problem with its line, nothing executed and nothing swallowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from trl_r1.errors import RecipeError
from trl_r1.user_code import find_file


_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final = frozenset(_TAG + kind for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge"))


class _RecipeLoader(yaml.SafeLoader):
    """Safe loader that reads `1e-6` as a number, as YAML 1.2 does, and a date as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (the shape PyYAML defines)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TAG + "timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_RecipeLoader.add_implicit_resolver(
    _TAG + "float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_yaml(path: str | Path) -> dict[str, Any]:
    """
    Read a recipe or pipeline file.

    Args:
        path (`str` or `Path`):
            See [`~trl_r1.user_code.find_file`].

    Returns:
        `dict[str, Any]`: its content, plain values only.

    Raises:
        [`RecipeError`]: with every duplicate key, tag and unreadable spot, and its line.
    """
    text = _read_text(find_file(path), str(path))
    try:
        loader = _RecipeLoader(text)
        try:
            node = loader.get_single_node()
            problems = list(_node_problems(node)) if node else ["the file is empty; write `field: value` lines"]
            if problems:
                raise RecipeError(problems, str(path))
            content = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise RecipeError([_describe(error)], str(path)) from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError([f"not valid YAML ({error})"], str(path)) from error
    if not isinstance(content, dict):
        raise RecipeError([f"holds {_kind(content)}, not `field: value` lines"], str(path))
    return content


def _read_text(path: Path, shown: str) -> str:
    """Text of a file, or one line saying why there is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise RecipeError(["there is no such file; give the path of a recipe"], shown) from error
    except IsADirectoryError as error:
        inside = ", ".join(sorted(item.name for item in path.glob("*.yaml"))[:5])
        raise RecipeError(
            [f"is a folder; name a file in it{f', such as {inside}' if inside else ''}"], shown
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError([f"is not text (byte {error.start} is no UTF-8); give a YAML file"], shown) from error
    except OSError as error:
        raise RecipeError([f"cannot be read ({error.strerror or error})"], shown) from error


def _node_problems(node: yaml.Node) -> Iterator[str]:
    yield from _tree_problems(node, set())
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        # Checked here, since `1` and `on` are the same key once they are Python's 1 and True.
        if isinstance(key, yaml.ScalarNode) and key.tag not in (_TAG + "str", _TAG + "merge"):
            yield f"line {_line(key)}: the key {key.value} is not text; quote it"


def _tree_problems(node: yaml.Node, seen: set[int]) -> Iterator[str]:
    """Duplicate keys, keys that are no scalars, and tags, anywhere below a node."""
    if id(node) in seen:  # an alias points back
        return
    seen.add(id(node))
    if node.tag not in _PLAIN_TAGS:
        tag = node.tag.replace(_TAG, "!!")
        yield f"line {_line(node)}: the tag {tag} is not allowed; a recipe holds plain values only"
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _tree_problems(item, seen)
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield f"line {_line(key)}: a key must be a word, not {key.id}"
            elif key.value in first and key.tag != _TAG + "merge":
                yield f"{key.value}: set twice, in lines {first[key.value]} and {_line(key)}; keep one of them"
            else:
                first[key.value] = _line(key)
            yield from _tree_problems(value, seen)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _describe(error: yaml.YAMLError) -> str:
    """A parser error in one line."""
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: not valid YAML ({reason})" if mark else f"not valid YAML ({reason})"


def _kind(content: Any) -> str:
    return "a list" if isinstance(content, list) else f"only the value {content!r:.60}"
