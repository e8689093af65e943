"""stage.json: what is written comes back, and damage is loud."""

import json

import pytest

from trl_r1.errors import RecordError
from trl_r1.stage_record import (
    DataSource,
    Measurement,
    Parent,
    RewardUse,
    StageRecord,
    describe_artefacts,
    describe_data_files,
    describe_parent,
    has_stage_record,
    hash_file,
    hash_json,
    hash_weights,
    read_stage_record,
    write_stage_record,
)


def make_record(**changes):
    fields = {
        "stage": "r1_zero",
        "kind": "grpo",
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
        "seconds": 60.0,
        "cpu_seconds": 59.0,
        "command": ["trl-r1", "grpo"],
        "config": {"learning_rate": 1e-3},
        "config_sha256": hash_json({"learning_rate": 1e-3}),
        "parents": [Parent(name_or_path="base", role="base")],
        "data": [
            DataSource(source="d", split="train", fingerprint="f" * 64, rows_in=3, rows_kept=2, dropped={"empty": 1})
        ],
        "rewards": [RewardUse(name="accuracy_reward", weight=1.0)],
        "metrics": {"reward": Measurement(value=0.5, n=10, low=0.2, high=0.8)},
    }
    return StageRecord(**(fields | changes))


def test_round_trip(tmp_path):
    record = make_record()
    write_stage_record(tmp_path, record)
    assert has_stage_record(tmp_path)
    assert read_stage_record(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == ["stage.json"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "not valid JSON"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 9'), "schema_version is 9"),
        (lambda text: text.replace('"kind": "grpo",', ""), "damaged record"),
        (lambda text: text.replace('"kind"', '"surprise": 1, "kind"'), "damaged record"),
        (lambda text: json.dumps([1]), "no record of a stage"),
        (lambda text: json.dumps({}), "no record of a stage"),
    ],
)
def test_damage_is_loud(tmp_path, damage, message):
    path = write_stage_record(tmp_path, make_record())
    path.write_text(damage(path.read_text()))
    with pytest.raises(RecordError, match=message):
        read_stage_record(tmp_path)


def test_missing_record_says_what_to_do(tmp_path):
    with pytest.raises(RecordError, match="has not finished, run it first"):
        read_stage_record(tmp_path)


def test_weight_hash_changes_with_the_weights(tmp_path):
    assert hash_weights(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(b"one")
    first = hash_weights(tmp_path)
    (tmp_path / "training_args.bin").write_bytes(b"no weights")
    assert hash_weights(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert first is not None
    assert hash_weights(tmp_path) != first


def test_parents_and_artefacts_are_described_from_disk(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"one")
    write_stage_record(tmp_path, make_record(stage="base"))
    parent = describe_parent(str(tmp_path), role="base")
    assert (parent.stage, parent.weights_sha256) == ("base", hash_weights(tmp_path))
    assert [(item.path, item.size) for item in describe_artefacts(tmp_path)] == [("model.safetensors", 3)]


def test_data_files_of_sub_folders_are_described_from_disk(tmp_path):
    for name in ("b/test.jsonl", "a/train.jsonl", "a/.hidden.jsonl", ".cache/x.jsonl", "a/note.txt", "train.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}\n")
    found = describe_data_files(tmp_path)
    assert [item.path for item in found] == ["a/train.jsonl", "b/test.jsonl"]
    assert found[0].sha256 == hash_file(tmp_path / "a" / "train.jsonl")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("license: mit", "mit"),
        ("license: other\nlicense_name: qwen-research", "qwen-research"),
        ("license: other", "other"),
    ],
)
def test_a_licence_without_identifier_is_known_by_its_name(tmp_path, header, expected):
    (tmp_path / "README.md").write_text(f"---\n{header}\n---\n")
    assert describe_parent(str(tmp_path), "base").license == expected
