"""One value against the type of its field, from a YAML file and from a command line."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from transformers.trainer_utils import SchedulerType
from trl import DatasetMixtureConfig, ModelConfig

from trl_r1.recipe.specs import field_specs
from trl_r1.recipe.values import ValueProblemError, convert
from trl_r1.script_arguments import JsonMapping, RewardSpec


@dataclass
class Fields:
    whole: int = 1
    maybe_whole: int | None = None
    number: float = 1.0
    maybe_number: float | None = None
    switch: bool = False
    maybe_switch: bool | None = None
    text: str = ""
    maybe_text: str | None = None
    words: list[str] = field(default_factory=list)
    numbers: list[float] | None = None
    mapping: dict[str, Any] | str | None = None
    typed_mapping: dict[str, bool] | None = None
    deepspeed: dict | str | None = None
    schedule: SchedulerType | str = SchedulerType.LINEAR
    padding: int | str | None = "auto"
    space: str | Literal[False] | None = None
    level: Literal["low", "high"] | None = "low"
    color: str = field(default="red", metadata={"choices": ["red", "green", "no"]})
    scale_rewards: str = field(default="group", metadata={"choices": ["group", "batch", "none"]})
    rewards: list[RewardSpec] = field(default_factory=list)
    entries: list[JsonMapping] = field(default_factory=list)


SPECS = field_specs([Fields])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("whole", 8),
        ("maybe_whole", None),
        ("number", 1e-6),
        ("number", 3),
        ("switch", True),
        ("maybe_switch", None),
        ("text", "none"),
        ("words", ["a", "b"]),
        ("words", []),
        ("numbers", [1, 0.5]),
        ("mapping", {"a": [1]}),
        ("deepspeed", "zero3.json"),
        ("deepspeed", {"stage": 3}),
        ("schedule", "cosine"),
        ("padding", 64),
        ("padding", "auto"),
        ("space", False),
        ("space", "me/space"),
        ("level", "high"),
        ("color", "green"),
        ("rewards", ["accuracy_reward", {"get_x": {"a": 1}}]),
        ("entries", [{"name": "a", "path": "b"}]),
    ],
)
def test_value_kept_as_it_is(name, value):
    assert convert(SPECS[name], value) == value
    assert type(convert(SPECS[name], value)) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("whole", "8", 8),  # quoted in YAML: TRL's parser reads it too
        ("number", "1e-6", 1e-6),
        ("switch", "true", True),
        ("color", False, "no"),  # YAML 1.1 reads the word `no` as false
        ("scale_rewards", False, "none"),
        ("scale_rewards", True, "group"),
        ("scale_rewards", "False", "none"),  # a command line's word, which TRL would keep as text
        ("mapping", '{"a": 1}', {"a": 1}),
        ("rewards", [{"get_x": None}], [{"get_x": {}}]),
    ],
)
def test_value_read_as_meant(name, value, expected):
    assert convert(SPECS[name], value) == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("whole", "many", "is not a whole number"),
        ("whole", 8.0, "is not a whole number; write 8"),
        ("whole", 8.5, "is not a whole number"),
        ("whole", "8.0", "is not a whole number"),
        ("whole", True, "is not a whole number"),
        ("whole", [8], "is not a whole number"),
        ("whole", None, "is not a whole number"),
        ("number", [1], "is not a number"),
        ("number", True, "is not a number"),
        ("number", "hot", "is not a number"),
        ("number", float("nan"), "is not a finite number"),
        ("number", "inf", "is not a number"),
        ("maybe_number", float("inf"), "is not a finite number"),
        ("switch", "maybe", "is not true or false"),
        ("switch", 2, "is not true or false"),
        ("switch", 1, "is not true or false"),
        ("text", 2024, "is not text; put it in quotes"),
        ("text", False, "is not text; put it in quotes"),
        ("maybe_text", ["a"], "is not text"),
        ("words", "accuracy", "is not a list; write [accuracy]"),
        ("words", ["a", 1], "is wrong in its item 1, which is not text; put it in quotes"),
        ("numbers", [1, "many"], "is wrong in its item 'many', which is not a number"),
        ("numbers", 0.5, "is not a list of numbers; write [0.5]"),
        ("mapping", "text", "is not a mapping"),
        ("mapping", "{broken: 1}", "is not a mapping; text is read as JSON"),
        ("mapping", 3, "is not a mapping or text; put it in quotes"),
        ("typed_mapping", "[1]", "is not a mapping"),
        ("schedule", "cosin", "is unknown; did you mean 'cosine'?"),
        ("schedule", 3, "is not text; put it in quotes"),
        ("level", "medium", "is unknown; use one of low, high"),
        ("color", "blu", "is unknown; use one of red, green, no"),
        ("scale_rewards", "groups", "is unknown; did you mean 'group'?"),
        ("space", True, "is not text"),
        ("rewards", [3], "is wrong in its item 3, which is not a name or {name: {parameter: value}}"),
        ("rewards", [{"a": {}, "b": {}}], "is wrong in its item {'a': {}, 'b': {}}, which must be one name"),
        ("rewards", [{"a": 3}], "is wrong in its item {'a': 3}, which must be one name with a mapping"),
        ("entries", ["a"], "is wrong in its item 'a', which is not a mapping"),
    ],
)
def test_value_refused(name, value, message):
    with pytest.raises(ValueProblemError) as caught:
        convert(SPECS[name], value)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("maybe_whole", "none", None),
        ("maybe_number", "null", None),
        ("maybe_text", "none", "none"),  # may be a real word, as in report_to
        ("maybe_switch", "no", False),
        ("words", ["a", "b"], ["a", "b"]),
        ("numbers", ["1", "0.5"], [1.0, 0.5]),
        ("rewards", ["accuracy_reward", '{"get_x": {"a": 1}}'], ["accuracy_reward", {"get_x": {"a": 1}}]),
        ("entries", ['{"name": "a"}'], [{"name": "a"}]),
        ("typed_mapping", '{"a": true}', {"a": True}),
    ],
)
def test_text_of_a_command_line(name, text, expected):
    assert convert(SPECS[name], text, from_command_line=True) == expected


def test_broken_json_on_a_command_line():
    with pytest.raises(ValueProblemError, match="is not JSON"):
        convert(SPECS["rewards"], ["{broken"], from_command_line=True)


def test_datasets_of_a_mixture():
    spec = field_specs([DatasetMixtureConfig])["datasets"]
    mixture = [{"path": "a", "fraction": 0.5}, {"path": "b", "columns": ["x"]}]
    assert convert(spec, mixture) == mixture
    assert convert(spec, ["a", "b"], from_command_line=True) == [{"path": "a"}, {"path": "b"}]
    with pytest.raises(ValueProblemError, match="fractoin: no such field; did you mean 'fraction'"):
        convert(spec, [{"path": "a", "fractoin": 0.5}])
    with pytest.raises(ValueProblemError, match="path: missing"):
        convert(spec, [{"name": "a"}])
    with pytest.raises(ValueProblemError, match="fraction: 'half' is not a number"):
        convert(spec, [{"path": "a", "fraction": "half"}])


def test_choices_come_from_the_dataclass_the_enumeration_or_the_caller():
    specs = field_specs([ModelConfig], {"attn_implementation": ("sdpa",)})
    assert specs["dtype"].choices == ("auto", "bfloat16", "float16", "float32")
    assert specs["attn_implementation"].choices == ("sdpa",)
    assert "cosine" in SPECS["schedule"].choices
    assert specs["lora_r"].default == 16
