"""`trl-r1 grpo` on a mixture of types: routed rewards, rows dropped at load, errors within a budget."""

import json

import yaml

from trl_r1.cli import main
from trl_r1.stage_record import read_stage_record


ROWS = [
    *({"problem": f"what is {a} plus 1 ?", "solution": str(a + 1), "reward_type": "reasoning"} for a in range(6)),
    *({"problem": f"what is {a} ?", "solution": "b", "reward_type": "choice"} for a in "abcde"),
    {"problem": "what is h ?", "solution": "Z", "reward_type": "choice"},  # no option has this letter
]
BROKEN = """
def broken_reward(completions, reward_type, **kwargs):
    if "choice" in reward_type and len(reward_type) > 2:  # not yet in the probe
        raise OSError("the grader is down")
    return [float(len(text)) for text in completions]
"""


def launch(tmp_path, checkpoint, **values):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in values.pop("rows", ROWS)))
    (tmp_path / "my_rewards.py").write_text(BROKEN)
    recipe = {
        "model_name_or_path": checkpoint,
        "dataset_name": str(data),
        "output_dir": str(tmp_path / "out"),
        "reward_funcs": [
            {"get_routed_reward": {"routes": {"reasoning": "accuracy_reward", "choice": "get_choice_reward"}}},
        ],
        "num_generations": 4,
        "prompts_per_step": 2,
        "max_completion_length": 8,
        "max_steps": 4,
        "use_cpu": True,
        "bf16": False,
        "activation_checkpointing": False,
        "report_to": "none",
        "logging_steps": 1,
        "save_strategy": "no",
        "skip_unscorable": True,
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **values}))
    return main(["grpo", "--config", str(tmp_path / "recipe.yaml")])


def test_a_mixture_is_judged_by_type_and_unusable_rows_are_counted(tmp_path, checkpoint):
    assert launch(tmp_path, checkpoint) == 0
    record = read_stage_record(tmp_path / "out")
    [source] = record.data
    assert (source.rows_in, source.rows_kept) == (12, 11)
    assert source.dropped == {"unusable_for_routed_reward": 1}
    assert record.rewards[0].name == "routed_reward"
    assert record.rewards[0].parameters["routes"]["choice"] == "get_choice_reward"


def test_a_type_without_a_route_is_an_error_before_training(tmp_path, checkpoint, capsys):
    assert launch(tmp_path, checkpoint, rows=[{**ROWS[0], "reward_type": "chess"}] * 4) == 2
    assert "reward_type: 'chess' has no route" in capsys.readouterr().err


def test_errors_within_the_budget_are_logged_and_shown(tmp_path, checkpoint):
    rows = [row for row in ROWS if row["solution"] != "Z"]
    specs = [f"{tmp_path / 'my_rewards.py'}:broken_reward", "format_reward"]
    assert launch(tmp_path, checkpoint, rows=rows, reward_funcs=specs, reward_error_budget=0.9) == 0
    history = read_stage_record(tmp_path / "out").history
    assert any(row["reward_errors/broken_reward"] > 0 for row in history)
    shown = [json.loads(line) for line in (tmp_path / "out" / "reward_errors_0.jsonl").read_text().splitlines()]
    assert {line["reward"] for line in shown} == {"broken_reward"}
    assert "OSError: the grader is down (my_rewards.py, line 4)" in shown[0]["reason"]
