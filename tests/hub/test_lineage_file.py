"""`lineage.json`: the whole ancestry in one file, the same wherever it lies, and checked when it is read."""

import json

import pytest
from fake_run import FakeRun

from trl_r1.errors import RecordError
from trl_r1.hub import Lineage, write_lineage
from trl_r1.stage_record import hash_file


def names(lineage):
    return [node.name for node in lineage.nodes.values()]


def test_it_holds_the_whole_ancestry(ancestry):
    path = write_lineage(ancestry.folder / "cold")
    content = json.loads(path.read_text())
    assert path.name == "lineage.json"
    assert [node["name"] for node in content["nodes"]] == ["base", "org/judge", "zero", "data", "cold"]
    zero = content["nodes"][2]
    assert zero["record_sha256"] == hash_file(ancestry.folder / "zero" / "stage.json")
    assert zero["record"]["rewards"] == ancestry.read("zero")["rewards"]
    assert [item["path"] for item in zero["record"]["artefacts"]] == ["model.safetensors"]
    read = Lineage.from_dict(content)
    assert names(read) == names(Lineage.from_folder(ancestry.folder / "cold"))
    assert read.to_dict() == content
    assert read.to_mermaid() == Lineage.from_folder(ancestry.folder / "cold").to_mermaid()


def test_curves_stay_at_home(ancestry):
    ancestry.edit("zero", history=[{"step": 1, "reward": 0.25}, {"step": 2, "reward": 0.75}])
    assert "0.25" not in write_lineage(ancestry.folder / "cold").read_text()


def test_it_is_the_same_again_and_elsewhere(ancestry, tmp_path):
    before = write_lineage(ancestry.folder / "cold").read_bytes()
    assert write_lineage(ancestry.folder / "cold").read_bytes() == before
    moved = ancestry.folder.rename(tmp_path / "elsewhere")
    assert write_lineage(moved / "cold").read_bytes() == before


def test_an_ancestor_that_does_not_hold_leaves_the_file_as_it_was(ancestry):
    before = write_lineage(ancestry.folder / "cold").read_bytes()
    (ancestry.folder / "base" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(RecordError):
        write_lineage(ancestry.folder / "cold")
    assert (ancestry.folder / "cold" / "lineage.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.clear(), "missing"),
        (lambda content: content.update(lineage_version=9), "lineage_version is 9"),
        (lambda content: content.update(nodes=[]), "edges"),
        (lambda content: content["edges"].append({"parent": 4, "child": 0, "role": "base"}), "edges"),
        (lambda content: content["edges"].append({"parent": 0, "child": 99, "role": "base"}), "edges"),
        (lambda content: content["nodes"][2]["record"].update(seconds="long"), "seconds: 'long'"),
        (lambda content: content["nodes"][2]["record"].update(config={}), "config_sha256"),
        (lambda content: content["nodes"][0].update(surprise=1), "surprise"),
    ],
)
def test_a_damaged_file_is_refused(ancestry, change, message):
    content = Lineage.from_folder(ancestry.folder / "cold").to_dict()
    change(content)
    with pytest.raises(RecordError, match=message):
        Lineage.from_dict(content)


def publish(run, name, **changes):
    content = {"repo_id": f"me/{name}", "repo_type": "model", "when": "2026-01-01T12:00:00+00:00"} | changes
    (run.folder / name / "published.json").write_text(json.dumps(content))


def test_the_nearest_ancestor_on_the_hub_is_the_base_model(ancestry):
    folder = ancestry.stage("next", "sft", weights=b"next", parents=[("cold", "base")])
    assert Lineage.from_folder(folder).base_models() == []
    publish(ancestry, "base")
    assert Lineage.from_folder(folder).base_models() == ["me/base"]
    publish(ancestry, "cold")
    assert Lineage.from_folder(folder).base_models() == ["me/cold"]
    assert Lineage.from_dict(Lineage.from_folder(folder).to_dict()).base_models() == ["me/cold"]


def test_a_model_is_not_its_own_base_model(ancestry):
    folder = ancestry.stage("next", "sft", weights=b"next", parents=[("cold", "base")])
    publish(ancestry, "base")
    publish(ancestry, "cold", repo_id="me/r1", revision="cold")
    assert Lineage.from_folder(folder).base_models() == ["me/r1"]
    publish(ancestry, "next", repo_id="me/r1", revision="next")
    assert Lineage.from_folder(folder).base_models() == ["me/base"]


@pytest.mark.parametrize("asked", ["me/r1", "r1"])
def test_nor_before_it_is_published(ancestry, asked):
    config = {"hub_model_id": asked}
    folder = ancestry.stage("next", "sft", weights=b"next", parents=[("cold", "base")], config=config)
    publish(ancestry, "base")
    publish(ancestry, "cold", repo_id="me/r1", revision="cold")
    assert Lineage.from_folder(folder).base_models() == ["me/base"]


def test_what_was_published_before_it_was_trained_anew_does_not_count(ancestry):
    publish(ancestry, "base", when="2025-12-31T12:00:00+00:00")
    assert Lineage.from_folder(ancestry.folder / "zero").base_models() == []


@pytest.mark.parametrize("text", ["{", "[]", '{"repo_id": "", "when": "2026-01-01T12:00:00Z"}', '{"repo_id": "me/x"}'])
def test_a_damaged_note_of_publishing_is_an_error(ancestry, text):
    (ancestry.folder / "base" / "published.json").write_text(text)
    with pytest.raises(RecordError, match=r"published\.json.*publish again"):
        Lineage.from_folder(ancestry.folder / "zero")


def test_data_sets_of_the_hub(ancestry):
    (source,) = ancestry.read("zero")["data"]
    ancestry.edit("data", data=[source])  # what was sampled on
    assert Lineage.from_folder(ancestry.folder / "cold").datasets() == ["org/questions"]
    assert Lineage.from_folder(ancestry.folder / "zero").datasets() == ["org/questions"]
    publish(ancestry, "data", repo_type="dataset")
    assert Lineage.from_folder(ancestry.folder / "cold").datasets() == ["me/data"]


def test_data_of_a_base_model_with_its_own_page_is_listed_there(ancestry):
    folder = ancestry.stage("next", "sft", weights=b"next", parents=[("zero", "base")])
    assert Lineage.from_folder(folder).datasets() == ["org/questions"]
    publish(ancestry, "zero")
    assert Lineage.from_folder(folder).datasets() == []


def test_licence_of_the_nearest_that_names_one(tmp_path):
    made = FakeRun(tmp_path / "run")
    made.stage("base", "sft", weights=b"base", parents=[("org/start", "base")])
    made.stage("zero", "grpo", weights=b"zero", parents=[("base", "base")])
    folder = made.folder / "zero"
    assert Lineage.from_folder(folder).license() is None
    (start,) = made.read("base")["parents"]
    made.edit("base", parents=[start | {"license": "apache-2.0", "languages": ["en", "zh"]}])
    lineage = Lineage.from_folder(folder)
    assert (lineage.license(), lineage.languages(), lineage.base_models()) == (
        "apache-2.0",
        ["en", "zh"],
        ["org/start"],
    )
    assert Lineage.from_dict(lineage.to_dict()).license() == "apache-2.0"
    final = made.stage("r1", "grpo", weights=b"r1", parents=[("zero", "base")], config={"hub_license": "mit"})
    assert Lineage.from_folder(final).license() == "mit"
