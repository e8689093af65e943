"""`trl-r1 distill` and the end of `trl-r1 sft`: what they record, note and refuse."""

import json

import pytest
import yaml
from tiny_models import make_model
from transformers import AutoModelForCausalLM

from trl_r1.cli import main
from trl_r1.stage_record import read_stage_record


TRAINING = {
    "use_cpu": True,
    "bf16": False,
    "activation_checkpointing": False,
    "report_to": "none",
    "logging_steps": 1,
    "save_strategy": "no",
    "max_steps": 2,
    "per_device_train_batch_size": 4,
    "seed": 0,
}
CHATS = [
    {
        "messages": [
            {"role": "user", "content": f"what is {number} ?"},
            {"role": "assistant", "content": f"<think> so {number} </think> the answer is {number}"},
        ]
    }
    for number in range(8)
]


@pytest.fixture
def rows(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CHATS))
    return str(folder)


@pytest.fixture
def teacher(tmp_path, tokenizer):
    folder = tmp_path / "teacher"
    make_model(tokenizer, seed=5, layers=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def launch(tmp_path, checkpoint, rows):
    def run(verb, **values):
        recipe = tmp_path / f"{verb}.yaml"
        common = {"model_name_or_path": checkpoint, "dataset_name": rows, "output_dir": str(tmp_path / verb)}
        recipe.write_text(yaml.safe_dump({**common, **TRAINING, **values}))
        return main([verb, "--config", str(recipe)]), tmp_path / verb

    return run


def test_distill_leaves_a_checkpoint_a_record_and_a_card(launch, teacher, checkpoint):
    code, folder = launch("distill", teacher_model_name_or_path=str(teacher), max_completion_length=6)
    assert code == 0
    record = read_stage_record(folder)
    assert [(parent.name_or_path, parent.role) for parent in record.parents] == [
        (checkpoint, "base"),
        (str(teacher), "teacher"),
    ]
    assert record.data[0].rows_kept == len(CHATS)
    assert record.metrics["stops"].n == len(CHATS)
    assert record.metrics["stop_probe/limit"].value == 9  # half as long again as max_completion_length
    assert [row["loss"] for row in record.history]
    card = (folder / "README.md").read_text()
    assert "On-policy distillation" in card
    assert "agarwal2024onpolicy" in card
    before, after = (AutoModelForCausalLM.from_pretrained(place).state_dict() for place in (checkpoint, folder))
    assert any(not before[name].equal(after[name]) for name in before)


def test_a_teacher_with_other_tokens_is_refused_before_it_is_loaded(launch, teacher, capsys):
    content = json.loads((teacher / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["0"], vocabulary["1"] = vocabulary["1"], vocabulary["0"]  # of the same size, which is all TRL looks at
    (teacher / "tokenizer.json").write_text(json.dumps(content))
    (teacher / "model.safetensors").unlink()
    code, folder = launch("distill", teacher_model_name_or_path=str(teacher))
    assert code == 2
    assert "has another vocabulary (2 tokens differ, such as '0')" in capsys.readouterr().err
    assert not (folder / "stage.json").exists()


def test_a_teacher_of_another_template_is_noted(launch, teacher):
    path = teacher / "chat_template.jinja"
    path.write_text(path.read_text().replace("user\\n", "question\\n").replace("message.role +", "'said' +"))
    code, folder = launch("distill", teacher_model_name_or_path=str(teacher), max_completion_length=4)
    assert code == 0
    assert any("chat template differs" in note for note in read_stage_record(folder).notes)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "teacher_model_name_or_path: missing"),
        ({"teacher_model_name_or_path": "t", "beta": 1.5}, "beta: 1.5 must be between 0 (forward KL) and 1"),
        ({"teacher_model_name_or_path": "t", "temperature": 0.0}, "temperature: 0.0 must be above 0"),
        ({"teacher_model_name_or_path": "t", "vllm_mode": "serve"}, "vllm_mode: 'serve' is unknown"),
        ({"teacher_model_name_or_path": "t", "stop_probe_prompts": -1}, "stop_probe_prompts: -1 must be at least 0"),
    ],
)
def test_what_cannot_distil_is_told_at_once(launch, capsys, values, problem):
    assert launch("distill", **values)[0] == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"packing": True, "packing_strategy": "wrapped"}, "packing_strategy: 'wrapped' cuts rows anywhere"),
        ({"packing": True, "max_length": None}, "max_length: null leaves a packed sequence without a length"),
        ({"padding_free": True}, "padding_free: TRL takes it with `packing: true`"),
        ({"dataset_kwargs": {"skip_prepare_dataset": True}}, "dataset_kwargs: skip_prepare_dataset leaves rows"),
        ({"stop_probe_max_tokens": 0}, "stop_probe_max_tokens: 0 must be at least 1"),
    ],
)
def test_settings_that_spoil_rows_are_told_at_once(launch, capsys, values, problem):
    assert launch("sft", **values)[0] == 2
    assert problem in capsys.readouterr().err


def test_sft_records_what_is_trained_on_and_whether_the_model_stops(launch):
    code, folder = launch("sft", chat_template="r1", packing=True, max_length=64, per_device_train_batch_size=1)
    assert code == 0
    record = read_stage_record(folder)
    assert record.metrics["trained_rows"].value == len(CHATS)
    assert 0.4 < record.metrics["share_in_loss"].value < 0.8
    assert record.metrics["stops"].n == len(CHATS)
    assert any("Does the model stop? Only 0 of 8" in note for note in record.notes)  # two steps teach nothing


def test_the_probe_changes_no_weight_and_can_be_left_out(launch, tmp_path):
    asked = launch("sft", chat_template="r1")[1].rename(tmp_path / "asked")
    code, folder = launch("sft", chat_template="r1", stop_probe_prompts=0)
    assert code == 0
    assert "stops" not in read_stage_record(folder).metrics
    assert (folder / "model.safetensors").read_bytes() == (asked / "model.safetensors").read_bytes()


def test_answers_too_long_to_ask_for_are_noted(launch):
    code, folder = launch("sft", chat_template="r1", stop_probe_max_tokens=3)
    assert code == 0
    assert any("no answer has at most 3 tokens" in note for note in read_stage_record(folder).notes)
