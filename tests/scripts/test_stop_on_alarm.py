"""`trl-r1 grpo` with `stop_on_alarm`: a run that learns nothing ends with an error and no record, and can go on."""

import json
from pathlib import Path

import yaml

from trl_r1.cli import main
from trl_r1.run_records import LOSS_NOTE
from trl_r1.stage_record import has_stage_record, read_stage_record


def write_recipe(folder, checkpoint, **values):
    questions = [{"problem": f"what is {n} plus 1 ?", "solution": str(n + 1)} for n in range(8)]
    (folder / "questions").mkdir()
    (folder / "questions" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    recipe = {
        "model_name_or_path": checkpoint,
        "dataset_name": str(folder / "questions"),
        "output_dir": str(folder / "out"),
        "prompt_template": str(Path("recipes/tiny/prompt.txt").resolve()),
        "reward_funcs": ["accuracy_reward"],  # which a random policy never gets
        "num_generations": 2,
        "prompts_per_step": 2,
        "max_completion_length": 4,
        "max_steps": 10,
        "logging_steps": 1,
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "activation_checkpointing": False,
        "report_to": "none",
        "seed": 0,
        **values,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return ["grpo", "--config", str(path)]


def test_a_run_that_learns_nothing_stops_and_the_same_command_goes_on(tmp_path, checkpoint, capsys):
    command = write_recipe(tmp_path, checkpoint, stop_on_alarm=True)
    out = tmp_path / "out"
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "error: stop_on_alarm: training stopped at step 8 of 10 by no_signal" in said
    assert "all wrong: use easier prompts" in said
    assert str(out / "alarms.jsonl") in said
    assert not has_stage_record(str(out))
    assert not (out / "model.safetensors").exists()
    alarms = [json.loads(line) for line in (out / "alarms.jsonl").read_text().splitlines()]
    evidence = next(alarm["evidence"] for alarm in alarms if alarm["alarm"] == "no_signal")
    assert evidence[0]["rewards"] == {"accuracy_reward": 0.0}
    assert evidence[0]["prompt"]
    assert main(command) == 0
    record = read_stage_record(out)
    assert [row["step"] for row in record.history] == list(range(1, 11))
    told = [f"alarm {each['alarm']} at step 8" for each in alarms]
    assert [note.split(":")[0] for note in record.notes] == [*told, LOSS_NOTE.strip(": ")]
    assert len((out / "alarms.jsonl").read_text().splitlines()) == len(alarms)


def test_without_it_the_alarm_is_told_and_recorded(tmp_path, checkpoint, capsys):
    assert main(write_recipe(tmp_path, checkpoint, canary="exact")) == 0
    assert any(note.startswith("alarm no_signal at step 8") for note in read_stage_record(tmp_path / "out").notes)


def test_an_unknown_canary_is_refused_before_anything_is_loaded(tmp_path, checkpoint, capsys):
    assert main(write_recipe(tmp_path, checkpoint, canary="mathematics")) == 2
    assert "canary: 'mathematics' is unknown" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
