"""The length changes everywhere at once, where a rollout begins, and a resumed run goes on with the right one."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch
import yaml
from tiny_run import make_grpo, questions, stable_logs, token_reward
from transformers import TrainerCallback
from trl.rewards import get_cosine_scaled_reward, get_soft_overlong_punishment

from trl_r1.configs import R1GRPOConfig
from trl_r1.errors import RecipeError
from trl_r1.recipe import inspect_recipe, load_recipe, validate_recipe
from trl_r1.rewards import build_rewards
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.length_schedule import LengthSchedule, positions


FIELD = "max_completion_length_schedule"


class Lengths(TrainerCallback):
    """Notes, a micro-batch, every place that holds the length."""

    def __init__(self, trainer):
        self.trainer, self.seen = trainer, []

    def on_step_end(self, args, state, control, **kwargs):
        trainer = self.trainer
        places = {
            trainer.max_completion_length,
            args.max_completion_length,
            trainer.generation_config.max_new_tokens,
            trainer.generation_kwargs["max_new_tokens"],
        }
        self.seen.append(places.pop() if len(places) == 1 else places)


def make(tmp_path, schedule, **options):
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), **{FIELD: schedule, **options})
    trainer.add_callback(Lengths(trainer))
    return trainer


def lengths_of(trainer):
    return next(call.seen for call in trainer.callback_handler.callbacks if isinstance(call, Lengths))


def longest(trainer):
    return [row["completions/max_length"] for row in trainer.state.log_history if "completions/max_length" in row]


def test_the_length_changes_in_every_place_up_and_down(tmp_path):
    trainer = make(tmp_path, {2: 16, 4: 3}, max_steps=6)
    trainer.train()
    assert lengths_of(trainer) == [8, 8, 16, 16, 3, 3]
    assert longest(trainer) == [8, 8, 16, 16, 3, 3]
    assert trainer.args.max_completion_length == 8  # the configuration as it was given


def test_a_rollout_in_use_keeps_its_length(tmp_path):
    # A rollout serves two steps, and each divides by the length it was generated with.
    trainer = make(tmp_path, {1: 16}, max_steps=4, num_iterations=2, loss_type="dr_grpo")
    trainer.train()
    assert lengths_of(trainer) == [8, 8, 16, 16]


@pytest.mark.parametrize("stop", [1, 3, 4, 5])
def test_a_run_resumed_on_either_side_ends_the_same(stop, tmp_path):
    options = {"max_steps": 6, "steps_per_generation": 2, "save_strategy": "steps", "save_steps": 1}
    whole = make(tmp_path, '{"3": 16}', **options)
    whole.train()
    resumed = make(tmp_path, {3: 16}, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / f"checkpoint-{stop}"))
    assert lengths_of(resumed) == lengths_of(whole)[stop:]
    assert stable_logs(resumed.state.log_history) == stable_logs(whole.state.log_history)
    expected = whole.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.model.state_dict().items())


def test_a_trainer_used_again_starts_with_the_first_length(tmp_path):
    trainer = make(tmp_path, {1: 16}, max_steps=2)
    trainer.train()
    trainer.train()
    assert lengths_of(trainer) == [8, 16, 8, 16]


def test_a_length_without_positions_is_refused_before_training(tmp_path):
    with pytest.raises(RecipeError, match=r"256 tokens from step 3 on do not fit the model's 256 positions"):
        make(tmp_path, {3: 256}, max_steps=6)
    make(tmp_path, {3: 255}, max_steps=6)
    make(tmp_path, {6: 65_536}, max_steps=6)  # never reached


def test_stretched_positions_count():
    stretched = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}
    assert positions(SimpleNamespace(max_position_embeddings=32_768, rope_parameters=stretched)) == 131_072
    assert positions(SimpleNamespace(max_position_embeddings=131_072, rope_parameters=stretched)) == 131_072
    assert positions(SimpleNamespace(max_position_embeddings=4_096, rope_parameters={"rope_type": "default"})) == 4_096
    assert positions(SimpleNamespace()) is None


def test_a_reward_with_the_same_limit_follows(tmp_path, caplog):
    overlong, other = get_soft_overlong_punishment(8, 2), get_cosine_scaled_reward(max_len=20)
    checked = build_rewards([{"get_soft_overlong_punishment": {"max_completion_len": 8, "soft_punish_cache": 2}}])
    run = {"reward_funcs": [token_reward, overlong, *checked], "train_dataset": questions()}
    with caplog.at_level(logging.WARNING):
        trainer = make(tmp_path, {1: 16}, max_steps=2, run=run)
    assert not caplog.records
    trainer.train()
    assert overlong.max_completion_len == checked[0].function.max_completion_len == 16
    with caplog.at_level(logging.WARNING):
        trainer = make(tmp_path, {1: 16}, max_steps=2, run={"reward_funcs": [token_reward, other]})
    assert "its max_len stays 20 while max_completion_length changes to 16" in caplog.text
    LengthSchedule(trainer).on_step_begin(trainer.args, SimpleNamespace(global_step=1), None)
    assert trainer.max_completion_length == 16
    assert other.max_len == 20


def test_vllm_is_told(tmp_path):
    trainer = make(tmp_path, {1: 16}, max_steps=2)
    trainer.use_vllm, trainer.vllm_generation = True, SimpleNamespace(max_completion_length=8)
    trainer._stateful["length_schedule"].load_state_dict({"max_completion_length": 16})
    assert trainer.vllm_generation.max_completion_length == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({FIELD: {"ten": 16}}, "map steps to lengths"),
        ({FIELD: {0: 16}}, "must be above 0"),
        ({FIELD: {1: 16, "1": 32}}, "a step stands twice"),
        ({FIELD: {1: 16.5}}, "16.5 is no whole number"),
        ({FIELD: {1: float("inf")}}, "inf is no whole number"),
        ({FIELD: {1: True}}, "True is no whole number"),
        ({FIELD: "16"}, "no mapping"),
        ({FIELD: {1: 16}, "generation_kwargs": {"max_new_tokens": 4}}, "max_new_tokens would win over"),
        ({FIELD: {1: 16}, "use_vllm": True, "vllm_max_model_length": 16}, "16 has no room for a prompt and 16 tokens"),
    ],
)
def test_a_schedule_that_cannot_hold_is_refused(options, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        R1GRPOConfig(str(tmp_path), use_cpu=True, bf16=False, **options)


HEADER = "# trl-r1 grpo --config recipe.yaml\n"


def recipe(tmp_path, schedule):
    content = {
        "model_name_or_path": "somewhere",
        "dataset_name": "questions",
        "output_dir": str(tmp_path / "out"),
        "reward_funcs": ["format_reward"],
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "bf16": False,
        FIELD: schedule,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(HEADER + yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_recipe_may_have_numbers_as_keys_and_writes_them_back(tmp_path):
    found = inspect_recipe(recipe(tmp_path, {8200: 65536}))
    assert found.resolved[FIELD] == {8200: 65536}
    assert inspect_recipe(recipe(tmp_path, {"8200": 65536})).resolved[FIELD] == {8200: 65536}
    assert inspect_recipe(recipe(tmp_path, '{"8200": 65536}')).resolved[FIELD] == {8200: 65536}  # so validate compares
    again = inspect_recipe(found.write_resolved(tmp_path / "resolved"))
    assert again.resolved[FIELD] == {8200: 65536}
    assert json.loads(json.dumps(again.resolved))[FIELD] == {"8200": 65536}  # as stage.json has it


def test_a_recipe_with_a_typo_in_its_schedule_is_refused(tmp_path):
    problems = validate_recipe(recipe(tmp_path, {"8.2k": 65536}))
    assert any(problem.startswith(f"{FIELD}: ") and "map steps to lengths" in problem for problem in problems)
    problems = validate_recipe(recipe(tmp_path, [8200, 65536]))
    assert any(problem.startswith(f"{FIELD}: ") for problem in problems)


def test_a_command_line_gives_the_schedule_as_json(tmp_path):
    path = recipe(tmp_path, {8200: 65536})
    with pytest.raises(RecipeError) as refused:
        load_recipe("grpo", ["--config", str(path), f"--{FIELD}", '{"5": "x"}'])
    assert "map steps to lengths" in str(refused.value)


def test_a_length_of_ones_own_drops_that_of_the_preset(tmp_path):
    where = {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False}
    paper = R1GRPOConfig.from_preset("r1_zero_paper", **where)
    assert paper.max_completion_length_schedule == {8_200: 65_536}
    assert (
        R1GRPOConfig.from_preset("r1_zero_paper", max_completion_length=60, **where).max_completion_length_schedule
        is None
    )
