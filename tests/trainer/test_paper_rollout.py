"""R1's rollout: 8,192 outputs in 16 mini-batches, one inner epoch; and a preference reward for the last steps."""

import pytest
import torch
from datasets import Dataset
from tiny_run import make_grpo, stable_logs, token_reward
from transformers import TrainerCallback

from trl_r1.configs import R1GRPOConfig
from trl_r1.presets import apply_preset, derive_batch
from trl_r1.rewards.preference import PreferenceReward
from trl_r1.trainer import R1GRPOTrainer


@pytest.mark.parametrize("processes", [1, 8, 64])
@pytest.mark.parametrize("preset", ["r1_zero_paper", "r1_paper"])
def test_a_rollout_of_the_paper_has_8192_outputs_for_16_updates(preset, processes):
    values = derive_batch(apply_preset(preset, {}), processes)
    batch, accumulation = values["per_device_train_batch_size"], values["gradient_accumulation_steps"]
    steps = values["steps_per_generation"]
    assert processes * batch * steps == 8_192
    assert steps // accumulation == 16
    assert steps % accumulation == 0
    assert processes * batch * accumulation == 32 * values["num_generations"] == 512
    assert values["num_iterations"] == 1


class Uses(TrainerCallback):
    """Notes the micro-batches a step is made on."""

    def __init__(self):
        self.trainer, self.rollouts, self.completions = None, [], []

    def on_substep_end(self, args, state, control, **kwargs):
        raise AssertionError("one micro-batch a step here")

    def on_step_end(self, args, state, control, **kwargs):
        batches = self.trainer._buffered_inputs
        self.rollouts.append(id(batches))
        self.completions.append(batches[state.global_step % len(batches) - 1])


def test_sixteen_updates_see_each_output_once_at_the_probability_it_was_sampled_with(tmp_path):
    # The paper's rollout with an eighth of the questions a step and a quarter of the outputs a question
    scale = {"prompts_per_step": 2, "num_generations": 4, "max_completion_length": 8, "max_steps": 17}
    config = R1GRPOConfig.from_preset
    values = derive_batch(apply_preset("r1_paper", scale), 1)
    assert (values["steps_per_generation"], values["gradient_accumulation_steps"]) == (16, 1)
    uses = Uses()
    prompts = [f"user : what is {index % 8} plus {index // 8} ? assistant :" for index in range(40)]
    trainer = make_grpo(
        R1GRPOTrainer,
        lambda **options: config("r1_paper", **{**scale, **options}),
        str(tmp_path / "out"),
        per_device_train_batch_size=8,
        max_completion_length=8,
        run={"train_dataset": Dataset.from_dict({"prompt": prompts}), "callbacks": [uses]},
    )
    uses.trainer = trainer
    trainer.train()
    assert len(set(uses.rollouts[:16])) == 1
    assert uses.rollouts[16] != uses.rollouts[0]
    batches = uses.completions[:16]
    assert all("old_per_token_logps" in batch and batch["old_per_token_logps"] is not None for batch in batches)
    asked = [tuple(row) for batch in batches for row in batch["prompt_ids"].tolist()]
    assert len(asked) == 128
    assert {asked.count(prompt) for prompt in asked} == {4}  # each output of each question once
    together = [asked[start] == asked[start + 1] for start in range(0, 128, 4)]
    assert not all(together)  # groups are broken apart by the shuffle
    kls = [row["kl"] for row in trainer.state.log_history if "kl" in row]
    assert kls[0] == pytest.approx(0.0, abs=1e-9)
    assert all(kl > 0 for kl in kls[1:16])  # the policy moves while its rollout is in use


class LengthPreference(PreferenceReward):
    """Scores without a model."""

    def score(self, pairs):
        return [float(len(reply)) for _, reply in pairs]


def train(folder, checkpoint=None):
    options = {"max_steps": 8, "steps_per_generation": 2, "save_strategy": "steps", "save_steps": 1}
    reward = LengthPreference("none", reads="response", last_steps=3)
    trainer = make_grpo(
        R1GRPOTrainer, R1GRPOConfig, str(folder), **options, run={"reward_funcs": [token_reward, reward]}
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    return trainer


@pytest.mark.parametrize("stop", [4, 5, 6, 7])
def test_a_preference_reward_of_the_last_steps_starts_at_the_same_step_after_a_resume(stop, tmp_path):
    whole = train(tmp_path / "out")
    rows = [row for row in whole.state.log_history if "loss" in row]
    # The last 3 of 8 steps begin after step 5, inside the rollout of steps 5 and 6; the next rollout is scored.
    scored = [row["step"] for row in rows if row.get("rewards/helpful_preference_reward/mean") is not None]
    assert scored == [7]
    resumed = train(tmp_path / "out", str(tmp_path / "out" / f"checkpoint-{stop}"))
    assert stable_logs(resumed.state.log_history) == stable_logs(whole.state.log_history)
    expected = whole.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.model.state_dict().items())
