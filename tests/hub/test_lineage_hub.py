"""Models and data sets of the Hub: what the local cache tells of them, and ancestries that go on through them."""

import json

import pytest

from trl_r1.errors import RecordError
from trl_r1.hub import Lineage, write_lineage
from trl_r1.stage_record import describe_data_card, describe_parent, hash_model, hash_weights, is_language


COMMIT = "c" * 40
CARD = "---\nlicense: apache-2.0\nlanguage:\n- en\n- zh\n- English\ntags:\n- trl_r1\n---\n# Base\n"


class Cache:
    """A cache of the Hub, as huggingface_hub lays it out."""

    def __init__(self, folder):
        self.folder = folder

    def add(self, repo_id, files, *, commit=COMMIT, repo_type="model"):
        home = self.folder / f"{repo_type}s--{repo_id.replace('/', '--')}"
        (home / "refs").mkdir(parents=True, exist_ok=True)
        (home / "refs" / "main").write_text(commit)
        for name, content in files.items():
            path = home / "snapshots" / commit / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return home / "snapshots" / commit


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return Cache(tmp_path / "cache")


def test_a_cached_model_is_known_by_commit_weights_and_card(cache, tmp_path):
    cache.add("org/base", {"config.json": "{}", "model.safetensors": b"weights", "README.md": CARD})
    parent = describe_parent("org/base", "base", "main")
    assert (parent.revision, parent.stage) == (COMMIT, None)
    assert (parent.license, parent.languages) == ("apache-2.0", ["en", "zh"])
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"weights")
    assert parent.weights_sha256 == hash_weights(tmp_path / "copy") == hash_model("org/base", COMMIT)


def test_only_the_weights_that_are_loaded_count(cache):
    cache.add("org/base", {"config.json": "{}", "model.safetensors": b"weights"})
    alone = hash_model("org/base")
    cache.add("org/base", {"pytorch_model.bin": b"other format", "consolidated.safetensors": b"vendor's"})
    assert hash_model("org/base") == alone


def test_shards_are_those_of_the_index(cache, tmp_path):
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    files = {"config.json": "{}", "model.safetensors.index.json": index, "model-1.safetensors": b"1"}
    cache.add("org/base", files)
    assert hash_model("org/base") is None  # a part was never loaded
    cache.add("org/base", {"model-2.safetensors": b"2", "model-3.safetensors": b"stray"})
    for name in ("1", "2"):
        (tmp_path / f"model-{name}.safetensors").write_bytes(name.encode())
    assert hash_model("org/base") == hash_weights(tmp_path)


@pytest.mark.parametrize("index", ["{", "[]", '{"weight_map": 3}', "{}"])
def test_a_damaged_index_tells_nothing(cache, index):
    cache.add("org/base", {"config.json": "{}", "model.safetensors.index.json": index})
    assert hash_model("org/base") is None


def test_what_is_not_cached_is_not_known(cache):
    parent = describe_parent("org/elsewhere", "base", "v1.0")
    assert (parent.revision, parent.weights_sha256, parent.license, parent.languages) == ("v1.0", None, None, [])
    assert hash_model("no such folder/at all/x") is None


@pytest.mark.parametrize(
    "card", ["no header", "---\n- a list\n---\n", "---\nlicense: [\n---\n", "---\nlicense: 3\n---\n", b"\xff"]
)
def test_a_card_that_cannot_be_read_tells_nothing(cache, card):
    cache.add("org/base", {"config.json": "{}", "README.md": card})
    parent = describe_parent("org/base", "base")
    assert (parent.revision, parent.license, parent.languages) == (COMMIT, None, [])


def test_a_local_model_has_its_card_in_its_folder(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\nlanguage: zh\n---\n")
    (tmp_path / "model.safetensors").write_bytes(b"w")
    parent = describe_parent(str(tmp_path), "base", "main")
    assert (parent.license, parent.languages, parent.revision) == ("mit", ["zh"], None)


def test_cards_of_data(cache, tmp_path):
    cache.add("org/data", {"README.md": CARD}, repo_type="dataset")
    assert describe_data_card("org/data", COMMIT).license == "apache-2.0"
    assert describe_data_card("org/data", None).license is None  # rows of another place by that name
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    assert describe_data_card(str(tmp_path), None).license == "mit"


@pytest.mark.parametrize(
    ("text", "right"), [("en", True), ("zh-Hans", True), ("code", True), ("py", False), ("English", False)]
)
def test_languages_are_codes(text, right):
    assert is_language(text) is right


def published(ancestry, cache, **changes):
    """`zero` on the Hub with its lineage, and a stage trained from it there."""
    content = json.loads(write_lineage(ancestry.folder / "zero").read_text())
    files = {"config.json": "{}", "model.safetensors": b"zero", "README.md": CARD, "lineage.json": json.dumps(content)}
    snapshot = cache.add("me/zero", files | changes)
    folder = ancestry.folder.parent / "other"
    ancestry.folder = folder
    child = ancestry.stage("child", "sft", weights=b"child", parents=[("me/zero", "base")])
    ancestry.edit("child", parents=[vars_of(describe_parent("me/zero", "base", "main"))])
    return child, snapshot


def vars_of(parent):
    return {name: getattr(parent, name) for name in parent.__dataclass_fields__}


def test_the_ancestry_goes_on_through_a_published_lineage(ancestry, cache):
    child, _ = published(ancestry, cache)
    lineage = Lineage.from_folder(child)
    assert [node.name for node in lineage.nodes.values()] == ["base", "org/judge", "me/zero", "child"]
    zero = list(lineage.nodes.values())[2]
    assert (zero.repo_id, zero.revision, zero.record.stage) == ("me/zero", COMMIT, "zero")
    assert lineage.base_models() == ["me/zero"]
    assert lineage.hub_models() == ["org/judge", "me/zero"]
    assert Lineage.from_dict(lineage.to_dict()).to_dict() == lineage.to_dict()


def test_a_stage_that_is_known_twice_stands_there_twice(ancestry, cache):
    """Once from the disk, once from the Hub: nothing says that they are one."""
    local = ancestry.folder
    child, _ = published(ancestry, cache)
    parents = ancestry.read("child")["parents"] + [vars_of(describe_parent(str(local / "zero"), "teacher"))]
    ancestry.edit("child", parents=parents)
    names = [node.name for node in Lineage.from_folder(child).nodes.values()]
    assert sorted(names) == sorted(["base", "org/judge", "me/zero", "base", "org/judge", "zero", "child"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"lineage.json": "{"}, "not valid JSON"), ({"model.safetensors": b"replaced by hand"}, "of other weights")],
)
def test_a_published_lineage_that_does_not_hold_is_left_out(ancestry, cache, caplog, changes, reason):
    """It is a stranger's to mend; nothing of it is shown."""
    child, _ = published(ancestry, cache, **changes)
    lineage = Lineage.from_folder(child)
    assert [node.name for node in lineage.nodes.values()] == ["me/zero", "child"]
    assert lineage.nodes[f"me/zero@{COMMIT}"].record is None
    assert reason in caplog.text


def test_other_weights_in_the_cache_are_an_error(ancestry, cache):
    child, snapshot = published(ancestry, cache)
    (snapshot / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(RecordError, match="but the cache holds"):
        Lineage.from_folder(child)
    assert Lineage.from_folder(child, verify_weights=False).root.name == "child"
