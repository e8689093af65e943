"""The process in which JSON is validated. Run as a file by a [`~trl_r1.verifiers.worker_pool.WorkerPool`]."""

from __future__ import annotations

import json
import socket
import sys
from functools import lru_cache
from typing import Any


MAX_DETAIL_CHARS = 200


def answer(request: dict[str, Any], connection: Any) -> dict[str, Any]:
    """Validate `instance` against `schema`: `"valid"`, `"invalid"` with the first error, or `"unusable"`."""
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(validator(request["schema"]).iter_errors(request["instance"]))
    except (MemoryError, RecursionError) as overrun:
        return {"result": "overrun", "detail": type(overrun).__name__}
    except (Unresolvable, ValueError, TypeError, AttributeError, KeyError) as fault:
        return {"result": "unusable", "detail": f"{type(fault).__name__}: {fault}"[:MAX_DETAIL_CHARS]}
    if error is None:
        return {"result": "valid"}
    where = error.json_path.removeprefix("$").removeprefix(".")
    return {"result": "invalid", "detail": (f"{where}: " * bool(where) + error.message)[:MAX_DETAIL_CHARS]}


@lru_cache(maxsize=256)
def validator(schema: str) -> Any:
    """A validator of a schema's text, which fetches nothing."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    document = json.loads(schema)
    kind = validator_for(document, default=Draft202012Validator)
    kind.check_schema(document)
    return kind(document, registry=Registry())


def warm_up() -> None:
    """Load what the first validation would load."""
    answer({"schema": '{"type": "object"}', "instance": {}}, None)


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[2])
    from trl_r1.verifiers.math_worker import run_nursery

    sys.setrecursionlimit(3000)
    run_nursery(socket.socket(fileno=int(sys.argv[1])), answer, warm_up)
