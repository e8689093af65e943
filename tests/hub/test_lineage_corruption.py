"""Every field of an ancestor's record, corrupted in turn: the card is refused, but for a list of exceptions."""

import copy
import dataclasses
import json

import pytest
from fake_run import FakeRun, measured

from trl_r1.errors import RecordError
from trl_r1.hub import create_model_card
from trl_r1.stage_record import (
    Artefact,
    ContaminationCheck,
    DataSource,
    Measurement,
    Parent,
    RewardUse,
    StageRecord,
    describe_artefacts,
    describe_parent,
    hash_file,
)


# Where each nested dataclass stands in the record of `zero`.
PLACES = {
    (): StageRecord,
    ("parents", 0): Parent,
    ("data", 0): DataSource,
    ("rewards", 0): RewardUse,
    ("artefacts", 0): Artefact,
    ("contamination", 0): ContaminationCheck,
    ("metrics", "reward"): Measurement,
    ("evaluations", 0, "metrics", "accuracy"): Measurement,
}
FIELDS = [(*place, field.name) for place, kind in PLACES.items() for field in dataclasses.fields(kind)]

# Another value that could stand there, of the right type.
FALSE = {
    "stage": "other",
    "kind": "sft",
    "started": "2026-01-01T10:00:30+02:00x",
    "finished": "2026-01-02T10:00:00+00:00",
    "seconds": 1e6,
    "cpu_seconds": 1e9,
    "command": ["trl-r1", "sft", "--config", "zero.yaml"],
    "config": {"output_dir": "elsewhere"},
    "config_sha256": "b" * 64,
    "parents": [],
    "data": [],
    "rewards": [],
    "template": {},
    "versions": {},
    "hardware": {},
    "seeds": {"seed": 8},
    "metrics": {"reward": {"value": 0.8}},
    "evaluations": [{"suite": "test"}],
    "history": [{"step": 3, "reward": 0.7}],
    "artefacts": [],
    "contamination": [{"benchmark": "b", "method": "m", "rows_checked": 1, "questions": 1, "hits": 2}],
    "notes": ["another note"],
    "fingerprint": "b" * 64,
    "schema_version": 2,
    "parents.name_or_path": "elsewhere",
    "parents.role": "teacher",
    "parents.revision": "main",
    "parents.weights_sha256": "b" * 64,
    "parents.stage": "other",
    "parents.license": "mit",
    "parents.languages": ["fr"],
    "data.source": "elsewhere",
    "data.split": "test",
    "data.fingerprint": "b" * 64,
    "data.rows_in": 11,
    "data.rows_kept": 9,
    "data.dropped": {"too long": 3},
    "data.languages": ["fr"],
    "data.license": "mit",
    "data.revision": "c" * 40,
    "rewards.name": "format_reward",
    "rewards.weight": 2.0,
    "rewards.parameters": {"limit": 4},
    "artefacts.path": "model-2.safetensors",
    "artefacts.size": 1,
    "artefacts.sha256": "b" * 64,
    "contamination.benchmark": "org/other",
    "contamination.method": "13-grams",
    "contamination.rows_checked": 1,
    "contamination.questions": 1,
    "contamination.hits": 200,
    "contamination.removed": 1000,
    "contamination.notes": "another note",
    "metrics.value": 0.8,
    "metrics.n": -1,
    "metrics.low": 0.9,
    "metrics.high": 0.1,
    "evaluations.value": 0.99,
    "evaluations.n": 513,
    "evaluations.low": 0.95,
    "evaluations.high": 0.1,
}

# What is no value of a type, whatever JSON makes of it.
WRONG = {
    str: [5, True, ["x"], {"x": 1}, "\ud800"],
    int: ["1", True, 1.5, [1], {"x": 1}, float("nan"), 10**400],
    float: ["1", True, [1], {"x": 1}, float("nan"), float("inf"), 10**400],
    list: ["x", 5, True, {"x": 1}],
    dict: ["x", 5, True, [1]],
}
OPTIONAL = {"revision", "weights_sha256", "license", "stage", "n", "low", "high", "fingerprint"}  # null is a value

OLDER = "a record from before the field was added lacks it"
UNKNOWN = "only the record knows it: it is what was true when the stage ran"
HARMLESS = {
    "missing": {
        "parents.revision": OLDER,
        "parents.license": OLDER,
        "parents.languages": OLDER,
        "data.languages": OLDER,
        "data.license": OLDER,
        "data.revision": OLDER,
        "contamination": OLDER,
        "contamination.removed": OLDER,
        "contamination.notes": OLDER,
        "notes": "free text, which may be empty",
        "fingerprint": "a stage run outside of a pipeline has none; no card shows it",
        "evaluations": "a training stage needs to have none",
        "history": "a stage need not log; what its metrics say stays",
        "metrics": "a stage need not log",
        "metrics.n": "a number that is no rate has no trials",
        "evaluations.n": "a number that is no rate has no trials",
        "rewards.parameters": "a reward need not have any",
    },
    "false": {
        "notes": "free text",
        "contamination.notes": "free text",
        "fingerprint": "the pipeline's own: it runs the stage again when the value is another; no card shows it",
        "data.fingerprint": "rows are not read again; the files are held by the record of the stage that wrote them",
        "data.languages": UNKNOWN,
        "data.license": UNKNOWN,
        "parents.license": UNKNOWN,
        "parents.languages": UNKNOWN,
        "contamination.benchmark": UNKNOWN,
        "contamination.method": UNKNOWN,
        "cpu_seconds": UNKNOWN,  # of a training resumed elsewhere, more than the cores of this machine have
    },
}


@pytest.fixture
def run(tmp_path):
    """base -> zero -> cold, where the record of `zero` has every field."""
    made = FakeRun(tmp_path / "run")
    base = made.stage("base", "script", weights=b"base")
    made.stage("questions", "script")
    config = {
        "model_name_or_path": str(base),
        "dataset_name": str(made.folder / "questions"),
        "prompt_template": "r1_zero",
        "reward_funcs": [{"accuracy_reward": {"limit": 3}}, "get_length_reward"],
        "reward_weights": [0.5, 1.0],
        "seed": 1,
    }
    source = DataSource(
        source=config["dataset_name"],
        split="train",
        fingerprint="f" * 64,
        rows_in=10,
        rows_kept=8,
        dropped={"unusable gold": 2},
        languages=["en"],
        license="apache-2.0",
    )
    folder = made.stage(
        "zero",
        "grpo",
        weights=b"zero",
        config=config,
        parents=[("base", "base")],
        data=[source],
        rewards=[
            RewardUse(name="accuracy_reward", weight=0.5, parameters={"limit": 3}),
            RewardUse(name="length_reward", weight=1.0),
        ],
        template={"prompt_template": "a" * 64},
        metrics={"reward": Measurement(value=0.75, n=16, low=0.7, high=0.8)},
        history=[{"step": 1, "reward": 0.1}, {"step": 3, "reward": 0.75}],
        notes=["a note"],
        fingerprint="e" * 64,
        evaluations=[measured("d" * 64)],
        contamination=[
            ContaminationCheck(
                benchmark="org/exam",
                method="10-grams",
                rows_checked=10,
                questions=30,
                hits=2,
                removed=2,
                notes="exact",
            )
        ],
    )
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    made.edit(
        "zero",
        template={"prompt_template": "a" * 64, "chat_template": hash_file(folder / "chat_template.jinja")},
        artefacts=[dataclasses.asdict(item) for item in reversed(describe_artefacts(folder)) if item.size != 25],
        parents=[dataclasses.asdict(describe_parent(str(base), "base"))],
    )
    made.stage("cold", "sft", weights=b"cold", parents=[("zero", "base")])
    return made


def corrupt(run, change):
    """Change the record of `zero` and build the card of `cold`."""
    path = run.folder / "zero" / "stage.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return create_model_card(run.folder / "cold")


def at(content, path):
    for step in path:
        content = content[step]
    return content


def named(path):
    """`parents.role` of `("parents", 0, "role")`."""
    return ".".join(dict.fromkeys(step for step in (path[0], path[-1]) if isinstance(step, str)))


def test_the_record_holds_before_it_is_corrupted(run):
    content = run.read("zero")
    assert all(at(content, path) or at(content, path) in (None, 0, []) for path in FIELDS)
    assert create_model_card(run.folder / "cold") == create_model_card(run.folder / "cold")


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("how", ["missing", "false"])
def test_a_corrupt_field_is_no_card(run, path, how):
    def change(content):
        place = at(content, path[:-1])
        if how == "missing":
            del place[path[-1]]
        else:
            assert place[path[-1]] != FALSE[named(path)]
            place[path[-1]] = copy.deepcopy(FALSE[named(path)])

    if named(path) in HARMLESS[how]:
        assert corrupt(run, change)
        return
    with pytest.raises(RecordError) as error:
        corrupt(run, change)
    assert str(run.folder) in str(error.value)
    assert not (run.folder / "cold" / "README.md").exists()


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_a_field_of_another_type_is_no_card(run, path):
    """No type of JSON but the right one is taken; the message names the field."""
    text = (run.folder / "zero" / "stage.json").read_text()
    right = at(json.loads(text), path)
    wrong = WRONG[str if right is None else type(right)]
    for value in wrong if path[-1] in OPTIONAL else [*wrong, None]:
        content = json.loads(text)
        at(content, path[:-1])[path[-1]] = value
        (run.folder / "zero" / "stage.json").write_text(json.dumps(content))
        with pytest.raises(RecordError, match=path[-1]):
            create_model_card(run.folder / "cold")


def test_every_exception_is_a_field():
    names = {named(path) for path in FIELDS}
    assert set(FALSE) == names
    assert set(HARMLESS["missing"]) | set(HARMLESS["false"]) <= names
