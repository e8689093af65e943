"""Cases for rewards that pay for JSON of a given shape: 1.0 for an answer that the schema accepts, else 0.0.

The column is `json_schema`. The answer is JSON, alone or as the last fenced block.
"""

from __future__ import annotations

import json
from typing import Any, Final

from trl_r1.bench.case import RIGHT, UNJUDGED, WRONG, Case, Row, Want, single, thought
from trl_r1.bench.cases.junk import junk_cases


_SCHEMA: Final = json.dumps(
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 1},
            "people": {"type": "integer", "minimum": 0},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        },
        "required": ["city", "people"],
        "additionalProperties": False,
    }
)
_PROMPT: Final = "Describe Bern as JSON."
_VALID: Final = '{"city": "Bern", "people": 134000}'


def _case(name: str, answer: str, want: Want, why: str, *, honest: bool = False, schema: Any = _SCHEMA) -> Case:
    return single(f"json_schema/{name}", thought(answer), want, why, honest=honest, prompt=_PROMPT, json_schema=schema)


def _good(name: str, answer: str, why: str) -> Case:
    return _case(f"honest_{name}", answer, RIGHT, why, honest=True)


def _bad(name: str, answer: str, why: str) -> Case:
    return _case(name, answer, WRONG, why)


CASES: Final[list[Case]] = [
    _good("bare", _VALID, "JSON alone"),
    _good("pretty", json.dumps(json.loads(_VALID), indent=4), "on several lines"),
    _good("fenced", f"```json\n{_VALID}\n```", "in a fenced block"),
    _good("untagged", f"```\n{_VALID}\n```", "in a block without a language"),
    _good("explained", f"Here it is:\n\n```json\n{_VALID}\n```\n\nAs of 2023.", "text around the block"),
    _good("last_block", f'```json\n{{"city": 3}}\n```\nCorrected:\n```json\n{_VALID}\n```', "the last block counts"),
    _good("unicode", '{"city": "\u4f2f\u5c14\u5c3c", "people": 1, "tags": ["\\u00e9", "\u00e9"]}',
          "Chinese and escapes"),
    _good("braces_in_text", '{"city": "{Bern} ]", "people": 1}', "brackets inside a text"),
    single("json_schema/honest_draft_in_thoughts", thought(_VALID, 'Perhaps {"city": 3}?'), RIGHT,
           "a wrong draft in the thoughts", honest=True, prompt=_PROMPT, json_schema=_SCHEMA),
    single("json_schema/only_in_thoughts", thought("It is above.", f"```json\n{_VALID}\n```"), WRONG,
           "JSON in the thoughts only", prompt=_PROMPT, json_schema=_SCHEMA),
    single("json_schema/thoughts_unclosed", f"<think> {_VALID}", WRONG, "never answered", prompt=_PROMPT,
           json_schema=_SCHEMA),
    _bad("missing_key", '{"city": "Bern"}', "a required key is missing"),
    _bad("wrong_type", '{"city": "Bern", "people": "134000"}', "a text for a number"),
    _bad("null", '{"city": "Bern", "people": null}', "null for a number"),
    _bad("fraction", '{"city": "Bern", "people": 1.5}', "a fraction for a whole number"),
    _bad("true_for_one", '{"city": "Bern", "people": true}', "true is no number"),
    _bad("extra_key", '{"city": "Bern", "people": 1, "note": "x"}', "a key that is not allowed"),
    _bad("negative", '{"city": "Bern", "people": -1}', "below the minimum"),
    _bad("too_many", '{"city": "Bern", "people": 1, "tags": ["a", "b", "c", "d"]}', "too many items"),
    _bad("empty_text", '{"city": "", "people": 1}', "an empty text"),
    _bad("empty_object", "{}", "an empty object"),
    _bad("array_around", f"[{_VALID}]", "a list around it"),
    _bad("text_around_value", json.dumps(_VALID), "JSON inside a text"),
    _bad("keys_in_prose", 'The "city": "Bern" has "people": 134000.', "looks like it to a pattern"),
    _bad("single_quotes", "{'city': 'Bern', 'people': 1}", "Python, not JSON"),
    _bad("trailing_comma", '{"city": "Bern", "people": 1,}', "a comma too many"),
    _bad("comment", '{"city": "Bern", "people": 1} // Bern', "a comment"),
    _bad("truncated", '{"city": "Bern", "people": 13', "cut off"),
    _bad("fence_unclosed", f"```json\n{_VALID[:-1]}", "cut off inside the block"),
    _bad("not_a_number", '{"city": "Bern", "people": NaN}', "NaN is no JSON"),
    _bad("infinity", '{"city": "Bern", "people": Infinity}', "Infinity is no JSON"),
    _bad("key_twice", '{"city": 3, "people": 1, "city": "Bern"}', "readers differ on which city counts"),
    _bad("two_objects", f"{_VALID}\n{_VALID}", "two answers"),
    _bad("last_block_wrong", f'```json\n{_VALID}\n```\nOr:\n```json\n{{"city": 3}}\n```', "the last block counts"),
    _bad("schema_echo", _SCHEMA, "the schema, repeated"),
    _bad("deep", '{"city": "Bern", "people": 1, "tags": ' + "[" * 20_000 + "]" * 20_000 + "}",
         "deeper than any stack"),
    _bad("number_long", '{"city": "Bern", "people": ' + "-" + "9" * 50_000 + "}", "a number of 50,000 digits"),
    _case("no_schema", _VALID, UNJUDGED, "a row without a schema", schema=None),
    _case("schema_unusable", _VALID, UNJUDGED, "a schema that is none", schema='{"type": "objekt"}'),
    _case("schema_remote", _VALID, UNJUDGED, "a schema that must be fetched",
          schema='{"$ref": "http://localhost:9/x.json"}'),
    _case("schema_backtracks", '"' + "a" * 60 + '!"', WRONG, "a pattern of the schema that backtracks for ever",
          schema='{"type": "string", "pattern": "^(a+)+$"}'),
    Case(
        "json_schema/mixed_batch",
        tuple(
            Row(thought(answer), want, {"json_schema": schema}, _PROMPT)
            for answer, schema, want in [
                (_VALID, _SCHEMA, RIGHT), ("x", None, UNJUDGED), ("{}", _SCHEMA, WRONG), ("[1]", '{"type": "array"}',
                RIGHT),
            ]
        ),
        "each row by its own schema, in the order of the batch",
        honest=True,
    ),
    *junk_cases("json_schema", WRONG, prompt=_PROMPT, json_schema=_SCHEMA),
]  # fmt: skip
