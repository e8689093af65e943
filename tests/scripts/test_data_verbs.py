"""Composing, measuring difficulty and answering general prompts, end to end on a tiny random policy."""

import json

import pytest
import yaml
from trl import DatasetMixtureConfig, SFTConfig
from trl.scripts.utils import DatasetConfig

from tests.tiny_models import make_tokenizer
from trl_r1.cli import main
from trl_r1.data import load_sft, load_source
from trl_r1.hub.lineage import Lineage
from trl_r1.script_arguments import R1ScriptArguments
from trl_r1.stage_record import read_stage_record


QUESTIONS = [
    {"problem": f"what is {a} plus {b} ?", "solution": str(a + b), "language": "en"}
    for a in range(3)
    for b in range(3)
]
REASONED = [
    {
        "messages": [
            {"role": "user", "content": row["problem"]},
            {"role": "assistant", "content": f"<think> so {row['solution']} </think> the answer is {row['solution']}"},
        ],
        "problem": row["problem"],
        "solution": row["solution"],
        "reward_type": "reasoning",
    }
    for row in QUESTIONS
]
GENERAL = [
    {"problem": f"hello {word} ?", "response": "<think> friend </think> hello"} for word in ("so", "go", "friend")
]


def write_rows(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


@pytest.fixture
def launch(tmp_path):
    def run(verb, name=None, **values):
        output = tmp_path / (name or verb)
        recipe = tmp_path / f"{verb}.yaml"
        recipe.write_text(yaml.safe_dump({"output_dir": str(output), **values}, sort_keys=False))
        return main([verb, "--config", str(recipe)]), output

    return run


def read_rows(folder):
    return load_source(str(folder)).dataset


def sft_rows(tmp_path, *paths):
    mixture = DatasetMixtureConfig(datasets=[DatasetConfig(path=path) for path in paths])
    config = SFTConfig(output_dir=str(tmp_path / "sft"), use_cpu=True, bf16=False, report_to="none")
    return list(load_sft(R1ScriptArguments(), mixture, make_tokenizer(), config).dataset)


def test_a_composed_set_trains_on_the_rows_of_its_sources_in_their_order(launch, tmp_path, checkpoint):
    paths = [write_rows(tmp_path / "reasoned", REASONED), write_rows(tmp_path / "general", GENERAL)]
    code, folder = launch(
        "compose",
        datasets=[{"path": path} for path in paths],
        source_domains={paths[0]: "math", paths[1]: "general"},
        tokenizer=str(checkpoint),
    )
    assert code == 0
    assert sft_rows(tmp_path, str(folder)) == sft_rows(tmp_path, *paths)
    record = read_stage_record(folder)
    assert [(source.source, source.rows_kept) for source in record.data] == list(zip(paths, (9, 3), strict=True))
    assert record.metrics["composition/general/samples"].value == 3
    assert record.metrics["composition/total/tokens"].n == 12
    card = (folder / "README.md").read_text()
    assert "## What it is made of" in card
    assert "| general | 3 | 25.0% |" in card


def test_other_schemas_of_the_field_are_composed_as_they_are_trained_on(launch, tmp_path):
    row = {
        "problem": "what is 1 plus 2 ?",
        "solution": "3",
        "answer": "3",
        "generations": ["<think> so 1 2 </think> 3", "<think> so </think> 4"],
        "correctness_math_verify": [True, False],
    }
    thoughts = [{"role": "assistant", "content": "hello", "thinking": "friend"}]
    chat = {"messages": [{"role": "user", "content": "hello"}, *thoughts]}
    paths = [write_rows(tmp_path / "openr1", [row] * 2), write_rows(tmp_path / "chats", [chat])]
    code, folder = launch("compose", datasets=[{"path": path} for path in paths], source_domains={paths[0]: "math"})
    assert code == 0
    made = list(read_rows(folder))
    assert [each["messages"][-1]["content"] for each in made] == [
        "<think> so 1 2 </think> 3",
        "<think>\nfriend\n</think>\n\nhello",
    ]
    assert [each["domain"] for each in made] == ["math", "other"]
    [openr1, _] = read_stage_record(folder).data
    assert openr1.rows_in == openr1.rows_kept + sum(openr1.dropped.values())


def test_a_composed_set_names_the_stages_it_is_made_of(launch, tmp_path):
    first = launch("compose", "one", dataset_name=write_rows(tmp_path / "reasoned", REASONED))[1]
    code, folder = launch("compose", "two", datasets=[{"path": str(first)}], max_rows=5)
    assert code == 0
    assert [node.name for node in Lineage.from_folder(folder).ancestors()] == ["one"]
    assert len(read_rows(folder)) == 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"domain_targets": {"math": 1.5}}, "domain_targets: 1.5 of 'math' is no share"),
        ({"domain_targets": {"math": 0.7, "code": 0.7}}, "shares of 1.4 in all"),
        ({"domain_targets": {"math": True}}, "is no number"),
        ({"near_duplicate_threshold": 0}, "near_duplicate_threshold: 0"),
        ({"source_domains": {"elsewhere": "math"}}, "source_domains: 'elsewhere' is none of the data sets"),
        ({"tokenizer": "no/such-tokenizer"}, "tokenizer: 'no/such-tokenizer' cannot be loaded"),
        ({"domain_targets": {"maths": 3}}, "'maths' is no domain of the rows"),
    ],
)
def test_a_composition_that_cannot_be_is_refused(launch, tmp_path, capsys, values, message):
    code, folder = launch("compose", dataset_name=write_rows(tmp_path / "reasoned", REASONED), **values)
    assert code == 2
    assert message in capsys.readouterr().err
    assert not list(folder.glob("*.parquet"))


def test_measured_problems_go_into_training_by_their_pass_rate(launch, tmp_path, checkpoint):
    asked = {
        "model_name_or_path": str(checkpoint),
        "dataset_name": write_rows(tmp_path / "questions", QUESTIONS),
        "max_completion_length": 4,
        "generation_batch_size": 8,
    }
    code, folder = launch("estimate_difficulty", **asked, num_generations=2)
    assert code == 0
    rows = read_rows(folder)
    assert [row["problem"] for row in rows] == [row["problem"] for row in QUESTIONS]
    assert set(rows["num_samples"]) == {2}
    assert "## How hard the problems are" in (folder / "README.md").read_text()
    assert not (folder / ".work").exists()

    assert launch("estimate_difficulty", **asked, num_generations=5)[0] == 0
    metrics = read_stage_record(folder).metrics
    assert (metrics["samples"].value, metrics["samples_from_cache"].value) == (45, 18)

    code, _ = launch(
        "grpo",
        model_name_or_path=str(checkpoint),
        dataset_name=str(folder),
        reward_funcs=["accuracy_reward"],
        curriculum="easy_first",
        prompts_per_step=2,
        num_generations=2,
        max_completion_length=4,
        max_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        seed=0,
    )
    assert code == 0


def test_a_band_without_a_row_says_where_the_rows_are(launch, tmp_path, checkpoint, capsys):
    code, folder = launch(
        "estimate_difficulty",
        model_name_or_path=str(checkpoint),
        dataset_name=write_rows(tmp_path / "questions", QUESTIONS),
        max_completion_length=2,
        num_generations=2,
        min_pass_rate=0.99,
    )
    assert code == 2
    assert "no row lies between them (rows by pass rate: 0: 9)" in capsys.readouterr().err
    assert not (folder / "stage.json").exists()


def test_general_prompts_are_answered_counted_and_trained_on(launch, tmp_path, checkpoint):
    prompts = [{"problem": f"hello {number} friend ?"} for number in range(8)]
    code, folder = launch(
        "general_data",
        model_name_or_path=str(checkpoint),
        dataset_name=write_rows(tmp_path / "prompts", prompts),
        thinking="never",
        keep_language_consistent=False,
        num_generations=8,
        max_kept_per_prompt=2,
        max_completion_length=64,
        seed=0,
    )
    assert code == 0
    rows = read_rows(folder)
    metrics = {name: int(measured.value) for name, measured in read_stage_record(folder).metrics.items()}
    dropped = sum(count for name, count in metrics.items() if name.startswith("dropped/"))
    assert metrics["kept"] == len(rows) > 0
    assert metrics["kept"] + dropped == metrics["samples"] == 64
    assert {row["messages"][-1]["content"][:17] for row in rows} == {"<think>\n\n</think>"}
    assert [turn["role"] for turn in rows[0]["messages"]] == ["user", "assistant"]
    assert set(rows["reward_type"]) == {"helpful"}
    assert len(sft_rows(tmp_path, str(folder))) == len(rows)
    assert "No answer was verified" in (folder / "README.md").read_text()
