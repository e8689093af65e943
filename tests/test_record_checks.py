"""Each check of a record: what it refuses, what it says, and what it lets pass because it happens honestly."""

import copy
import dataclasses

import pytest
from fake_run import measured

from trl_r1.errors import RecordError
from trl_r1.stage_record import (
    Artefact,
    ContaminationCheck,
    DataSource,
    Measurement,
    Parent,
    RewardUse,
    StageRecord,
    check_plausible,
    hash_json,
    plain_json,
)
from trl_r1.stage_record.files import read_record_content


HASH = "0123456789abcdef" * 4
SOURCE = DataSource(
    source="run/data", split="train", fingerprint=HASH, rows_in=10, rows_kept=7, dropped={"empty": 1, "too long": 2}
)
COMMON = {
    "started": "2026-01-01T10:00:00+00:00",
    "finished": "2026-01-01T10:01:00+00:00",
    "seconds": 60.0,
    "cpu_seconds": 59.0,
    "versions": {"python": "3.11"},
    "hardware": {"cpu_count": 2},
    "seeds": {"seed": 1},
}
TRAINED = StageRecord(
    stage="zero",
    kind="grpo",
    command=["trl-r1", "grpo"],
    config={
        "model_name_or_path": "run/base",
        "dataset_name": "run/data",
        "prompt_template": "r1_zero",
        "reward_funcs": ["accuracy_reward", {"length_reward": {"limit": 3}}, "get_a_reward", "my.module:reward"],
        "reward_weights": [1.0, 0.5, 1.0, 2.0],
        "seed": 1,
    },
    config_sha256="",
    parents=[Parent(name_or_path="run/base", role="base", weights_sha256=HASH)],
    data=[SOURCE],
    rewards=[
        RewardUse(name="accuracy_reward", weight=1.0),
        RewardUse(name="length_reward", weight=0.5, parameters={"limit": 3}),
        RewardUse(name="made", weight=1.0),
        RewardUse(name="mine", weight=2.0),
    ],
    template={"prompt_template": HASH},
    metrics={"reward": Measurement(value=0.5, n=4, low=0.25, high=0.75)},
    history=[
        {"step": 0.0, "reward": 0.0},
        {"step": 1.0},
        {"step": 1.0, "eval_loss": 1.0},
        {"step": 2.0, "reward": 0.5},
    ],
    artefacts=[
        Artefact(path="model.safetensors", size=0, sha256=HASH),
        Artefact(path="a/b.jsonl", size=1, sha256=HASH),
    ],
    contamination=[
        ContaminationCheck(benchmark="exam", method="10-grams", rows_checked=7, questions=5, hits=5, removed=7)
    ],
    **COMMON,
)
MEASURED = StageRecord(
    stage="evaluation",
    kind="evaluate",
    command=["trl-r1", "evaluate"],
    config={"checkpoints": [{"path": "run/zero"}, {"path": "run/base"}]},
    config_sha256="",
    parents=[
        Parent(name_or_path="run/zero", role="evaluated", weights_sha256=HASH),
        Parent(name_or_path="run/base", role="evaluated", weights_sha256=HASH[::-1]),
    ],
    data=[SOURCE],
    evaluations=[
        measured(HASH, path="run/zero", data=dataclasses.asdict(SOURCE), samples="zero.jsonl"),
        measured(HASH[::-1], path="run/base", data=dataclasses.asdict(SOURCE)),
    ],
    **COMMON,
)


def content_of(record):
    return plain_json(dataclasses.asdict(dataclasses.replace(record, config_sha256=hash_json(record.config))))


def check(content):
    check_plausible(read_record_content(content, "stage.json"), "stage.json")


def put(content, path, value):
    """Change one place of a record, and the hash of its configuration, so that no other check sees it."""
    *places, last = path
    place = content
    for step in places:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    if path[0] == "config":
        content["config_sha256"] = hash_json(content["config"])


@pytest.mark.parametrize("record", [TRAINED, MEASURED], ids=["trained", "measured"])
def test_a_whole_record_passes(record):
    check(content_of(record))


E = ("evaluations", 0)
REFUSED = {
    "stage: ' ' is no name": (TRAINED, ("stage",), " "),
    "config_sha256: ": (TRAINED, ("config_sha256",), HASH),
    "artefacts[1].path: 'model.safetensors' is no path of its own": (
        *(TRAINED, ("artefacts", 1, "path"), "model.safetensors"),
    ),
    "artefacts[0].path: '../x'": (TRAINED, ("artefacts", 0, "path"), "../x"),
    "artefacts[0].path: '/x'": (TRAINED, ("artefacts", 0, "path"), "/x"),
    "artefacts[0].path: ''": (TRAINED, ("artefacts", 0, "path"), ""),
    "artefacts[0].size: -1 is negative": (TRAINED, ("artefacts", 0, "size"), -1),
    "versions.python: empty": (TRAINED, ("versions", "python"), ""),
    "parents[0].name_or_path: empty": (TRAINED, ("parents", 0, "name_or_path"), ""),
    "parents[0].role: empty": (TRAINED, ("parents", 0, "role"), ""),
    "rewards[3].name: empty": (TRAINED, ("rewards", 3, "name"), ""),
    "data[0].source: empty": (TRAINED, ("data", 0, "source"), ""),
    "data[0].split: empty": (TRAINED, ("data", 0, "split"), " "),
    "data[0].dropped.empty: -1 is negative": (TRAINED, ("data", 0, "dropped"), {"empty": -1, "too long": 4}),
    "data[0]: negative count of rows (2 in, -1 kept)": (
        *(TRAINED, ("data", 0), dataclasses.asdict(SOURCE) | {"rows_in": 2, "rows_kept": -1}),
    ),
    "data[0]: 10 rows in and 8 kept, but 3 dropped": (TRAINED, ("data", 0, "rows_kept"), 8),
    "contamination[0].benchmark: empty": (TRAINED, ("contamination", 0, "benchmark"), ""),
    "contamination[0].method: empty": (TRAINED, ("contamination", 0, "method"), ""),
    "contamination[0].hits: -1 is negative": (TRAINED, ("contamination", 0, "hits"), -1),
    "contamination[0].removed: -1 is negative": (TRAINED, ("contamination", 0, "removed"), -1),
    "contamination[0].rows_checked: -1 is negative": (TRAINED, ("contamination", 0, "rows_checked"), -1),
    "contamination[0].questions: -1 is negative": (TRAINED, ("contamination", 0, "questions"), -1),
    "contamination[0].hits: 6 of 5 questions": (TRAINED, ("contamination", 0, "hits"), 6),
    "contamination[0].removed: 8 of 7 rows": (TRAINED, ("contamination", 0, "removed"), 8),
    "metrics.reward.n: -1 is negative": (TRAINED, ("metrics", "reward", "n"), -1),
    "metrics.reward: an interval with one end": (TRAINED, ("metrics", "reward", "low"), None),
    "metrics.reward: 0.5 is not within its interval, 0.6": (TRAINED, ("metrics", "reward", "low"), 0.6),
    "metrics.reward: 0.5 is not within its interval, 0.25 to 0.4": (TRAINED, ("metrics", "reward", "high"), 0.4),
    "damaged evaluation: evaluations[0].suite: missing": (MEASURED, (*E, "suite"), ...),
    "evaluations[0].n: -1 is negative": (MEASURED, (*E, "n"), -1),
    "evaluations[0].checkpoint: empty": (MEASURED, (*E, "checkpoint"), ""),
    "evaluations[0].path: empty": (MEASURED, (*E, "path"), ""),
    "evaluations[0].suite: empty": (MEASURED, (*E, "suite"), " "),
    "evaluations[0].mode: empty": (MEASURED, (*E, "mode"), ""),
    "evaluations[0].samples: '../x.jsonl' is no file name": (MEASURED, (*E, "samples"), "../x.jsonl"),
    "evaluations[0].data: 10 rows in and 6 kept": (MEASURED, (*E, "data", "rows_kept"), 6),
    "evaluations[0].metrics.accuracy.n: 513 of 512 answers": (MEASURED, (*E, "metrics", "accuracy", "n"), 513),
    "evaluations[0].groups.2.accuracy.n: 513 of 512": (MEASURED, (*E, "groups", "2", "accuracy", "n"), 513),
    "evaluations[0].groups.2.accuracy: 2": (MEASURED, (*E, "groups", "2", "accuracy", "value"), 2.0),
    "kind: 'magic' is none of": (MEASURED, ("kind",), "magic"),
    "command: empty": (TRAINED, ("command",), []),
    "versions: empty": (TRAINED, ("versions",), {}),
    "hardware: empty": (TRAINED, ("hardware",), {}),
    "seeds: empty": (TRAINED, ("seeds",), {}),
    "started: '2026-01-01T10:00:00' is no ISO 8601 time": (TRAINED, ("started",), "2026-01-01T10:00:00"),
    "finished: 'now' is no ISO 8601 time": (TRAINED, ("finished",), "now"),
    "seconds: -1.0 is negative": (TRAINED, ("seconds",), -1.0),
    "cpu_seconds: -1.0 is negative": (TRAINED, ("cpu_seconds",), -1.0),
    "finished: 2026-01-01T09:59:00+00:00 is before started": (TRAINED, ("finished",), "2026-01-01T09:59:00+00:00"),
    "seconds: 200.0 is longer than from started to finished, 60": (TRAINED, ("seconds",), 200.0),
    "template.prompt_template: 'x' is no SHA-256": (TRAINED, ("template", "prompt_template"), "x"),
    "parents[0].weights_sha256: 'x' is no SHA-256": (TRAINED, ("parents", 0, "weights_sha256"), "x"),
    "data[0].fingerprint: 'x' is no SHA-256": (TRAINED, ("data", 0, "fingerprint"), "x"),
    f"artefacts[0].sha256: '{HASH}\\n' is no SHA-256": (TRAINED, ("artefacts", 0, "sha256"), HASH + "\n"),
    "evaluations[0].weights_sha256: 'x' is no SHA-256": (MEASURED, (*E, "weights_sha256"), "x"),
    "history[2].step: 0.5 after 1": (TRAINED, ("history", 2, "step"), 0.5),
    "history[2].step: None after 1": (TRAINED, ("history", 2, "step"), ...),
    "metrics.reward: 0.5, but the last row of history says 0.6": (TRAINED, ("history", 3, "reward"), 0.6),
    "parents: none, but config has model_name_or_path run/base": (TRAINED, ("parents", 0, "role"), "teacher"),
    "parents: run/other, but config has model_name": (TRAINED, ("parents", 0, "name_or_path"), "run/other"),
    "command: trl-r1 sft, but kind is 'grpo'": (TRAINED, ("command",), ["trl-r1", "sft"]),
    "seeds.seed: 2, but config has 1": (TRAINED, ("seeds", "seed"), 2),
    "template.prompt_template: missing, but config has 'r1_zero'": (TRAINED, ("template",), {}),
    "template.chat_template: missing, but config has 'mine'": (TRAINED, ("config", "chat_template"), "mine"),
    "data.split: 'test', but config has 'train'": (TRAINED, ("data", 0, "split"), "test"),
    "data.split: 'train', but config has 'test'": (TRAINED, ("config", "dataset_train_split"), "test"),
    "data: run/other, but config has dataset_name run/data": (TRAINED, ("data", 0, "source"), "run/other"),
    "data: none, but config has dataset_name run/data": (TRAINED, ("data",), []),
    "data: run/data, but config has datasets a, b": (
        *(TRAINED, ("config", "datasets"), [{"path": "a"}, {"path": "b"}]),
    ),
    "rewards: 3, but config has 4 reward_funcs": (TRAINED, ("config", "reward_funcs"), ["a", "b", "c", "d"]),
    "rewards.weight: [1.0, 0.5, 1.0, 2.0], but config has [1.0]": (TRAINED, ("config", "reward_weights"), [1.0]),
    "rewards[0].name: accuracy_reward, but config has reward_funcs other": (
        *(TRAINED, ("config", "reward_funcs", 0), "other"),
    ),
    "rewards[1].parameters.limit: 3, but config has 4": (
        *(TRAINED, ("config", "reward_funcs", 1), {"length_reward": {"limit": 4}}),
    ),
    "rewards: mine, but a stage of kind 'evaluate' uses none": (
        *(MEASURED, ("rewards",), [{"name": "mine", "weight": 1.0, "parameters": {}}]),
    ),
    "parents: run/zero, run/base, but config has checkpoints run/zero": (
        *(MEASURED, ("config", "checkpoints"), [{"path": "run/zero"}]),
    ),
    "evaluations.path: run/other, run/base, but config has checkpoints": (MEASURED, (*E, "path"), "run/other"),
    "which none of parents has": (MEASURED, (*E, "weights_sha256"), "f" * 64),
    "evaluations[0].data: 'run/other' with counts that none of data has": (
        MEASURED,
        (*E, "data", "source"),
        "run/other",
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_it_is_refused(message):
    record, path, value = REFUSED[message]
    content = content_of(record)
    put(content, path, copy.deepcopy(value))
    if message.startswith("rewards: 3"):
        content["rewards"].pop()
    with pytest.raises(RecordError) as error:
        check(content)
    assert message in str(error.value)
    assert str(error.value).startswith("stage.json: ")


HONEST = {
    "a clock that was set forward while it ran": (TRAINED, ("finished",), "2027-01-01T10:01:00+00:00"),
    "two clocks that differ by less than a minute": (TRAINED, ("seconds",), 119.0),
    "as long as the clock says": (TRAINED, ("seconds",), 60.0),
    "another zone": (TRAINED, ("started",), "2026-01-01T12:00:00+02:00"),
    "resumed on a machine with fewer cores": (TRAINED, ("cpu_seconds",), 1e6),
    "a model of the Hub that is not in the cache": (TRAINED, ("parents", 0, "weights_sha256"), None),
    "a value at the end of its interval, but for rounding": (TRAINED, ("metrics", "reward", "low"), 0.5 + 1e-12),
    "a checkpoint of the Hub, measured": (MEASURED, (*E, "weights_sha256"), None),
    "nothing was asked of one checkpoint": (MEASURED, ("evaluations", 1), measured(HASH, path="run/zero")),
    "no weights asked for": (TRAINED, ("config", "reward_weights"), None),
    "a reward of no parameters as a mapping": (TRAINED, ("config", "reward_funcs", 0), {"accuracy_reward": None}),
    "a list of parameters, which its reward may sort": (
        *(TRAINED, ("config", "reward_funcs", 1), {"length_reward": {"limit": [4, 3]}}),
    ),
    "rewards that a configuration does not list": (TRAINED, ("config", "reward_funcs"), ...),
    "templates that an evaluation names for each suite": (MEASURED, ("config", "prompt_template"), "r1_zero"),
    "a command of one's own": (TRAINED, ("command",), ["python", "train.py"]),
    "a mixture with fractions, one source of two names": (
        *(TRAINED, ("config", "datasets"), [{"path": "run"}, {"path": "data"}]),
    ),
    "a seed that only the configuration has": (TRAINED, ("seeds",), {"data_seed": 7}),
    "no model named in the configuration": (TRAINED, ("config", "model_name_or_path"), ...),
}


@pytest.mark.parametrize("situation", HONEST)
def test_it_is_let_pass(situation):
    record, path, value = HONEST[situation]
    content = content_of(record)
    if situation.startswith("a mixture"):
        content["data"][0]["source"] = "run + data"
    put(content, path, copy.deepcopy(value))
    check(content)


def test_a_record_of_before_hashes_were_kept_passes():
    """Its parents are not there to be compared with."""
    content = content_of(MEASURED)
    content["config"], content["parents"] = {}, []
    content["config_sha256"] = hash_json({})
    check(content)


@pytest.mark.parametrize("kind", ["sft", "reward_model", "rejection_sample", "script"])
def test_each_kind_passes(kind):
    content = content_of(TRAINED) | {"kind": kind, "rewards": [], "command": ["trl-r1", kind]}
    content["parents"][0]["role"] = "teacher" if kind == "rejection_sample" else "base"
    check(content)


def test_what_is_wrong_is_not_all_shown():
    content = content_of(TRAINED)
    content["artefacts"] = [{"path": f"{number}", "size": -1, "sha256": HASH} for number in range(8)]
    with pytest.raises(
        RecordError, match=r"artefacts\[4\](?s:.*)stage.json: and 3 more\nthe record was changed"
    ) as error:
        check(content)
    assert "artefacts[5]" not in str(error.value)
