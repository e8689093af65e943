"""JSON against a schema: what counts as JSON, what is valid, and answers that would keep a validator busy for ever."""

import builtins
import json
import sys
import time

import pytest

from trl_r1.errors import R1Error
from trl_r1.verifiers import Verdict
from trl_r1.verifiers.json_schema import check_schema, verify_json, verify_json_batch


CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city"],
    "additionalProperties": False,
}
GOOD = '{"city": "Bern", "people": 134591}'
# Both branches descend into the same value, so each level doubles the work.
DOUBLING = {"anyOf": [{"required": ["b"], "properties": {"a": {"$ref": "#"}}}] * 2}
DOUBLING["anyOf"] = [
    {"properties": {"a": {"$ref": "#"}, "b": {"const": branch}}, "required": ["a", "b"]} for branch in (1, 2)
]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```json\n{GOOD}```",
        f"```JSON\r\n{GOOD}\r\n```\r\n",
        f"1. So:\n   ```json\n   {GOOD}\n   ```",
        f"Here it is:\n```\n{GOOD}\n```\nWell.",
        f'```json\n{{"city": 1}}\n```\nNo:\n```json\n{GOOD}\n```',  # the last block counts
        f"<think> hm </think> {GOOD}",
        f"<think> hm </think> <answer> {GOOD} </answer>",
    ],
)
def test_valid(text):
    assert verify_json(text, CITY).verdict is Verdict.CORRECT
    assert verify_json(text, json.dumps(CITY)).verdict is Verdict.CORRECT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no answer"),
        ("Bern", "no JSON"),
        (f"The city is {GOOD}.", "no JSON"),
        (f"<think> {GOOD} </think>", "no answer"),
        (f"<think> {GOOD}", "no answer"),
        (f"{GOOD} {GOOD}", "no JSON"),
        (f'```json\n{GOOD}\n```\n```json\n{{"city": 1}}\n```', "city: 1 is not of type 'string'"),
        ('{"city": "Bern"', "no JSON"),
        ("{'city': 'Bern'}", "no JSON"),
        ('{"city": "Bern",}', "no JSON"),
        ('{"people": 3}', "'city' is a required property"),
        ('{"city": "Bern", "people": -1}', "people: -1 is less than the minimum of 0"),
        ('{"city": "Bern", "people": 1.5}', "people: 1.5 is not of type 'integer'"),
        ('{"city": "Bern", "people": true}', "people: True is not of type 'integer'"),
        ('{"city": "Bern", "note": ""}', "Additional properties"),
        ('{"city": 1, "city": "Bern"}', "a key occurs twice"),
        ('{"city": "Bern", "people": NaN}', "NaN is no JSON"),
        ('{"city": "Bern", "people": ' + "9" * 5000 + "}", "limit"),
        ("[" * 100_000, "nested"),
        ("[" * 80 + "]" * 80, "nested more than 64 deep"),
        ('"' + "a" * 200_000 + '"', "more than 100000 characters"),
        ('["Bern"]', "is not of type 'object'"),
    ],
)
def test_invalid(text, reason):
    judgement = verify_json(text, CITY)
    assert judgement.verdict is Verdict.WRONG
    assert reason in judgement.reason


@pytest.mark.parametrize("junk", ["```json\n", "```\n", "```json\nx```", "```"])
def test_fences_of_100_kb_take_no_time(junk):
    start = time.perf_counter()
    assert verify_json(junk * (100_000 // len(junk)), CITY).verdict is Verdict.WRONG
    assert time.perf_counter() - start < 2  # milliseconds; it was 7 s when each opening looked for its end


def test_answers_that_would_take_for_ever_are_wrong_and_the_others_are_judged():
    deep = '{"b": 3, "a": ' * 40 + "{}" + "}" * 40
    pairs = [
        (GOOD, CITY),
        (deep, DOUBLING),
        ('"' + "a" * 60 + '!"', {"type": "string", "pattern": "^(a+)+$"}),
        (GOOD, CITY),
    ]
    judgements = verify_json_batch(pairs, cpu_seconds=0.3)
    assert [judgement.verdict.value for judgement in judgements] == ["correct", "wrong", "wrong", "correct"]
    assert [judgement.decided_by for judgement in judgements] == ["worker", "overrun", "overrun", "worker"]


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (CITY, None),
        (json.dumps(CITY), None),
        (DOUBLING, None),
        ({}, None),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "definitions": {"a": {}},
                "$ref": "#/definitions/a",
            },
            None,
        ),
        ("{", "no JSON"),
        ("[]", "a list, not a mapping"),
        ({"type": "text"}, "no valid schema: 'text' is not valid"),
        ({"minimum": "0"}, "no valid schema"),
        ({"$ref": "https://example.com/schema.json"}, "is not inside the schema"),
        ({"items": [{"$ref": "other.json"}], "$schema": "http://json-schema.org/draft-07/schema#"}, "'other.json'"),
        ({"$ref": "#/$defs/missing"}, "no valid schema: PointerToNowhere"),
    ],
)
def test_check_schema(schema, problem):
    found = check_schema(schema)
    assert found is None if problem is None else problem in found


@pytest.mark.parametrize("schema", ["{", {"type": "text"}, {"$ref": "https://example.com/s"}, {"$ref": "#/$defs/x"}])
def test_an_unusable_schema_is_nobodys_fault_but_ours(schema):
    judgement = verify_json("{}", schema)
    assert judgement.verdict is Verdict.UNDECIDABLE
    assert judgement.reward is None


def test_the_extra_is_named_when_it_is_missing(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "jsonschema":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "jsonschema", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(R1Error, match=r"trl_r1\[structured\]"):
        verify_json("{}", {})
