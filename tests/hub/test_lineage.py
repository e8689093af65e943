"""The ancestry is read from records, and a record that does not hold is an error, never a gap."""

import dataclasses
import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest
from fake_run import measured

from trl_r1.errors import RecordError
from trl_r1.hub import Lineage
from trl_r1.hub.lineage.checks import CHECKED_NAMES
from trl_r1.run_records import RunRecords
from trl_r1.stage_record import describe_artefacts, hash_file, hash_weights


def names(lineage):
    return [node.name for node in lineage.nodes.values()]


def test_ancestors_come_before_their_children(ancestry):
    lineage = Lineage.from_folder(ancestry.folder / "cold")
    assert names(lineage) == ["base", "org/judge", "zero", "data", "cold"]
    assert lineage.root.name == "cold"
    assert lineage.hub_models() == ["org/judge"]
    assert lineage.hub_models("base") == []
    roles = {(lineage.nodes[edge.parent].name, edge.role, lineage.nodes[edge.child].name) for edge in lineage.edges}
    assert roles == {
        ("base", "base", "zero"),
        ("org/judge", "reward_model", "zero"),
        ("zero", "teacher", "data"),
        ("data", "data", "cold"),
        ("base", "base", "cold"),
    }


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "base" / "stage.json").unlink(), "no such record"),
        (lambda folder: (folder / "base" / "stage.json").write_text("{"), "not valid JSON"),
        (lambda folder: (folder / "data" / "stage.json").write_text('{"schema_version": 99}'), "schema_version is 99"),
        (lambda folder: (folder / "base").rename(folder / "gone"), "is gone"),
        (lambda folder: (folder / "base" / "model.safetensors").write_bytes(b"x"), "holds other weights"),
    ],
)
def test_an_ancestor_that_does_not_hold_is_an_error(ancestry, spoil, message):
    spoil(ancestry.folder)
    with pytest.raises(RecordError, match=message):
        Lineage.from_folder(ancestry.folder / "cold")


def test_weights_are_compared_only_when_asked(ancestry):
    (ancestry.folder / "base" / "model.safetensors").write_bytes(b"x")
    assert Lineage.from_folder(ancestry.folder / "zero", verify_weights=False).root.name == "zero"


def test_moved_together(ancestry, tmp_path):
    moved = ancestry.folder.rename(tmp_path / "elsewhere")
    assert names(Lineage.from_folder(moved / "cold")) == ["base", "org/judge", "zero", "data", "cold"]


def test_copy_beside_a_changed_original(ancestry, tmp_path):
    shutil.copytree(ancestry.folder, tmp_path / "copy")
    (ancestry.folder / "base" / "model.safetensors").write_bytes(b"trained anew")
    lineage = Lineage.from_folder(tmp_path / "copy" / "cold")
    assert next(iter(lineage.nodes.values())).folder == tmp_path / "copy" / "base"


def test_hub_id_is_not_taken_for_a_stage_of_the_same_name(ancestry):
    ancestry.stage("new", "sft", weights=b"n", parents=[("org/zero", "base")])
    lineage = Lineage.from_folder(ancestry.folder / "new")
    assert lineage.hub_models("base") == ["org/zero"]


def test_local_model_without_a_record_is_a_leaf(ancestry):
    (ancestry.folder / "download").mkdir()
    (ancestry.folder / "download" / "model.safetensors").write_bytes(b"d")
    ancestry.stage("new", "sft", weights=b"n", parents=[("download", "base")])
    (leaf,) = Lineage.from_folder(ancestry.folder / "new").ancestors()
    assert leaf.record is None
    assert not leaf.is_hub_id


def test_a_stage_cannot_be_its_own_ancestor(ancestry):
    parent = {"name_or_path": str(ancestry.folder / "cold"), "role": "base", "stage": "cold"}
    ancestry.edit("base", parents=[parent])
    with pytest.raises(RecordError, match="itself among its ancestors"):
        Lineage.from_folder(ancestry.folder / "cold")


def test_mermaid_takes_names_for_text(ancestry):
    name = 'x"]; click n0 "javascript:alert(1)'
    ancestry.edit("base", stage=name)
    ancestry.edit("zero", parents=[{**parent, "stage": name} for parent in ancestry.read("zero")["parents"][:1]])
    source = Lineage.from_folder(ancestry.folder / "zero").to_mermaid()
    assert source.startswith("graph LR\n")
    assert len(re.findall(r" -->\|", source)) == 1
    assert 'click n0 "' not in source
    assert source.count('"') == 2 * 2  # the quotes around two names, none from the name itself


@pytest.mark.parametrize("name", ["train.jsonl", "config.json", "chat_template.jinja"])
@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_text("[]\n")])
def test_a_file_that_decides_what_an_ancestor_is_must_be_as_it_was(ancestry, name, change):
    path = ancestry.folder / "data" / name
    path.write_text("{}\n")
    ancestry.edit("data", artefacts=[dataclasses.asdict(item) for item in describe_artefacts(path.parent)])
    Lineage.from_folder(ancestry.folder / "cold")
    change(path)
    with pytest.raises(RecordError, match=rf"data/stage\.json: artefacts: {name}"):
        Lineage.from_folder(ancestry.folder / "cold")


def test_logs_may_grow(ancestry):
    path = ancestry.folder / "zero" / "train.log"
    path.write_text("step 1\n")
    ancestry.edit("zero", artefacts=[dataclasses.asdict(item) for item in describe_artefacts(path.parent)])
    path.write_text("step 1\nfinished\n")
    assert Lineage.from_folder(ancestry.folder / "zero").root.name == "zero"


def test_weights_that_no_record_knows_are_an_error(ancestry):
    (ancestry.folder / "zero" / "model-2.safetensors").write_bytes(b"stray")
    with pytest.raises(RecordError, match=r"no entry for model-2\.safetensors"):
        Lineage.from_folder(ancestry.folder / "zero")


def test_the_template_that_was_trained_with_is_the_one_that_was_saved(ancestry):
    path = ancestry.folder / "zero" / "chat_template.jinja"
    path.write_text("{{ messages }}")
    artefacts = [dataclasses.asdict(item) for item in describe_artefacts(path.parent)]
    ancestry.edit(
        "zero", artefacts=artefacts, template={"prompt_template": "a" * 64, "chat_template": hash_file(path)}
    )
    Lineage.from_folder(ancestry.folder / "zero")
    ancestry.edit("zero", template={"prompt_template": "a" * 64, "chat_template": "b" * 64})
    with pytest.raises(RecordError, match=r"template\.chat_template"):
        Lineage.from_folder(ancestry.folder / "zero")


@pytest.mark.parametrize("late", ["base", "data"])
def test_an_ancestor_finishes_before_it_is_used(ancestry, late):
    ancestry.edit(late, started="2026-01-01T12:00:00+00:00", finished="2026-01-01T12:01:00+00:00")
    with pytest.raises(RecordError, match=f"before '{late}', which it used"):
        Lineage.from_folder(ancestry.folder / "cold")


def test_times_may_be_of_any_zone(ancestry):
    ancestry.edit("base", started="2026-01-01T13:59:00+05:00", finished="2026-01-01T14:00:00+05:00")
    assert Lineage.from_folder(ancestry.folder / "zero").root.name == "zero"


def test_data_of_the_pipeline_that_is_gone_is_an_error(ancestry):
    (ancestry.folder / "data").rename(ancestry.folder / "gone")
    with pytest.raises(RecordError, match=r"cold: its data .* is gone"):
        Lineage.from_folder(ancestry.folder / "cold")


def test_a_mixture_leads_to_each_of_its_parts(ancestry):
    ancestry.stage("more", "script")
    (source,) = ancestry.read("cold")["data"]
    parts = f"{ancestry.folder / 'data'} + org/chats + {ancestry.folder / 'more'}"
    ancestry.edit("cold", data=[source | {"source": parts}])
    lineage = Lineage.from_folder(ancestry.folder / "cold")
    assert [node.name for role, node in lineage.parents(lineage.root) if role == "data"] == ["data", "more"]
    assert lineage.datasets() == ["org/chats"]


def test_a_revision_does_not_make_a_folder_a_model_of_the_hub(ancestry):
    (parent,) = ancestry.read("cold")["parents"]
    ancestry.edit("cold", parents=[parent | {"revision": "main"}])
    with pytest.raises(RecordError, match="revision 'main', but it is a folder"):
        Lineage.from_folder(ancestry.folder / "cold")


def test_weights_are_read_once(ancestry, monkeypatch):
    """However many children ask for them."""
    for path in ancestry.folder.rglob("*.safetensors"):
        os.utime(path, (1e9, 1e9))  # long ago: what was written just now is read again
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        "trl_r1.stage_record.hashing.hashlib.file_digest", lambda s, kind: read.append(s.name) or digest(s, kind)
    )
    for _ in range(3):
        Lineage.from_folder(ancestry.folder / "cold")
    weights = [Path(name).parent.name for name in map(str, read) if str(name).endswith(".safetensors")]
    assert sorted(weights) == ["base", "cold", "zero"]


def test_weights_that_changed_since_they_were_read_are_read_again(ancestry):
    path = ancestry.folder / "base" / "model.safetensors"
    os.utime(path, (1e9, 1e9))
    Lineage.from_folder(ancestry.folder / "zero")
    path.write_bytes(b"BASE")
    with pytest.raises(RecordError, match="holds other weights"):
        Lineage.from_folder(ancestry.folder / "zero")


def test_a_merged_adapter_is_its_stage(ancestry):
    """Whoever starts from the merged form, or measures it, does so with the stage that trained the adapter."""
    zero = ancestry.folder / "zero"
    (zero / "merged").mkdir()
    (zero / "merged" / "model.safetensors").write_bytes(b"merged")
    ancestry.edit("zero", artefacts=[dataclasses.asdict(item) for item in describe_artefacts(zero)])
    folder = ancestry.stage("next", "sft", weights=b"next", parents=[("zero/merged", "base")])
    assert [node.name for node in Lineage.from_folder(folder).nodes.values()] == ["base", "org/judge", "zero", "next"]
    entry = measured(hash_weights(zero / "merged"))
    ancestry.stage("evaluation", "evaluate", parents=[("zero/merged", "evaluated")], evaluations=[entry])
    assert [item.suite for item in RunRecords.read(ancestry.folder).stages["zero"].evaluations] == ["test"]
    (zero / "merged" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(RecordError, match="holds other weights"):
        Lineage.from_folder(folder)
    with pytest.raises(RecordError, match=r"artefacts: merged/model\.safetensors"):
        Lineage.from_folder(zero)
    shutil.rmtree(zero / "merged")
    assert Lineage.from_folder(zero).root.name == "zero"


def test_data_of_the_hub_is_known_by_its_id(ancestry):
    """By its commit, or, in records of before commits were kept, by a name that is no folder here."""
    source = {"split": "train", "fingerprint": "f" * 64, "rows_in": 1, "rows_kept": 1}
    ancestry.edit(
        "cold",
        data=[
            source | {"source": "org/exam", "revision": "c" * 40},
            source | {"source": "org/a + org/b + run/data/x/y"},
        ],
    )
    lineage = Lineage.from_folder(ancestry.folder / "cold")
    assert names(lineage) == ["base", "cold"]
    assert lineage.datasets() == ["org/exam", "org/a", "org/b"]


def test_a_model_of_the_hub_in_two_roles_is_one_node(ancestry):
    folder = ancestry.stage(
        "judged", "grpo", weights=b"j", parents=[("org/judge", "base"), ("org/judge", "reward_model")]
    )
    lineage = Lineage.from_folder(folder)
    assert names(lineage) == ["org/judge", "judged"]
    assert [edge.role for edge in lineage.edges] == ["base", "reward_model"]


@pytest.mark.parametrize("name", sorted(CHECKED_NAMES))
def test_a_file_that_decides_what_a_stage_is_may_not_change(ancestry, name):
    zero = ancestry.folder / "zero"
    (zero / name).write_text("{}")
    ancestry.edit("zero", artefacts=[dataclasses.asdict(item) for item in describe_artefacts(zero)])
    Lineage.from_folder(zero)
    (zero / name).write_text("[]")
    with pytest.raises(RecordError, match=rf"artefacts: {re.escape(name)}: sha256"):
        Lineage.from_folder(zero)
