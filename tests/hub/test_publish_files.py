"""What of a folder is sent, and what stops it."""

import dataclasses
import errno
import hashlib
import json
from pathlib import Path

import pytest
from fake_run import FakeRun

from trl_r1.errors import PublishError
from trl_r1.hub import plan_files
from trl_r1.hub.publishing import files
from trl_r1.stage_record import describe_data_files, read_stage_record, write_stage_record


SENT = [
    ".eval_results/m.yaml",
    "README.md",
    "additional_chat_templates/prefill.jinja",
    "chat_template.jinja",
    "config.json",
    "merged/config.json",
    "merged/model.safetensors",
    "model.safetensors",
    "resolved_config.yaml",
    "stage.json",
    "tokenizer.json",
]


def paths(folder, **settings):
    return [file.path for file in plan_files(folder, **settings)]


def test_a_checkpoint_without_what_is_for_training_only(finished):
    assert paths(finished) == SENT


def test_sizes_and_hashes_are_of_the_bytes(finished):
    for file in plan_files(finished):
        content = (finished / file.path).read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_more_files_on_request(finished):
    assert set(paths(finished, include=["completions/*"])) - set(SENT) == {"completions/step_1.parquet"}
    with pytest.raises(PublishError, match=r"include: 'nothing\*' matches no file"):
        plan_files(finished, include=["nothing*"])


def test_data_with_its_subsets(tmp_path):
    folder = FakeRun(tmp_path).stage("data", "rejection_sample")
    for path in ("easy/train.jsonl", "easy/test.parquet", "checkpoint-1/a.txt", ".cache/b.jsonl", "notes.log"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("{}\n")
    with pytest.raises(PublishError, match=r"easy/test\.parquet: stage\.json does not list it"):
        plan_files(folder)
    record = read_stage_record(folder)
    artefacts = [*record.artefacts, *describe_data_files(folder)]
    write_stage_record(folder, dataclasses.replace(record, artefacts=artefacts))
    assert paths(folder) == ["easy/test.parquet", "easy/train.jsonl", "stage.json", "train.jsonl"]


def test_odd_names_are_sent_and_impossible_ones_are_named(finished):
    (finished / "数据 ü.json").write_text("{}")
    (finished / "empty.txt").write_text("")
    assert {"数据 ü.json", "empty.txt"} <= set(paths(finished))
    (finished / "two\nlines.json").write_text("{}")
    with pytest.raises(PublishError, match="rename the file"):
        plan_files(finished)


def test_a_link_is_sent_as_its_file_and_a_broken_one_is_not(finished, tmp_path):
    (tmp_path / "elsewhere.json").write_text("{}")
    (finished / "linked.json").symlink_to(tmp_path / "elsewhere.json")
    (finished / "broken.json").symlink_to(tmp_path / "nowhere.json")
    assert "linked.json" in paths(finished)
    assert "broken.json" not in paths(finished)


@pytest.mark.parametrize("text", ["token is {}", '{{"env": "{}"}}', "x" * (files.BLOCK - 20) + " {} end"])
@pytest.mark.parametrize("known", [True, False])
def test_a_file_with_a_token_stops_all_and_does_not_show_it(finished, text, known):
    token = "a-token-of-another-form" if known else "hf_" + "Ab1" * 11
    (finished / "config.json").write_text(text.format(token))
    with pytest.raises(PublishError, match=r"^config\.json: holds what looks like a token") as raised:
        plan_files(finished, token=token if known else None)
    assert token not in str(raised.value)


def test_words_that_only_begin_like_a_token_are_no_token(finished):
    (finished / "config.json").write_text("hf_model_with_a_long_name_of_many_words_in_it hf_short selfhf_" + "A" * 40)
    assert "config.json" in paths(finished)


def test_a_folder_that_cannot_be_read_is_named(finished, monkeypatch):
    def refuse(place):
        raise PermissionError(errno.EACCES, "Permission denied", str(place))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(PublishError, match=r"zero: cannot be read \(Permission denied\); mend its rights"):
        plan_files(finished)


def test_an_unfinished_folder_is_refused_with_what_to_do(finished, tmp_path):
    (finished / "stage.json").unlink()
    with pytest.raises(PublishError, match="has not finished; run the stage again"):
        plan_files(finished)
    with pytest.raises(PublishError, match="does not exist"):
        plan_files(tmp_path / "nowhere")


def test_a_damaged_record_is_refused(finished):
    (finished / "stage.json").write_text("{")
    with pytest.raises(PublishError, match=r"nothing is sent without a sound record; .*not valid JSON"):
        plan_files(finished)


def test_weights_other_than_recorded_are_refused(finished):
    (finished / "model.safetensors").write_bytes(b"trained on")
    with pytest.raises(PublishError, match=r"model\.safetensors: not the bytes that stage\.json recorded"):
        plan_files(finished)


def test_a_lost_shard_is_missed(finished):
    record = json.loads((finished / "stage.json").read_text())
    record["artefacts"].append({"path": "model-00002-of-00002.safetensors", "size": 1, "sha256": "0" * 64})
    (finished / "stage.json").write_text(json.dumps(record))
    with pytest.raises(PublishError, match="model-00002-of-00002"):
        plan_files(finished)


def test_a_model_without_safetensors_is_refused(tmp_path):
    folder = FakeRun(tmp_path).stage("zero", "grpo")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(PublishError, match=r"no \*\.safetensors"):
        plan_files(folder)


def test_weights_that_no_record_vouches_for_are_refused(finished):
    (finished / "model-00001-of-00002.safetensors").write_bytes(b"of an earlier training")
    with pytest.raises(PublishError, match=r"model-00001-of-00002\.safetensors: stage\.json does not list it"):
        plan_files(finished)
    assert "model-00001-of-00002.safetensors" in paths(finished, include=["model-00001*"])
