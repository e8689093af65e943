"""`trl-r1 grpo` and `sft` that measure their policy, and ask training questions in several phrasings."""

import json
from pathlib import Path

import pytest
import yaml
from transformers import AutoModelForCausalLM

from trl_r1.cli import main
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.stage_record import read_stage_record


PLAIN = str(Path("recipes/tiny/prompt.txt").resolve())
QUESTIONS = [{"problem": f"what is {a} plus {b} ?", "solution": str(a + b)} for a in range(4) for b in range(4)]
VARIANTS = "variants:\n  - {name: bare}\n  - {name: so, instruction: 'so {problem}'}\n"


@pytest.fixture
def launch(tmp_path, checkpoint):
    for split, rows in (("train", QUESTIONS), ("test", [*QUESTIONS[:2], {"problem": "what is 9 ?", "solution": "9"}])):
        folder = tmp_path / split
        folder.mkdir()
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chats = [{"prompt": f"user : {row['problem']} assistant :", "completion": row["solution"]} for row in QUESTIONS]
    (tmp_path / "chats").mkdir()
    (tmp_path / "chats" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chats))
    (tmp_path / "variants.yaml").write_text(VARIANTS)
    suite = {"name": "sums", "dataset_name": str(tmp_path / "test"), "modes": {"greedy": {"temperature": 0}}}

    def run(verb, **values):
        recipe = {
            "model_name_or_path": checkpoint,
            "dataset_name": str(tmp_path / ("train" if verb == "grpo" else "chats")),
            "output_dir": str(tmp_path / "out"),
            "prompt_template": PLAIN,
            "evaluation_suites": [suite],
            "evaluation_every": 2,
            "evaluation_max_completion_length": 4,
            "max_steps": 3,
            "logging_steps": 1,
            "save_strategy": "no",
            "use_cpu": True,
            "bf16": False,
            "activation_checkpointing": False,
            "report_to": "none",
            "seed": 0,
            **values,
        }
        path = tmp_path / f"{verb}.yaml"
        path.write_text(yaml.safe_dump({name: value for name, value in recipe.items() if value is not None}))
        return main([verb, "--config", str(path)]), tmp_path / "out"

    return run


GRPO = {
    "reward_funcs": ["accuracy_reward"],
    "num_generations": 2,
    "prompts_per_step": 2,
    "max_completion_length": 4,
}


def test_grpo_measures_what_it_trains_and_leaves_its_questions_out(launch):
    code, folder = launch("grpo", **GRPO)
    assert code == 0
    record = read_stage_record(folder)
    assert "2 training rows ask a question of evaluation_suites and were left out" in record.notes
    measured = record.metrics["held-out accuracy (sums/greedy)"]
    assert (measured.n, measured.low) == (3, 0.0)
    assert [row["step"] for row in record.history if "eval_sums/greedy/accuracy" in row] == [0, 2, 3]
    assert len(list((folder / "evaluations").iterdir())) == 3


def test_sft_measures_what_it_trains(launch):
    code, folder = launch("sft", prompt_template=None, chat_template=None, **{"response_format": "r1_zero"})
    assert code == 0
    record = read_stage_record(folder)
    assert "held-out accuracy (sums/greedy)" in record.metrics
    assert [row["step"] for row in record.history if "eval_sums/greedy/accuracy" in row] == [0, 2, 3]


def test_answers_are_as_long_as_in_training_unless_said_otherwise(launch):
    code, folder = launch("grpo", **{**GRPO, "max_completion_length": 3, "evaluation_max_completion_length": None})
    assert code == 0
    [record, *_] = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert record["metrics"]["completion_tokens"]["value"] <= 3
    rows = [row for path in (folder / "evaluations").iterdir() for row in read_samples(path)]
    assert max(row["num_tokens"] for row in rows) == 3


def test_answers_that_do_not_fit_are_refused_before_the_model_is_loaded(launch, capsys, monkeypatch):
    def none_is_loaded(*args, **kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", none_is_loaded)
    code, _ = launch("grpo", **{**GRPO, "evaluation_max_completion_length": 100_000})
    assert code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "suites.sums.modes.greedy: 3 of 3 questions" in said
    assert "set max_completion_length to at most" in said


def test_grpo_asks_in_several_phrasings(launch, tmp_path):
    bank = str(tmp_path / "variants.yaml")
    code, folder = launch("grpo", **GRPO, prompt_augmentation=bank, prompt_augmentation_copies=2)
    assert code == 0
    [note] = [note for note in read_stage_record(folder).notes if note.startswith("prompt_augmentation")]
    assert "2 of 2 variants a question" in note
    assert "bare 14, so 14" in note  # of the rows trained on, without those of held-out questions


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"evaluation_every": 0}, "evaluation_every: 0 must be at least 1"),
        ({"evaluation_suites": [{"name": "x"}]}, "evaluation_suites[0].dataset_name: missing"),
        ({"evaluation_suites": [{"benchmark": "aime_20"}]}, "evaluation_suites[0].benchmark: 'aime_20' is unknown"),
        ({"evaluation_suites": [{"benchmark": "gsm8k", "modess": {}}]}, "evaluation_suites[0].modess: no such field"),
        ({"prompt_augmentation": "defaul"}, "prompt_augmentation: 'defaul' is unknown; did you mean 'default'"),
        ({"prompt_augmentation_copies": 2}, "prompt_augmentation_copies: 2 has no effect"),
        (
            {"prompt_augmentation": "languages", "prompt_augmentation_copies": 200},
            "prompt_augmentation_copies: 200 must lie between 1 and the number of variants, ",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_first(launch, capsys, values, told):
    code, folder = launch("grpo", **{**GRPO, **values})
    assert code == 2
    assert told in capsys.readouterr().err
    assert not folder.exists()
