"""Is the answer JSON of a given shape? Validation by the package `jsonschema`, in a process that can be killed.

A schema with recursion or a pattern lets a short answer keep a validator busy for ever, so nothing is validated in the
trainer's own process. References are followed inside the schema only, never over the network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trl_r1.errors import R1Error
from trl_r1.verifiers.answers.extraction import graded_text
from trl_r1.verifiers.verdict import Judgement, Verdict
from trl_r1.verifiers.worker_pool import Reply, WorkerPool


MAX_JSON_CHARS = 100_000
MAX_JSON_DEPTH = 64
CPU_SECONDS = 1.0
BATCH_DEADLINE_SECONDS = 120.0

Schema = Mapping[str, Any] | str

_OPENING = re.compile(r"```[ \t]*(?:json5?)?", re.IGNORECASE)
_pool = WorkerPool(Path(__file__).with_name("json_schema_worker.py"))


def verify_json(completion_or_answer: str, schema: Schema) -> Judgement:
    """
    Check the JSON of one answer against a schema.

    Args:
        completion_or_answer (`str`):
            A completion (recognised by a think or answer tag; only what follows the thoughts is graded) or the answer
            itself. Its JSON is its last fenced block, or all of it where there is no block.
        schema (`Mapping[str, Any]` or `str`):
            A JSON schema, as a mapping or as text.

    Returns:
        [`Judgement`]: never raises for an answer. An overrun that the answer caused is `WRONG`; `UNDECIDABLE` means
        that the schema is unusable or that a process of ours failed.

    Raises:
        [`R1Error`]: when `jsonschema` is not installed.

    Example:

    ```python
    >>> verify_json('<think> two </think> {"n": 2}', {"properties": {"n": {"type": "string"}}}).reason
    "n: 2 is not of type 'string'"
    ```
    """
    return verify_json_batch([(completion_or_answer, schema)])[0]


def verify_json_batch(
    pairs: Sequence[tuple[str, Schema]], deadline: float = BATCH_DEADLINE_SECONDS, cpu_seconds: float = CPU_SECONDS
) -> list[Judgement]:
    """
    Check the JSON of many answers.

    Args:
        pairs (`Sequence[tuple[str, Mapping[str, Any] | str]]`):
            Completion or answer, and schema, as [`verify_json`] takes them.
        deadline (`float`, *optional*, defaults to `120.0`):
            Seconds for the whole batch. Answers not validated by then are `UNDECIDABLE`.
        cpu_seconds (`float`, *optional*, defaults to `1.0`):
            Processor time one validation may take.

    Returns:
        `list[Judgement]`: in the order of `pairs`.
    """
    require_jsonschema()
    judgements: dict[int, Judgement] = {}
    requests: dict[int, dict[str, Any]] = {}
    for index, (answer, schema) in enumerate(pairs):
        try:
            requests[index] = {"instance": read_json(graded_text(answer) or ""), "schema": _schema_text(schema)}
        except ValueError as error:
            judgements[index] = Judgement(Verdict.WRONG, str(error), "extraction")
    replies = _pool.run(list(requests.values()), cpu_seconds=cpu_seconds, deadline=deadline) if requests else []
    judgements |= {index: _from_reply(reply) for index, reply in zip(requests, replies, strict=True)}
    return [judgements[index] for index in range(len(pairs))]


def check_schema(schema: Any) -> str | None:
    """
    Why a schema is unusable, or `None`: no JSON, no valid schema, or a reference that is not inside it.

    Raises:
        [`R1Error`]: when `jsonschema` is not installed.
    """
    require_jsonschema()
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing.exceptions import Unresolvable

    try:
        document = json.loads(_schema_text(schema))
    except (TypeError, ValueError, RecursionError) as error:
        return f"no JSON ({error})"
    if not isinstance(document, dict):
        return f"a {type(document).__name__}, not a mapping"
    kind = validator_for(document, default=Draft202012Validator)
    try:
        kind.check_schema(document)
        for reference in _references(document):
            if not reference.startswith("#"):
                return f"the reference {reference!r} is not inside the schema; copy what it names into `$defs`"
            _resolve(kind, document, reference)
    except SchemaError as error:
        return f"no valid schema: {error.message}"
    except (Unresolvable, re.error) as error:
        return f"no valid schema: {type(error).__name__}: {error}"
    return None


def read_json(answer: str) -> Any:
    """
    The JSON in an answer: its last fenced block, or all of it.

    Raises:
        `ValueError`: when there is none; when it is too large or too deep; for a repeated key, which readers take for
        different values, and for `NaN` and `Infinity`, which are no JSON.
    """
    block = _last_block(answer)
    text = (answer if block is None else block).strip()
    if not text:
        raise ValueError("no answer")
    if len(text) > MAX_JSON_CHARS:
        raise ValueError(f"more than {MAX_JSON_CHARS} characters of JSON")
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"JSON nested more than {MAX_JSON_DEPTH} deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} in line {error.lineno}") from error
    if _depth(value) > MAX_JSON_DEPTH:
        raise ValueError(f"JSON nested more than {MAX_JSON_DEPTH} deep")
    return value


def _last_block(answer: str) -> str | None:
    """Content of the last fenced block that is closed, on a line of its own or right behind the JSON."""
    found: str | None = None
    lines: list[str] | None = None
    for line in answer.split("\n"):
        bare = line.strip()
        if lines is None:
            lines = [] if _OPENING.fullmatch(bare) else None
        elif bare.endswith("```"):
            found, lines = "\n".join([*lines, bare.removesuffix("```")]), None
        else:
            lines.append(line)
    return found


def require_jsonschema() -> None:
    """
    Check that `jsonschema` is installed.

    Raises:
        [`R1Error`]: naming the extra to install.
    """
    try:
        import jsonschema  # noqa: F401
    except ImportError as error:
        raise R1Error("checking JSON needs jsonschema; install it with `pip install trl_r1[structured]`") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= MAX_JSON_DEPTH:
        containers = [item for item in level if isinstance(item, list | dict)]
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
        depth += bool(containers)
    return depth


def _schema_text(schema: Any) -> str:
    return schema if isinstance(schema, str) else json.dumps(schema)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (str(node[key]) for key in ("$ref", "$dynamicRef") if isinstance(node.get(key), str))
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _references(child)


def _resolve(kind: Any, document: dict[str, Any], reference: str) -> None:
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012, specification_with

    dialect = specification_with(kind.META_SCHEMA.get("$schema", ""), default=DRAFT202012)
    resource = dialect.create_resource(document)
    Registry().with_resource("", resource).resolver().lookup(reference)


def _from_reply(reply: Reply) -> Judgement:
    if reply.failure == "overrun" or (reply.content or {}).get("result") == "overrun":
        return Judgement(Verdict.WRONG, "it takes too long to validate", "overrun")
    if reply.content is None:
        return Judgement(Verdict.UNDECIDABLE, f"not validated: the process was {reply.failure}", "fault")
    result, detail = reply.content["result"], reply.content.get("detail", "")
    if result == "valid":
        return Judgement(Verdict.CORRECT, "valid", "worker")
    if result == "invalid":
        return Judgement(Verdict.WRONG, detail, "worker")
    return Judgement(Verdict.UNDECIDABLE, f"schema: {detail}", "fault")
