"""The ancestry is read from records, and a record that does not hold is an error, never a gap."""

import re

import pytest

from trl_r1.errors import RecordError
from trl_r1.hub import Lineage


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
    import shutil

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
