"""A whole pipeline on a Hub on this machine: what arrives and in which order, and what one failure leaves."""

import json
import os
import subprocess
import sys

import pytest
from data_stages import ROWS, made_stage, sampled_stage
from fake_run import FakeRun, measured
from huggingface_hub import ModelCard, RepoCard
from loopback_hub import LoopbackHub

from trl_r1.errors import PublishError
from trl_r1.hub import publish_pipeline
from trl_r1.hub.cards.text import is_unedited
from trl_r1.hub.collection.plan import make_slug, plan_pipeline
from trl_r1.run_records import RunRecords
from trl_r1.scripts import publish as script
from trl_r1.stage_record import DataSource, hash_weights


TITLE = "R1 in a tiny world"
ORDER = [
    ("dataset", "me/run-rows"),
    ("model", "me/run-base"),
    ("model", "me/run-2-to-5"),
    ("dataset", "me/run-data"),
    ("model", "me/run-cold"),
    ("space", "me/run-report"),
]


@pytest.fixture
def run(tmp_path):
    """rows, base -> "2 to 5" -> data -> cold, all measured, with a report."""
    made = FakeRun(tmp_path / "run")
    made_stage(made, "rows", {"train.jsonl": [{"problem": str(number)} for number in range(5)]})
    made.stage("base", "script", weights=b"base", config={"script": "make_base.py"})
    read = DataSource(
        source=str(made.folder / "rows"), split="train", fingerprint="f" * 64, rows_in=5, rows_kept=5, dropped={}
    )
    made.stage("2 to 5", "grpo", weights=b"zero", parents=[("base", "base")], data=[read])
    sampled_stage(made, "data", parents=[("2 to 5", "teacher")], data=[read])
    source = DataSource(source=str(made.folder / "data"), split="train", fingerprint="0" * 64, rows_in=4, rows_kept=4)
    made.stage("cold", "sft", weights=b"cold", parents=[("base", "base")], data=[source])
    entry = measured(hash_weights(made.folder / "2 to 5"), checkpoint="2 to 5")
    made.stage("evaluation", "evaluate", parents=[("2 to 5", "evaluated")], evaluations=[entry])
    (made.folder / "report.html").write_text("<html>all of it</html>", encoding="utf-8")
    names = ["rows", "base", "2 to 5", "data", "cold", "evaluation"]
    stages = [{"name": name, "kind": "", "folder": name, "needs": []} for name in names]
    content = {"pipeline": "recipes/r1.yaml", "seed": 5, "license": "apache-2.0", "title": TITLE, "stages": stages}
    (made.folder / "pipeline.json").write_text(json.dumps(content))
    return made


def changing(hub):
    return [
        request
        for request in hub.requests
        if request.method not in ("GET", "HEAD") and not request.path.startswith("/api/collections")
    ]


def items(hub):
    (collection,) = hub.collections.values()
    return [(item["type"], item["id"]) for item in collection.items]


def notes(hub):
    (collection,) = hub.collections.values()
    return [item["note"]["text"] for item in collection.items]


def test_all_of_it_arrives(online, run):
    result = publish_pipeline(run.folder, namespace="me")
    assert not result.failures
    check_collection(online, result, run)
    check_cards(online, run)
    check_report(online)
    online.requests.clear()
    again = publish_pipeline(run.folder, namespace="me")
    assert {item.state for item in again.items} == {"nothing new"}
    assert [request.path for request in changing(online)] == []
    assert items(online) == ORDER


def check_collection(online, result, run):
    """In order, with notes, all of it private."""
    assert items(online) == ORDER
    (collection,) = online.collections.values()
    assert (collection.title, collection.private) == (TITLE, True)
    assert result.url == f"{online.url}/collections/{collection.slug}"
    assert notes(online) == [
        "rows: data made by make_data.py",
        "base: made by a Python file, make_base.py",
        "2 to 5: GRPO from base; accuracy 0.900 (95 % interval 0.871 to 0.923, n 512) on test, greedy",
        "data: samples of 2 to 5, 4 of 10 kept",
        "cold: supervised fine-tuning of base on data",
        "report: tables, curves and answers of all 6 stages, in one page",
    ]
    for kind, name in ORDER:
        assert online.repository(name, kind).private
    assert (
        online.files("me/run-data", repo_type="dataset")["train.jsonl"]
        == (run.folder / "data" / "train.jsonl").read_bytes()
    )


def check_cards(online, run):
    """They name what was published before them."""
    zero = ModelCard.load(run.folder / "2 to 5" / "README.md")
    assert zero.data.base_model in ("me/run-base", ["me/run-base"])
    assert zero.data.datasets == ["me/run-rows"]
    assert zero.data.license == "apache-2.0"
    assert '"me/run-2-to-5"' in zero.text
    sampled = RepoCard.load(run.folder / "data" / "README.md")
    assert sampled.data.source_datasets == ["me/run-rows"]
    assert "- teacher: `2 to 5`, on the Hub `me/run-2-to-5`, " in sampled.text
    assert 'train = load_dataset("me/run-data", split="train")' in sampled.text
    sent = online.files("me/run-data", repo_type="dataset")["README.md"].decode("utf-8")
    assert is_unedited(sent)
    assert sent == (run.folder / "data" / "README.md").read_text(encoding="utf-8")


def check_report(online):
    """It is a static Space."""
    files = online.files("me/run-report", repo_type="space")
    assert files["index.html"] == b"<html>all of it</html>"
    card = RepoCard(files["README.md"].decode("utf-8"), ignore_metadata_errors=False)
    assert (card.data.sdk, card.data.app_file, card.data.title) == ("static", "index.html", TITLE)
    assert card.data.models == ["me/run-base", "me/run-2-to-5", "me/run-cold"]
    assert card.data.datasets == ["me/run-rows", "me/run-data"]


def test_without_a_report_there_is_no_space(online, run):
    (run.folder / "report.html").unlink()
    result = publish_pipeline(run.folder, namespace="me")
    assert items(online) == ORDER[:-1]
    assert "no report.html in the folder" in str(result)


def test_one_failure_stops_no_other_and_the_same_call_goes_on(online, run):
    online.fault("POST", "/api/models/me/run-2-to-5/commit/", status=403, times=1)
    result = publish_pipeline(run.folder, namespace="me")
    assert list(result.failures) == ["2 to 5"]
    assert items(online) == [place for place in ORDER if place[1] != "me/run-2-to-5"]
    shown = str(result)
    assert "failed: 2 to 5: " in shown
    assert f"to go on: trl-r1 publish {run.folder} --namespace me --title 'R1 in a tiny world'" in shown
    again = publish_pipeline(run.folder, namespace="me")
    assert not again.failures
    assert next(item.name for item in again.items if item.state == "sent") == "2 to 5"
    assert items(online) == ORDER


def test_a_failed_collection_is_named_and_repositories_stay(online, run, capsys):
    online.fault("POST", "/api/collections", status=403, times=1)
    assert script.main([str(run.folder), "--namespace", "me"]) == 2
    said = capsys.readouterr()
    assert f"failed: collection {TITLE!r}: " in said.out
    assert said.out.count(" sent") == len(ORDER) + 1
    assert not publish_pipeline(run.folder, namespace="me").failures
    assert items(online) == ORDER


def test_order_and_notes_are_mended_and_the_others_items_stay(online, run):
    publish_pipeline(run.folder, namespace="me")
    (collection,) = online.collections.values()
    online.seed("me/other")
    collection.items.reverse()
    collection.items[2]["note"] = {"text": "old"}
    collection.items.append({"_id": "f" * 24, "id": "me/other", "type": "model", "note": {"text": "mine"}})
    publish_pipeline(run.folder, namespace="me")
    assert items(online) == [*ORDER, ("model", "me/other")]
    assert notes(online)[3:] == [
        "data: samples of 2 to 5, 4 of 10 kept",
        "cold: supervised fine-tuning of base on data",
        "report: tables, curves and answers of all 6 stages, in one page",
        "mine",
    ]


def test_nothing_is_sent_when_anything_is_wrong_beforehand(online, run):
    (run.folder / "data" / "train.jsonl").write_text("{}\n")
    (run.folder / "base" / "notes.txt").write_text("hf_" + "a" * 34)
    with pytest.raises(PublishError) as caught:
        publish_pipeline(run.folder, namespace="me")
    assert "data: " in str(caught.value)
    assert "base: notes.txt: holds what looks like a token" in str(caught.value)
    assert "hf_a" not in str(caught.value)
    assert not changing(online)
    assert not online.collections


def test_a_namespace_of_others_is_refused_before_anything_is_sent(online, run):
    with pytest.raises(PublishError, match="nothing was sent"):
        publish_pipeline(run.folder, namespace="stranger")
    assert not changing(online)


def test_a_token_that_may_make_no_collection_is_refused_before_anything_is_sent(online, run):
    online.add_user("me", token="hf_fine", role="fineGrained", scopes={"me": ["repo.write"]})
    with pytest.raises(PublishError, match=r"collection: token: .*\(collection\.write\)"):
        publish_pipeline(run.folder, namespace="me", token="hf_fine")
    assert not changing(online)


def test_upper_and_lower_case_are_the_same(online, run):
    assert not publish_pipeline(run.folder, namespace="ME").failures
    assert items(online) == ORDER
    (collection,) = online.collections.values()
    collection.items[1]["id"] = "me/Run-Base"  # as the Hub may spell it
    assert not publish_pipeline(run.folder, namespace="me").failures
    assert items(online) == [*ORDER[:1], ("model", "me/Run-Base"), *ORDER[2:]]


def test_dry_run_asks_and_writes_nothing(run):
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    result = publish_pipeline(run.folder, namespace="me", prefix="mine", dry_run=True)
    assert {item.state for item in result.items} == {"to send"}
    assert [item.target.repo_id for item in result.items][2] == "me/mine-2-to-5"
    assert "nothing was sent" in str(result)
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_a_dry_run_names_the_stages_of_all_that_is_wrong(run):
    (run.folder / "data" / "train.jsonl").write_text("{}\n")
    (run.folder / "base" / "notes.txt").write_text("hf_" + "a" * 34)
    with pytest.raises(PublishError) as caught:
        publish_pipeline(run.folder, namespace="me", dry_run=True)
    assert "data: train.jsonl: not the bytes" in str(caught.value)
    assert "base: notes.txt: holds what looks like a token" in str(caught.value)


@pytest.mark.parametrize("dry_run", [True, False])
def test_stages_that_have_not_finished_are_named(online, run, dry_run):
    (run.folder / "cold" / "stage.json").unlink()
    result = publish_pipeline(run.folder, namespace="me", dry_run=dry_run)
    assert "not finished, so left out: cold\n" in str(result)
    assert "cold" not in [item.name for item in result.items]
    assert not result.failures


def test_recipes_say_where_their_stages_go(online, run):
    for name, branch in (("tuned", "tuned"), ("longer", "longer")):
        config = {"hub_model_id": "lab/my-r1", "hub_revision": branch, "hub_license": "mit"}
        run.stage(name, "sft", weights=name.encode(), parents=[("base", "base")], config=config)
    publish_pipeline(run.folder, namespace="me")
    assert items(online) == [*ORDER[:-1], ("model", "lab/my-r1"), ORDER[-1]]
    assert notes(online)[-2] == "longer: supervised fine-tuning of base; tuned: supervised fine-tuning of base"
    assert online.files("lab/my-r1", revision="tuned")["model.safetensors"] == b"tuned"
    assert ModelCard.load(run.folder / "tuned" / "README.md").data.license == "mit"


def plan(folder, **options):
    return plan_pipeline(RunRecords.read(folder), namespace="me", **options)


def test_names_that_differ_in_signs_only_stay_two(run):
    for name in ("2-to-5", "2..to--5", "ÀÉ", "数据", "训练"):
        run.stage(name, "sft", weights=b"x", parents=[("base", "base")])
    names = [item.target.repo_id for item in plan(run.folder)]
    assert len({name.lower() for name in names}) == len(names)
    assert {"me/run-2-to-5", "me/run-2-to-5-2", "me/run-2.to-5", "me/run-AE", "me/run-stage-9"} <= set(names)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hub_model_id": "me/same"}, "'one' and 'two' would both be model 'me/same', branch 'main'"),
        ({"hub_model_id": "a/b/c"}, "repo_id: 'a/b/c' is no name"),
        ({"hub_model_id": "me/x", "hub_revision": "a b"}, "revision: 'a b' is no name for a branch"),
    ],
)
def test_names_that_cannot_be_are_refused(run, config, message):
    for name in ("one", "two"):
        run.stage(name, "sft", weights=b"x", parents=[("base", "base")], config=config)
    with pytest.raises(PublishError, match=message):
        plan(run.folder)


def test_a_name_that_is_too_long_is_refused(run):
    assert plan(run.folder, prefix="x" * 80)
    with pytest.raises(PublishError, match="longer than 96 letters; give a shorter one"):
        plan(run.folder, prefix="x" * 95)


def test_a_run_without_anything_to_publish_is_refused(tmp_path):
    made = FakeRun(tmp_path / "run")
    made.stage("evaluation", "evaluate")
    with pytest.raises(PublishError, match="no checkpoint and no data set"):
        plan(made.folder)


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("2 to 5", "2-to-5"),
        ("a--b..c", "a-b.c"),
        ("-x-", "x"),
        ("über", "uber"),
        ("数", ""),
        ("x.git", "x"),
        ("_", ""),
    ],
)
def test_slugs(text, slug):
    assert make_slug(text) == slug


LOAD = """
import json, sys
from datasets import load_dataset
print(json.dumps(load_dataset("me/run-data", split="train")["problem"][:]))
"""


def test_by_the_command_line_and_back_with_load_dataset(run, tmp_path):
    with LoopbackHub() as hub:
        hub.add_user("me", token="hf_test_token")
        environment = os.environ | hub.environment(tmp_path / "cache")
        command = [sys.executable, "-m", "trl_r1.cli", "publish", str(run.folder), "--namespace", "me"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "collection: " in done.stdout
        assert "hf_test_token" not in done.stdout + done.stderr
        assert items(hub) == ORDER
        loaded = subprocess.run(
            [sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=True
        )
        assert json.loads(loaded.stdout) == [row["problem"] for row in ROWS]
