"""Is the answer JSON of the shape asked for? Structured output, which the paper names as R1's future work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trl_r1.errors import RewardError
from trl_r1.rewards.batches import column_of, report_faults
from trl_r1.rewards.completions import Text, parse_completions
from trl_r1.verifiers.json_schema import Schema, check_schema, require_jsonschema, verify_json_batch


class JsonSchemaReward:
    """
    1.0 for JSON that a schema accepts, else 0.0.

    Made by [`get_json_schema_reward`], which documents the arguments. Instances pickle.
    """

    def __init__(self, schema: Schema | None = None, schema_column: str = "json_schema") -> None:
        require_jsonschema()
        problem = None if schema is None else check_schema(schema)
        if problem:
            raise RewardError(f"schema: {problem}")
        self.schema = schema
        self.schema_column = schema_column
        self.__name__ = "json_schema_reward"

    def __call__(
        self,
        completions: Sequence[Text],
        prompt_tail: Sequence[str | None] | None = None,
        response_format: Sequence[str | None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_fault: Callable[[int, str], None] | None = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. `None` where the row has no schema, or its schema is unusable."""
        parsed = parse_completions(completions, prompt_tail, response_format)
        if self.schema is not None:
            schemas: Sequence[Schema | None] = [self.schema] * len(parsed)
        else:
            schemas = column_of(kwargs, self.schema_column, self.__name__, "schema_column")
        rows = [index for index, schema in enumerate(schemas) if schema is not None]
        pairs = [(parsed[index].answer or "", schema) for index, schema in enumerate(schemas) if schema is not None]
        judgements = dict(zip(rows, verify_json_batch(pairs), strict=True))
        if log_extra is not None:
            log_extra("json", [judgements[i].reason if i in judgements else "" for i in range(len(parsed))])
        report_faults(log_fault, judgements)
        return [judgements[i].reward if i in judgements else None for i in range(len(parsed))]

    def check_row(self, row: Mapping[str, Any]) -> str | None:
        """Why a row of the training data cannot be judged, or `None`."""
        schema = row.get(self.schema_column) if self.schema is None else None
        return None if schema is None else check_schema(schema)


def get_json_schema_reward(schema: Schema | None = None, schema_column: str = "json_schema") -> JsonSchemaReward:
    """
    Reward 1.0 for an answer that is JSON and valid by a schema, else 0.0.

    The JSON is the last fenced block of what follows the thoughts, or all of it where there is no block: JSON inside a
    sentence is of no use to a program. A repeated key, `NaN`, more than 100,000 characters and nesting beyond 64 are
    refused. `format` is not asserted, as the specification has it by default.

    Source: DeepSeek-R1 lists structured output among its limitations and future work; the formula is ours.

    Args:
        schema (`Mapping[str, Any]` or `str`, *optional*):
            One JSON schema for all rows.
        schema_column (`str`, *optional*, defaults to `"json_schema"`):
            Otherwise, dataset column with each row's schema, best as text: in a column of mappings each would have the
            keys of all others. Rows with `None` get `None`.

    Returns:
        [`JsonSchemaReward`]

    Raises:
        [`R1Error`]: when `jsonschema` is not installed (extra `structured`).
        [`RewardError`]: when `schema` is no valid schema, or refers to something outside it.

    Example:

    ```python
    >>> reward = get_json_schema_reward({"type": "object", "required": ["city"]})
    >>> reward(['<think> Bern </think> {"city": "Bern"}', "<think> Bern </think> Bern"])
    [1.0, 0.0]
    ```
    """
    return JsonSchemaReward(schema, schema_column)
