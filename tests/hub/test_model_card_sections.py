"""Every section of the card of a GRPO stage: a golden text, where each comes from, and what hostile records can do."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from fake_run import FakeRun, measured
from huggingface_hub import ModelCard

from trl_r1.errors import RecordError
from trl_r1.hub import create_model_card, create_model_cards
from trl_r1.hub.cards.text import is_unedited
from trl_r1.stage_record import (
    ContaminationCheck,
    DataSource,
    Measurement,
    Parent,
    RewardUse,
    describe_artefacts,
    hash_json,
    hash_weights,
)


GOLDEN = Path(__file__).parent / "golden_grpo_card.md"
HOSTILE = (
    "x\n---\nlicense: mit\n---\n<script>alert(1)</script> | a ``` \" ' \\ [l](javascript:1) {{ 7 }} {% x %} # h"
    "\u202egnp \x1b[0m שלום 思考"
)
EPISODE = {
    "step": 2,
    "num_generations": 2,
    "prompt": "user: what is 2 plus 5?\n```\nassistant:",
    "reference": "7",
    "totals": [1.1, 0.0],
    "completions": {
        "best": {
            "text": "<think> 2 plus 5 is 7 </think> <answer> 7 </answer>",
            "tokens": 12,
            "truncated": False,
            "rewards": [
                {"name": "accuracy_reward", "value": 1.0, "weight": 1.0},
                {"name": "format_reward", "value": None, "weight": 0.1},
            ],
            "total": 1.1,
            "advantage": 0.5,
        },
        "worst": {
            "text": "````\n</details> | # no\n" + "a" * 7_000,
            "tokens": 3000,
            "truncated": True,
            "rewards": [{"name": "accuracy_reward", "value": 0.0, "weight": 1.0}],
            "total": 0.0,
            "advantage": -0.5,
        },
    },
}


def put_episode(made, name, content=EPISODE):
    """Write an episode and let the record name it."""
    (made.folder / name / "episode.json").write_text(json.dumps(content))
    artefacts = [
        {"path": each.path, "size": each.size, "sha256": each.sha256}
        for each in describe_artefacts(made.folder / name)
    ]
    made.edit(name, artefacts=artefacts)


@pytest.fixture
def full(tmp_path):
    """A GRPO stage from a model of the Hub whose record has something for every section."""
    made = FakeRun(tmp_path / "run")
    made.stage(
        "zero",
        "grpo",
        weights=b"zero",
        config={"max_completion_length": 64, "hub_model_id": "me/zero", "hub_revision": "r1-zero"},
        rewards=[
            RewardUse(name="accuracy_reward", weight=1.0),
            RewardUse(name="format_reward", weight=0.1, parameters={"strict": True}),
        ],
        data=[
            DataSource(
                source="org/questions",
                split="train",
                fingerprint="f" * 64,
                rows_in=10,
                rows_kept=8,
                dropped={"unusable gold": 2},
                languages=["en", "zh"],
                revision="da7a" * 10,
            )
        ],
        contamination=[
            ContaminationCheck(
                benchmark="org/exam", method="10-grams", rows_checked=10, questions=500, hits=3, removed=2
            )
        ],
        history=[{"step": step, "reward": step / 10, "rewards/accuracy_reward/mean": step / 10} for step in (1, 2, 3)],
        metrics={"reward": Measurement(value=0.3)},
        notes=["alarm at step 2: completions are cut off", "The loss is near 0, and that is fine: ratio 1"],
    )
    base = Parent(
        name_or_path="Qwen/Qwen2.5-1.5B",
        role="base",
        revision="c0ffee" * 6 + "c0ff",
        weights_sha256="b" * 64,
        license="apache-2.0",
        languages=["en"],
    )
    made.edit("zero", parents=[asdict(base)])
    put_episode(made, "zero")
    weights = hash_weights(made.folder / "zero")
    data = {"source": "org/exam", "split": "test", "fingerprint": "e" * 64, "rows_in": 512, "rows_kept": 512}
    exam = measured(weights, suite="exam/1", data={**data, "revision": "abc123"}, task_id="hard")
    exam["metrics"]["well_formed"] = {"value": 0.5, "n": 512, "low": 0.45, "high": 0.55}
    before = measured(
        "b" * 64, suite="exam/1", data=data, metrics={"accuracy": {"value": 0.1, "n": 512, "low": 0.08, "high": 0.13}}
    )
    made.stage("evaluation", "evaluate", parents=[("zero", "evaluated")], evaluations=[exam, measured(weights)])
    made.edit(
        "evaluation",
        parents=[*made.read("evaluation")["parents"], asdict(base) | {"role": "evaluated"}],
        evaluations=[exam, measured(weights), before],
    )
    return made


def card_of(made, name="zero"):
    create_model_cards(made.folder)
    return (made.folder / name / "README.md").read_text(encoding="utf-8")


def section(text, title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def portable(text, folder):
    """A card without what depends on where the test runs: paths, the hash of a configuration with paths, the seal."""
    text = text.replace(str(folder), "RUN").rpartition("<!-- trl_r1 card")[0]
    return re.sub(r"^(- configuration: sha256) .*$", r"\1", text, flags=re.MULTILINE)


def test_golden_card_with_every_section(full):
    assert portable(card_of(full), full.folder) == GOLDEN.read_text(encoding="utf-8")


def test_sections_stand_in_the_order_a_reader_needs(full):
    titles = re.findall(r"^## (.*)$", card_of(full), re.MULTILINE)
    assert titles == [
        *("How to use it", "Results", "Where it comes from", "Data", "Rewards", "Training", "One episode", "Limits"),
        *("How to make it again", "Citation"),
    ]


def test_header_is_what_the_hub_reads(full):
    card_of(full)
    data = ModelCard.load(full.folder / "zero" / "README.md").data
    assert (data.license, data.license_name) == ("apache-2.0", None)
    assert (data.base_model, data.base_model_relation) == (["Qwen/Qwen2.5-1.5B"], "finetune")
    assert (data.datasets, data.language) == (["org/questions"], ["en", "zh"])
    assert data.tags == ["trl_r1", "trl", "grpo", "deepseek-r1-recipe", "reasoning"]


@pytest.mark.parametrize("made", ["full", "hostile"])
def test_the_hub_finds_nothing_wrong_with_the_header(request, tmp_path, online, made):
    run = request.getfixturevalue("full") if made == "full" else hostile_run(tmp_path)
    card_of(run)
    ModelCard.load(run.folder / "zero" / "README.md").validate()
    assert online.requests[-1].path.endswith("/api/validate-yaml")
    assert online.requests[-1].status == 200


def test_examples_load_from_the_hub_at_its_revision(full):
    use = section(card_of(full), "How to use it")
    assert '"me/zero", revision="r1-zero"' in use
    assert str(full.folder) not in use
    published = {"repo_id": "lab/zero", "repo_type": "model", "revision": "main", "when": "2026-01-02T00:00:00+00:00"}
    (full.folder / "zero" / "published.json").write_text(json.dumps(published))
    assert 'model="lab/zero")' in section(card_of(full), "How to use it")
    assert 'model="us/new", revision="r1-zero")' in create_model_card(full.folder / "zero", repo_id="us/new")


def test_the_licence_of_the_recipe_goes_before_that_of_the_pipeline(full):
    config = full.read("zero")["config"] | {"hub_license": "mit"}
    full.edit("zero", config=config, config_sha256=hash_json(config))
    (full.folder / "pipeline.json").write_text('{"license": "apache-2.0"}')
    assert "\nlicense: mit\n" in card_of(full)


def test_a_licence_that_is_not_the_bases_is_seen_on_the_first_screen(full):
    alike = create_model_card(full.folder / "zero", license="Apache-2.0")
    assert "| licence | Apache-2.0 |\n" in alike
    other = create_model_card(full.folder / "zero", license="mit")
    assert "| licence | mit; **but `Qwen/Qwen2.5-1.5B` is under apache-2.0** |\n" in other
    after = full.stage("after", "sft", weights=b"after", parents=[("zero", "base")])
    assert "| licence | mit; **but `Qwen/Qwen2.5-1.5B` is under apache-2.0** |" in create_model_card(
        after, license="mit"
    )


def test_text_and_picture_are_rebuilt_alike(full):
    names = ["README.md", "training_curves.png", ".eval_results/exam-1-greedy.yaml"]
    card_of(full)
    first = [(full.folder / "zero" / name).read_bytes() for name in names]
    card_of(full)
    assert [(full.folder / "zero" / name).read_bytes() for name in names] == first
    assert is_unedited(first[0].decode())


def test_a_section_without_a_record_is_not_printed(full):
    full.edit("zero", contamination=[], history=[], rewards=[], metrics={})
    artefacts = [each for each in full.read("zero")["artefacts"] if each["path"] != "episode.json"]
    full.edit("zero", artefacts=artefacts)
    text = card_of(full)
    assert "benchmarks in the training data" not in text
    assert not {"Rewards", "Training", "One episode"} & set(re.findall(r"^## (.*)$", text, re.MULTILINE))
    assert "training_curves" not in text
    assert not (full.folder / "zero" / "training_curves.png").exists()
    assert "was not checked" in section(text, "Limits")


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: path.write_text("{}"), lambda path: path.write_text(json.dumps(EPISODE) + " ")]
)
def test_an_episode_that_is_not_the_recorded_one_is_no_card(full, spoil, verify):
    spoil(full.folder / "zero" / "episode.json")
    with pytest.raises(RecordError, match=r"episode\.json"):
        create_model_card(full.folder / "zero", verify_weights=verify)
    assert not (full.folder / "zero" / "README.md").exists()
    assert not (full.folder / "zero" / "training_curves.png").exists()


@pytest.mark.parametrize("field", ["step", "prompt", "totals", "completions"])
def test_a_damaged_episode_is_no_card(full, field):
    put_episode(full, "zero", {**EPISODE, field: None})
    with pytest.raises(RecordError, match="damaged episode"):
        create_model_card(full.folder / "zero")


def test_the_episode_shows_every_reward_and_cuts_what_is_long(full):
    shown = section(card_of(full), "One episode")
    assert "| `accuracy_reward` | 1 | 1 | 1 |" in shown
    assert "| `format_reward` | not judged | 0.1 |  |" in shown
    assert "| total | | | 1.1 |" in shown
    assert re.search(r"\n\[\.\.\. 1,\d{3} characters left out \.\.\.\]\n", shown)
    assert "\n`````text\n````\n</details> | # no" in shown  # a fence longer than the one in the text
    assert "cut off at the length limit" in shown


def test_limits_hold_the_alarms_and_the_loss_note_does_not(full):
    limits = section(card_of(full), "Limits")
    assert "alarm at step 2" in limits
    assert "loss is near 0" not in limits
    assert "at most 64 tokens" in limits


def test_the_model_it_started_from_stands_beside(full):
    assert "| exam/1 | greedy | accuracy | 0.900 | 0.871 to 0.923 | 512 | 0.100 (0.080 to 0.130) |" in card_of(full)


@pytest.mark.parametrize(
    "change",
    [
        {"n": 600},
        {"prefill": "<think> a"},
        {"sampling": {"temperature": 0.6}},
        {"data": {"source": "org/exam", "split": "test", "fingerprint": "0" * 64, "rows_in": 512, "rows_kept": 512}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_was_measured_otherwise_does_not_stand_beside(full, change):
    evaluations = full.read("evaluation")["evaluations"]
    full.edit("evaluation", evaluations=[*evaluations[:2], evaluations[2] | change])
    text = card_of(full)
    assert "0.100 (0.080 to 0.130)" not in text
    assert "before:" not in text


def hostile_run(folder):
    """A stage with hostile text in every field that takes any."""
    made = FakeRun(folder / "run")
    made.stage(
        "zero",
        "grpo",
        weights=b"zero",
        config={"note": HOSTILE, "hub_model_id": HOSTILE, "hub_revision": HOSTILE},
        rewards=[RewardUse(name=HOSTILE, weight=1.0, parameters={HOSTILE: HOSTILE})],
        data=[
            DataSource(
                source=HOSTILE, split=HOSTILE, fingerprint="f" * 64, rows_in=2, rows_kept=1, dropped={HOSTILE: 1}
            )
        ],
        contamination=[
            ContaminationCheck(
                benchmark=HOSTILE, method=HOSTILE, rows_checked=1, questions=1, hits=1, removed=1, notes=HOSTILE
            )
        ],
        history=[{"step": step, f"rewards/{HOSTILE}/mean": 0.5} for step in (1, 2)],
        metrics={f"rewards/{HOSTILE}/mean": Measurement(value=0.5)},
        notes=[HOSTILE],
    )
    base = Parent(name_or_path="org/base", role="base", license=HOSTILE, languages=[HOSTILE, "en"])
    made.edit("zero", stage=HOSTILE, command=["trl-r1", "grpo", HOSTILE], parents=[asdict(base)])
    rewards = [{"name": HOSTILE, "value": 1.0, "weight": 1.0}]
    spoken = {**EPISODE["completions"]["best"], "text": HOSTILE, "rewards": rewards}
    put_episode(made, "zero", {**EPISODE, "prompt": HOSTILE, "reference": HOSTILE, "completions": {"best": spoken}})
    weights = hash_weights(made.folder / "zero")
    entry = measured(
        weights, suite=HOSTILE, mode=HOSTILE, prefill=HOSTILE, group_by=HOSTILE, sampling={"seed": HOSTILE}
    )
    entry["metrics"][HOSTILE] = entry["metrics"]["accuracy"]
    made.stage("evaluation", "evaluate", parents=[("zero", "evaluated")], evaluations=[entry])
    return made


def test_hostile_records_change_nothing_but_text(tmp_path):
    made = hostile_run(tmp_path)
    text = card_of(made)
    card = ModelCard.load(made.folder / "zero" / "README.md")
    assert (card.data.license, card.data.license_link) == ("other", "https://huggingface.co/org/base")
    assert re.fullmatch(r"[a-z0-9.-]+", card.data.license_name)
    assert card.data.language == ["en"]
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", card.text, flags=re.MULTILINE | re.DOTALL)
    outside = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert "<script" not in outside
    assert "](javascript" not in outside.replace("\\]", "")
    assert not re.search("[\u202e\x1b]", text)
    titles = re.findall(r"^#+ (.*)$", outside, re.MULTILINE)
    assert [title for title in titles if title.startswith("h")] == []
    widths = {}
    for line in outside.splitlines():
        if line.startswith("|"):
            widths.setdefault(len(re.findall(r"(?<!\\)\|", line)), []).append(line)
    assert set(widths) <= {3, 4, 5, 6, 7, 8}
    assert "שלום 思考" in text


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        (None, {}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("My Own: v1", {"license": "other", "license_name": "my-own-v1"}),
        ("other", {"license": "other", "license_name": "not-named"}),
    ],
)
def test_a_licence_is_written_as_the_hub_takes_it(ancestry, license, expected):
    header = yaml.safe_load(create_model_card(ancestry.folder / "zero", license=license).split("---")[1])
    assert {name: value for name, value in header.items() if name.startswith("license")} == expected


def test_the_plain_prompt_comes_with_the_checkpoint(ancestry):
    folder = ancestry.folder / "zero"
    assert 'load_prompt_template("r1_zero")' in create_model_card(folder)
    (folder / "prompt_template.txt").write_text("user: {prompt}")
    put_episode(ancestry, "zero")
    assert f'open("{folder}/prompt_template.txt").read()' in create_model_card(folder)
    text = create_model_card(folder, repo_id="me/zero")
    assert 'template = open(hf_hub_download("me/zero", "prompt_template.txt")).read()' in text
    compile(re.search("```python\n(.*?)```", text, re.DOTALL)[1], "card", "exec")


@pytest.mark.parametrize("adapter", ["{}", '{"base_model_name_or_path": "/runs/base"}', None])
@pytest.mark.parametrize(
    ("kind", "config"),
    [("sft", {}), ("grpo", {"prompt_template": "r1_zero"}), ("script", {}), ("reward_model", {})],
)
def test_the_example_is_python(ancestry, kind, config, adapter):
    folder = ancestry.stage("x", kind, weights=b"x", config=config)
    if adapter:
        (folder / "adapter_config.json").write_text(adapter)
        put_episode(ancestry, "x")
    text = create_model_card(folder, repo_id='me/"x', verify_weights=False)
    compile(re.search("```python\n(.*?)```", text, re.DOTALL)[1], "card", "exec")


def test_an_adapter_on_a_base_in_a_folder_says_where_readers_find_that(ancestry):
    made = ancestry
    folder, base = made.stage("tuned", "sft", weights=b"t", parents=[("zero", "base")]), made.folder / "zero"
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    put_episode(made, "tuned")
    assert f'base = AutoModelForCausalLM.from_pretrained("{base}")' in create_model_card(folder)
    published = {"repo_id": "me/all", "revision": "zero", "when": "2026-01-02T10:00:00+00:00"}
    (base / "published.json").write_text(json.dumps(published))
    text = create_model_card(folder, repo_id="me/tuned")
    assert 'base = AutoModelForCausalLM.from_pretrained("me/all", revision="zero")' in text
    assert 'model = PeftModel.from_pretrained(base, "me/tuned")' in text
    assert "first, `me/all`, and put the adapter on it." in text
    assert "AutoPeftModel" not in text
    assert str(base) not in text.split("## How to use it")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    ("kind", "config"), [("sft", {}), ("grpo", {"prompt_template": "r1_zero"}), ("reward_model", {})]
)
def test_a_base_that_is_another_adapter_merged_is_found_in_that_ones_repository(ancestry, kind, config):
    made = ancestry
    folder = made.stage("tuned", kind, weights=b"t", parents=[("zero", "base")], config=config)
    base = made.folder / "zero" / "merged"
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    put_episode(made, "tuned")
    published = {"repo_id": "me/all", "revision": "zero", "when": "2026-01-02T10:00:00+00:00"}
    (made.folder / "zero" / "published.json").write_text(json.dumps(published))
    usage = create_model_card(folder).split("## How to use it")[1].split("\n## ")[0]
    got = 'snapshot_download("me/all", revision="zero", allow_patterns="merged/*") + "/merged"'
    assert f".from_pretrained({got}" in usage
    assert "first, the merged form of `me/all`, and put" in usage
    assert str(base) not in usage
    code = re.search("```python\n(.*?)```", usage, re.DOTALL)[1]
    compile(code, "card", "exec")
    assert "from huggingface_hub import snapshot_download\n" in code


def test_an_adapter_says_so(ancestry):
    made = ancestry
    folder = made.stage("tuned", "sft", weights=b"t", parents=[("org/base", "base")])
    (folder / "adapter_config.json").write_text("{}")
    put_episode(made, "tuned")
    text = create_model_card(folder)
    header = yaml.safe_load(text.split("---")[1])
    assert (header["library_name"], header["base_model_relation"]) == ("peft", "adapter")
    assert "AutoPeftModelForCausalLM" in text
    assert "merged/" not in text
    (folder / "merged").mkdir()
    (folder / "merged" / "config.json").write_text("{}")
    assert f'`from_pretrained("{folder}/merged")`' in create_model_card(folder)
