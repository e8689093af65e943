"""Whatever is done to a `stage.json`, reading it gives what stands there or a RecordError, and nothing else."""

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    read_stage_record,
    write_stage_record,
)


CONFIG = {"learning_rate": 1e-3, "reward_funcs": ["accuracy_reward"], "seed": 1, "dataset_name": "org/questions"}
RECORD = StageRecord(
    stage="r1_zero",
    kind="grpo",
    started="2026-01-01T00:00:00+00:00",
    finished="2026-01-01T00:01:00+00:00",
    seconds=60.0,
    cpu_seconds=59.0,
    command=["trl-r1", "grpo"],
    config=CONFIG,
    config_sha256=hash_json(CONFIG),
    parents=[Parent(name_or_path="org/base", role="base", revision="c" * 40, languages=["en"])],
    data=[
        DataSource(
            source="org/questions", split="train", fingerprint="f" * 64, rows_in=3, rows_kept=2, dropped={"x": 1}
        )
    ],
    rewards=[RewardUse(name="accuracy_reward", weight=1.0, parameters={"a": [1, None]})],
    template={"chat_template": "a" * 64},
    versions={"python": "3.12.1"},
    hardware={"cpu_count": 2},
    seeds={"seed": 1},
    metrics={"reward": Measurement(value=0.5, n=10, low=0.2, high=0.8)},
    evaluations=[
        {"checkpoint": "c", "path": "p", "suite": "s", "mode": "m", "n": 2, "metrics": {}, "weights_sha256": None}
    ],
    history=[{"step": 1, "reward": 0.5}],
    artefacts=[Artefact(path="model.safetensors", size=3, sha256="b" * 64)],
    contamination=[ContaminationCheck(benchmark="b", method="m", rows_checked=3, questions=2, hits=1)],
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["0" * 64, "2026-01-01", "9" * 9]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def places(content, path=()):
    """Every place in a JSON value."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


PLACES = list(places(plain_json(dataclasses.asdict(RECORD))))


def read(folder):
    """The record and, as a card does, a closer look at it."""
    record = read_stage_record(folder)
    check_plausible(record, folder)
    return record


def outcome(folder):
    """The record, or what is said against it."""
    try:
        return read(folder), ""
    except RecordError as error:
        return None, str(error)


@FUZZ
@given(place=st.sampled_from(PLACES), value=VALUES, action=st.sampled_from(["set", "delete", "add"]))
def test_a_changed_value(tmp_path, place, value, action):
    content = plain_json(dataclasses.asdict(RECORD))
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    if action == "delete":
        del parent[place[-1]]
    elif action == "add" and isinstance(parent, dict):
        parent[str(value)[:20]] = value
    else:
        parent[place[-1]] = value
    (tmp_path / "stage.json").write_text(json.dumps(content))
    record, complaint = outcome(tmp_path)
    if record is None:
        assert str(tmp_path) in complaint
        return
    assert contains(plain_json(dataclasses.asdict(record)), content)


def contains(written, content):
    """Whether everything that stood in the file is in the record; what was left out has its default there."""
    if isinstance(content, dict):
        return all(name in written and contains(written[name], value) for name, value in content.items())
    if isinstance(content, list):
        return len(written) == len(content) and all(map(contains, written, content))
    return written == content


@FUZZ
@given(data=st.data())
def test_a_changed_text(tmp_path, data):
    text = write_stage_record(tmp_path, RECORD).read_bytes()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    inside = data.draw(
        st.binary(max_size=6) | st.sampled_from([b"[" * 100_000, b"NaN", b"1e999", b'"\\ud800"', b"-0"])
    )
    (tmp_path / "stage.json").write_bytes(text[:start] + inside + text[end:])
    record, complaint = outcome(tmp_path)
    if record is None:
        assert str(tmp_path) in complaint
        return
    write_stage_record(tmp_path, record)
    assert read(tmp_path) == record


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.symlink_to(path)])
def test_no_file_to_read(tmp_path, make):
    make(tmp_path / "stage.json")
    with pytest.raises(RecordError, match="cannot be read"):
        read(tmp_path)


def test_a_key_that_stands_there_twice(tmp_path):
    path = write_stage_record(tmp_path, RECORD)
    path.write_text(path.read_text().replace('"stage": ', '"stage": "another", "stage": ', 1))
    with pytest.raises(RecordError, match="'stage' stands there twice"):
        read(tmp_path)


def test_a_configuration_with_what_json_has_no_word_for_comes_back(tmp_path):
    """The hash is that of the file, whichever of the two it is made from."""
    config = {
        "max_grad_norm": float("inf"),
        "by_length": {10: "a", 9: "b", True: "c"},
        "path": tmp_path,
        "pair": (1, 2),
    }
    write_stage_record(tmp_path, dataclasses.replace(RECORD, config=config, config_sha256=hash_json(config)))
    read_back = read_stage_record(tmp_path).config
    assert read_back == plain_json(config)
    assert (read_back["max_grad_norm"], read_back["by_length"]["10"], read_back["pair"]) == ("inf", "a", [1, 2])
    assert hash_json(read_back) == hash_json(config)
    json.loads((tmp_path / "stage.json").read_text(), parse_constant=pytest.fail)
