"""The episode of a stage: which group is kept, its figures against TRL's own, and that training takes no notice."""

import dataclasses
import json
import math

import pytest
import torch
from test_signals import make_rollout
from tiny_run import make_grpo, stable_logs

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import EpisodeCallback


NAN = math.nan


def trainer_with(folder, *callbacks, **options):
    options = {"max_steps": 3, **options}
    return make_grpo(R1GRPOTrainer, R1GRPOConfig, str(folder), **options, run={"callbacks": list(callbacks)})


def read(folder):
    return json.loads((folder / "episode.json").read_text(encoding="utf-8"))


def episode_of(rewards, **options):
    callback = EpisodeCallback()
    callback._arguments = R1GRPOConfig("unused", bf16=False, use_cpu=True)
    callback.on_rollout(make_rollout(rewards, **options), lambda name, value: None)
    return callback.episode


def test_the_first_group_that_tells_something_is_kept():
    episode = episode_of([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    assert episode["prompt"] == "prompt 1"
    assert episode["reference"] == "7"
    assert episode["totals"] == [0.5, 1.5]
    best, worst = episode["completions"]["best"], episode["completions"]["worst"]
    assert (best["text"], worst["text"]) == ("text 3", "text 2")
    assert best["rewards"][1] == {"name": "accuracy_reward", "value": 1.0, "weight": 0.5}
    assert best["advantage"] == -worst["advantage"] > 0


def test_without_one_the_first_group_is_kept_with_one_completion():
    episode = episode_of([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert episode["prompt"] == "prompt 0"
    assert list(episode["completions"]) == ["best"]


def test_what_was_not_judged_is_no_number():
    episode = episode_of([[NAN, NAN], [0.5, NAN], [NAN, NAN], [NAN, NAN]])
    assert episode["totals"] == [None, 0.5]
    assert list(episode["completions"]) == ["best"]
    assert episode["completions"]["best"]["rewards"][1]["value"] is None
    json.dumps(episode, allow_nan=False)
    unjudged = episode_of([[NAN, NAN], [NAN, NAN]])
    assert unjudged["completions"]["best"]["total"] is None


def test_of_the_rollouts_of_one_step_the_first_that_tells_something_counts():
    callback = EpisodeCallback()
    callback._arguments = R1GRPOConfig("unused", bf16=False, use_cpu=True)
    for step, rewards, kept in (
        (0, [3.0, 3.0], 3.0),
        (0, [4.0, 4.0], 3.0),
        (0, [0.0, 1.0], 1.0),
        (0, [0.0, 2.0], 1.0),
        (0, [4.0, 4.0], 1.0),
        (1, [5.0, 5.0], 5.0),
    ):
        rollout = make_rollout([[reward] for reward in rewards], weights=(1.0,))
        callback.on_rollout(dataclasses.replace(rollout, step=step), lambda name, value: None)
        assert max(callback.episode["totals"]) == kept


def test_other_processes_keep_nothing():
    callback = EpisodeCallback()
    rollout = make_rollout([[1.0], [0.0], [1.0], [0.0]], weights=(1.0,))
    callback.on_rollout(dataclasses.replace(rollout, offset=2), lambda name, value: None)
    assert callback.episode is None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale_rewards": "batch"},
        {"scale_rewards": "none"},
        {"multi_objective_aggregation": "normalize_then_sum", "reward_weights": [1.0, 0.3]},
        {"drop_tied_groups": True},
    ],
)
def test_figures_are_those_of_the_trainer(tmp_path, options):
    trainer = trainer_with(tmp_path / "run", EpisodeCallback(), per_device_train_batch_size=8, **options)
    trainer.train()
    episode = read(tmp_path / "run")
    assert episode["step"] == 2
    logs = trainer._logs
    for each in episode["completions"].values():
        rows = [row for row, text in enumerate(logs["completion"]) if text == each["text"]]
        rows = [row for row in rows if logs["prompt"][row] == episode["prompt"]]
        assert each["advantage"] in [pytest.approx(logs["advantages"][row], abs=1e-6) for row in rows]
        for reward in each["rewards"]:
            assert reward["value"] in [pytest.approx(logs["rewards"][reward["name"]][row]) for row in rows]
        assert each["total"] == pytest.approx(sum(part["value"] * part["weight"] for part in each["rewards"]))


def test_training_takes_no_notice(tmp_path):
    plain = trainer_with(tmp_path / "a")
    plain.train()
    watched = trainer_with(tmp_path / "b", EpisodeCallback())
    watched.train()
    assert stable_logs(plain.state.log_history) == stable_logs(watched.state.log_history)
    weights = watched.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in plain.model.state_dict().items())


def test_a_resumed_run_without_a_rollout_keeps_it(tmp_path):
    serves_four = {"steps_per_generation": 2, "num_iterations": 2, "max_steps": 4}
    saving = {**serves_four, "save_strategy": "steps", "save_steps": 3}
    trainer_with(tmp_path / "run", EpisodeCallback(), **saving).train()
    before = read(tmp_path / "run")
    assert before["step"] == 0
    (tmp_path / "run" / "episode.json").unlink()
    resumed = trainer_with(tmp_path / "run", EpisodeCallback(), **saving)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    assert read(tmp_path / "run") == before


def test_a_chat_is_shown_as_the_policy_read_it():
    class Tokenizer:
        chat_template = "of its own"

        def apply_chat_template(self, messages, **options):
            return "".join(f"<{each['role']}>{each['content']}" for each in messages) + "<assistant>" + options["mark"]

    callback = EpisodeCallback()
    callback.on_train_begin(
        R1GRPOConfig("unused", bf16=False, use_cpu=True, chat_template_kwargs={"mark": "<think>\n"}),
        None,
        None,
        Tokenizer(),
    )
    rollout = make_rollout([[1.0], [0.0]], weights=(1.0,))
    rollout.prompts[:] = [[{"role": "user", "content": "2 + 5 \ud800"}]] * 2
    callback.on_rollout(rollout, lambda name, value: None)
    assert callback.episode["prompt"] == "<user>2 + 5 ?<assistant><think>\n"
