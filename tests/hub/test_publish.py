"""Publishing against a Hub on this machine: what arrives, what is not sent twice, what is kept, and what stops it."""

import dataclasses
import errno
import json
import logging
import os
import shutil

import pytest
from huggingface_hub import HfApi, snapshot_download
from loopback_server import Response

from trl_r1.errors import PublishError
from trl_r1.hub import HubTarget, plan_files, publish, publish_or_explain
from trl_r1.hub.cards.eval_results import RESULTS_MARK
from trl_r1.hub.cards.text import seal
from trl_r1.hub.publishing.published import keep_first_tag
from trl_r1.hub.publishing.transfer import Changes, Transfer
from trl_r1.stage_record import describe_artefacts, read_stage_record, write_stage_record


TARGET = HubTarget(repo_id="me/zero")


def local(folder):
    return {file.path: (folder / file.path).read_bytes() for file in plan_files(folder)}


def remote(hub, repo_id="me/zero", **where):
    return {path: content for path, content in hub.files(repo_id, **where).items() if path != ".gitattributes"}


def changing(hub):
    return [request for request in hub.requests if request.method not in ("GET", "HEAD")]


def retrain(folder, weights):
    """Other weights, recorded."""
    (folder / "model.safetensors").write_bytes(weights)
    record = read_stage_record(folder)
    write_stage_record(folder, dataclasses.replace(record, artefacts=describe_artefacts(folder)))


def test_all_of_it_arrives_in_one_commit(online, finished, tmp_path):
    result = publish(finished, TARGET)
    assert remote(online) == local(finished)
    assert result.sent == sorted(local(finished))
    assert result.url == f"{online.url}/me/zero/tree/main"
    assert len(online.commits("me/zero")) == 2  # the Hub's own, and this
    assert online.repository("me/zero").private
    found = snapshot_download("me/zero", revision=result.tag, cache_dir=tmp_path / "cache")
    for path, content in local(finished).items():
        assert (tmp_path / "cache" / found / path).read_bytes() == content


def test_again_sends_nothing(online, finished):
    first = publish(finished, TARGET)
    online.requests.clear()
    second = publish(finished, TARGET)
    assert not changing(online)
    assert (second.commit, second.tag, second.sent) == (first.commit, first.tag, [])


def test_only_what_differs_is_sent(online, finished):
    publish(finished, TARGET)
    (finished / "config.json").write_text('{"other": 1}')
    online.requests.clear()
    assert publish(finished, TARGET).sent == ["config.json"]
    assert not [request for request in online.requests if request.method == "PUT"]
    assert remote(online) == local(finished)


def test_what_was_published_is_written_down_without_the_token(online, finished):
    result = publish(finished, TARGET)
    text = (finished / "published.json").read_text()
    written = json.loads(text)
    assert (written["repo_id"], written["commit"], written["tag"]) == ("me/zero", result.commit, result.tag)
    assert result.target.token not in text
    assert result.target.token not in repr(result)


def test_a_branch_holds_its_own_stage_only(online, finished, tmp_path):
    publish(finished, TARGET)
    other = shutil.copytree(finished, tmp_path / "run" / "other")
    (other / "published.json").unlink()
    (other / "extra.json").write_text("{}")
    retrain(other, b"other")
    (finished / "only_here.txt").write_text("x")
    publish(finished, TARGET)
    result = publish(other, HubTarget(repo_id="me/zero", revision="stages/other"))
    assert remote(online, revision="stages/other") == local(other)
    assert remote(online) == local(finished)
    assert online.refs("me/zero")[f"refs/tags/{result.tag}"] == result.commit


def test_a_readme_of_somebody_is_kept_unless_asked(online, finished):
    online.seed("me/zero", {"README.md": b"# Mine\n"})
    result = publish(finished, TARGET)
    assert result.kept == ["README.md"]
    assert remote(online)["README.md"] == b"# Mine\n"
    assert {**remote(online), "README.md": b""} == {**local(finished), "README.md": b""}
    publish(finished, TARGET, replace_readme=True)
    assert remote(online) == local(finished)


def test_a_card_of_ours_that_nobody_edited_is_replaced(online, finished):
    publish(finished, TARGET)
    (finished / "README.md").write_text(seal("---\nlicense: mit\n---\n# Zero, measured\n"), encoding="utf-8")
    assert publish(finished, TARGET).sent == ["README.md"]
    edited = local(finished)["README.md"].replace(b"# Zero", b"# My Zero")
    HfApi().upload_file(repo_id="me/zero", path_in_repo="README.md", path_or_fileobj=edited)
    assert publish(finished, TARGET).kept == ["README.md"]
    assert remote(online)["README.md"] == edited


def test_weights_of_an_earlier_push_are_deleted_and_other_files_stay(online, finished):
    old = {
        "model-00001-of-00002.safetensors": b"a",
        "model-00002-of-00002.safetensors": b"b",
        "model.safetensors.index.json": b"{}",
        "adapter_config.json": b"{}",
        "merged/model-00001-of-00001.safetensors": b"c",
    }
    others = {"LICENSE.txt": b"MIT", "gguf/zero.gguf": b"q", "mine.safetensors": b"extra"}
    online.seed("me/zero", old | others)
    result = publish(finished, TARGET)
    assert remote(online) == local(finished) | others
    assert result.kept == sorted(others)
    assert len(online.commits("me/zero")) == 3  # with what was there: one, for adding and deleting


def test_files_of_the_last_push_that_are_gone_here_are_deleted(online, finished):
    (finished / "old_template.jinja").write_text("old")
    (finished / "changed_there.jinja").write_text("ours")
    publish(finished, TARGET)
    HfApi().upload_file(repo_id="me/zero", path_in_repo="changed_there.jinja", path_or_fileobj=b"theirs")
    (finished / "old_template.jinja").unlink()
    (finished / "changed_there.jinja").unlink()
    result = publish(finished, TARGET)
    assert remote(online) == local(finished) | {"changed_there.jinja": b"theirs"}
    assert result.kept == ["changed_there.jinja"]


def test_results_that_no_record_backs_are_deleted_and_those_of_others_stay(online, finished):
    """Whoever published them, and wherever: without `published.json`, too."""
    others = {".eval_results/theirs.yaml": b"- dataset: {id: a/b, task_id: t}\n  value: 0.5\n"}
    ours = {".eval_results/old.yaml": RESULTS_MARK.encode() + others[".eval_results/theirs.yaml"]}
    online.seed("me/zero", others | ours)
    assert publish(finished, TARGET).kept == list(others)
    assert remote(online) == local(finished) | others


def test_a_tag_of_ones_own(online, finished):
    tagged = HubTarget(repo_id="me/zero", tag="v1")
    result = publish(finished, tagged)
    assert online.refs("me/zero")["refs/tags/v1"] == result.commit
    assert publish(finished, tagged).commit == result.commit
    (finished / "config.json").write_text("[]")
    online.requests.clear()
    with pytest.raises(PublishError, match=r"tag: 'v1' is on commit .* give another tag"):
        publish(finished, tagged)
    assert not changing(online)


def test_a_recipes_tag_stays_on_the_first_commit_of_a_folder(online, finished):
    target = dataclasses.replace(TARGET, tag="v1")
    assert keep_first_tag(finished, target) == target
    first = publish(finished, target)
    for text in ("one", "two"):
        (finished / "config.json").write_text(json.dumps({"is": text}))
        with pytest.raises(PublishError, match="tag: 'v1' is on commit"):
            publish(finished, target)
        assert publish(finished, keep_first_tag(finished, target)).tag != "v1"
    assert online.refs("me/zero")["refs/tags/v1"] == first.commit
    assert keep_first_tag(finished, dataclasses.replace(target, repo_id="me/other")).tag == "v1"


def test_every_published_commit_has_a_tag(online, finished):
    first = publish(finished, TARGET)
    other = publish(finished, HubTarget(repo_id="me/zero", revision="zero"))
    refs = online.refs("me/zero")
    assert first.tag == publish(finished, TARGET).tag
    assert first.tag.startswith("zero-")
    assert (refs[f"refs/tags/{first.tag}"], refs[f"refs/tags/{other.tag}"]) == (first.commit, other.commit)


def test_a_lost_answer_to_the_commit_is_no_second_commit(online, finished):
    online.fault("POST", "/commit/", drop="reply")
    result = publish(finished, TARGET)
    assert len(online.commits("me/zero")) == 2
    assert result.sent == sorted(local(finished))
    assert remote(online) == local(finished)


def test_a_push_of_somebody_else_meanwhile_is_noticed_and_kept(online, finished, monkeypatch):
    publish(finished, TARGET)
    (finished / "config.json").write_text("[1]")
    api_commit, disturbed = HfApi.create_commit, []

    def create_commit(api, *args, **settings):
        if not disturbed:
            disturbed.append(True)
            HfApi().upload_file(repo_id="me/zero", path_in_repo="note.txt", path_or_fileobj=b"hello")
        return api_commit(api, *args, **settings)

    monkeypatch.setattr(HfApi, "create_commit", create_commit)
    publish(finished, TARGET)
    assert [request.status for request in online.requests if "/commit/" in request.path].count(412) == 1
    assert remote(online) == local(finished) | {"note.txt": b"hello"}


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("merged/model.safetensors", b"X" * 25, "changed since publishing began"),
        ("config.json", b"[]", "changed since publishing began"),
        ("config.json", None, "gone since publishing began"),
    ],
)
@pytest.mark.parametrize("before", ["whoami", "/commit/"])
def test_a_file_that_changes_meanwhile_is_noticed_and_the_next_call_sends_it(
    online, finished, path, content, said, before
):
    """What is sent was looked through for tokens, and is announced under the hash it had."""
    answer, waiting = online.handle, [True]

    def handle(request, routes):
        if before in request.path and waiting:
            waiting.clear()
            (finished / path).unlink()
            if content is not None:
                (finished / path).write_bytes(content)
        return answer(request, routes)

    online.handle = handle
    with pytest.raises(PublishError, match=rf"^{path}: {said}; publish again"):
        publish(finished, TARGET)
    assert not (finished / "published.json").exists()
    publish(finished, TARGET)
    assert {name: content for name, content in remote(online).items() if name in local(finished)} == local(finished)


def test_a_folder_that_is_emptied_after_sending_is_no_traceback(online, finished, monkeypatch):
    send = Transfer.send

    def send_and_lose(self, message):
        sent = send(self, message)
        (finished / "config.json").unlink()
        return sent

    monkeypatch.setattr(Transfer, "send", send_and_lose)
    with pytest.raises(PublishError, match=r"^config.json: gone since publishing began; publish again when"):
        publish(finished, TARGET)
    assert not [name for name in online.refs("me/zero") if name.startswith("refs/tags/")]
    assert not (finished / "published.json").exists()


def test_a_file_that_was_only_touched_is_the_same(online, finished, monkeypatch):
    answer = online.handle

    def handle(request, routes):
        os.utime(finished / "config.json", ns=(1, 1))
        return answer(request, routes)

    online.handle = handle
    assert publish(finished, TARGET).commit


def test_an_ignored_file_is_missed(online, finished):
    online.seed("me/zero", {".gitignore": b"tokenizer.json\n"})
    with pytest.raises(PublishError, match=r"tokenizer\.json: missing; a \.gitignore"):
        publish(finished, TARGET)
    assert not (finished / "published.json").exists()


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
def test_other_bytes_than_were_sent_are_noticed(online, finished, path, monkeypatch):
    """A Hub that mixes up content: of a small file in its store, of a large one in its listing."""
    publish(finished, TARGET)
    tree = online.repository("me/zero").resolve("main").tree
    entry = tree[path]
    spoiled = bytes(len(online.files("me/zero")[path]))
    repository = online.repository("me/zero")
    if path == "config.json":
        real = repository.read
        monkeypatch.setattr(repository, "read", lambda item: spoiled if item == entry else real(item))
    else:
        monkeypatch.setattr("trl_r1.hub.publishing.transfer.Transfer.compare", lambda *_: Changes())
        tree[path] = dataclasses.replace(entry, sha256="0" * 64)
    with pytest.raises(PublishError, match=f"{path}: .*(other bytes|another hash)"):
        publish(finished, TARGET)


def test_a_private_stage_into_a_public_repository_is_warned_of(online, finished, caplog):
    online.seed("me/zero")
    with caplog.at_level(logging.WARNING, "trl_r1"):
        publish(finished, TARGET)
    assert "exists and is public" in caplog.text


def test_a_renamed_repository_is_written_down_under_its_new_name(online, finished, caplog):
    publish(finished, TARGET)
    online.rename("me/zero", "lab/one")
    (finished / "config.json").write_text('{"new": true}')
    assert publish(finished, TARGET, dry_run=True).target.repo_id == "lab/one"
    result = publish(finished, TARGET)
    assert result.target.repo_id == "lab/one"
    assert result.sent == ["config.json"]
    assert remote(online, "lab/one") == local(finished)
    assert json.loads((finished / "published.json").read_text())["repo_id"] == "lab/one"
    assert "me/zero is named lab/one there" in caplog.text


def test_public_when_asked(online, finished):
    publish(finished, HubTarget(repo_id="me/zero", private=False))
    assert not online.repository("me/zero").private


def test_data_goes_to_a_data_set_and_its_old_rows_go(online, ancestry):
    folder = ancestry.folder / "data"
    (folder / "README.md").write_text(seal("---\nlicense: mit\n---\n# Data\n"))
    online.seed("me/data", {"train.parquet": b"old rows"}, repo_type="dataset")
    target = HubTarget(repo_id="me/data", repo_type="dataset")
    publish(folder, target)
    assert remote(online, "me/data", repo_type="dataset") == local(folder)
    with pytest.raises(PublishError, match=r"repo_type: 'model', and .* holds a dataset; .* --repo_type dataset"):
        publish(folder, HubTarget(repo_id="me/data"))


def test_a_card_is_written_when_there_is_none(online, ancestry):
    publish(ancestry.folder / "zero", TARGET)
    assert b"# zero" in remote(online)["README.md"]
    assert b"me/zero" in remote(online)["README.md"]
    assert json.loads(remote(online)["lineage.json"])
    assert publish(ancestry.folder / "zero", TARGET).sent == []


def test_a_card_that_cannot_be_written_stops_before_anything_is_sent(online, finished):
    (finished / "README.md").unlink()
    shutil.rmtree(finished.parent / "base")
    with pytest.raises(PublishError, match=r"README\.md: cannot be written, and nothing is sent without it"):
        publish(finished, TARGET)
    assert not online.requests


def test_the_token_in_a_file_stops_before_anything_is_sent(online, finished):
    target = HubTarget(repo_id="me/zero", token="odd-token")
    (finished / "config.json").write_text("odd-token")
    with pytest.raises(PublishError, match=r"config\.json: holds"):
        publish(finished, target)
    assert not online.requests


def test_a_dry_run_changes_nothing(online, finished):
    before = sorted(finished.rglob("*"))
    shown = publish(finished, TARGET, dry_run=True)
    assert shown.sent == sorted(local(finished))
    online.seed("me/zero", {"README.md": b"# Mine\n", "config.json": (finished / "config.json").read_bytes()})
    shown = publish(finished, TARGET, dry_run=True)
    assert shown.kept == ["README.md"]
    assert set(shown.sent) == set(local(finished)) - {"README.md", "config.json"}
    assert shown.commit is None
    assert not changing(online)
    assert sorted(finished.rglob("*")) == before


@pytest.mark.parametrize("part", ["whoami", "/api/models/me/zero", "/tree/"])
def test_a_page_of_a_proxy_is_no_answer(online, finished, part, caplog):
    online.seed("me/zero")
    answer = online.handle
    online.handle = lambda request, routes: (
        Response(b"<html>log in</html>") if part in request.path else answer(request, routes)
    )
    assert publish(finished, TARGET, dry_run=True).sent == sorted(local(finished))
    assert "not compared with the Hub" in caplog.text
    with pytest.raises(PublishError, match="given up after"):
        publish(finished, TARGET, patience=5)


def test_a_dry_run_needs_no_hub(finished, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_any")
    assert publish(finished, TARGET, dry_run=True).sent == sorted(local(finished))


def test_a_failed_push_says_how_to_do_it_later_and_raises_nothing(online, finished, caplog):
    online.add_user("me", token="hf_reading", role="read")
    target = HubTarget(repo_id="me/zero", revision="r1 zero".replace(" ", "_"), token="hf_reading", private=False)
    assert publish_or_explain(finished, target) is None
    assert "token: its role is 'read'" in caplog.text
    assert f"trl-r1 publish {finished} --repo_id me/zero --repo_type model --revision r1_zero --public" in caplog.text
    assert "hf_reading" not in caplog.text


def test_whatever_is_raised_a_run_does_not_end_on_it(online, finished, monkeypatch, caplog):
    def broken(*_, **__):
        raise KeyError("a fault of ours")

    monkeypatch.setattr(HfApi, "list_repo_tree", broken)
    assert publish_or_explain(finished, TARGET) is None
    assert "a fault of ours" in caplog.text
    monkeypatch.setattr(HfApi, "list_repo_tree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        publish_or_explain(finished, TARGET)


def test_what_cannot_be_written_down_was_published_all_the_same(online, finished, caplog):
    (finished / "published.json").mkdir()
    assert publish(finished, TARGET).commit
    assert "published.json: not written" in caplog.text
    assert publish(finished, TARGET).sent == []


def test_a_full_disk_leaves_nothing_half_written(online, finished, monkeypatch, caplog):
    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(finished.rglob("*"))
    monkeypatch.setattr(os, "fsync", fail)
    assert publish(finished, TARGET).commit
    assert "published.json: not written (No space left on device)" in caplog.text
    assert sorted(finished.rglob("*")) == before


def test_many_small_files_are_compared_by_hash_and_some_by_their_bytes(online, finished, monkeypatch):
    monkeypatch.setattr("trl_r1.hub.publishing.read_back.MOST_READ", 3)
    publish(finished, TARGET)
    read = [request.path for request in online.requests if "/resolve/" in request.path]
    assert len(read) == 3


def test_the_address_of_a_branch_with_a_slash(online, finished):
    result = publish(finished, HubTarget(repo_id="me/zero", revision="stages/zero"))
    assert result.url.endswith("/me/zero/tree/stages%2Fzero")
