"""`fast: true` against stock GRPOTrainer: the same tokens, gradient and loss from the same state.

One case for each setting whose exactness is claimed, and one for each that is refused.
"""

import copy
import dataclasses

import grpo_reference as reference
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from tiny_run import length_reward, make_grpo, make_model, make_tokenizer, policy_on_disk, stable_logs
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MixtralConfig,
    MixtralForCausalLM,
    TrainerCallback,
)
from trl import GRPOConfig, GRPOTrainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.fast import step as fast_step
from trl_r1.trainer.fast.micro_batches import Regrouping
from trl_r1.trainer.fast.padded_forward import PaddedForward


PARTS = ("fast_micro_batches", "fast_skip_zero_advantage", "fast_packed_forward", "fast_generation")
ROW_PARTS = PARTS[:2]
TOLERANCE = 2e-6  # relative l2 difference of float32 gradients
LATER = 2e-5  # after a step: the weights differ by rounding already
# Four groups of four: two with signal, one where nobody and one where everybody is right
RIGHT = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]
STEP = {
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 4,
    "num_generations": 4,
    "max_completion_length": 12,
    "max_grad_norm": 0.0,  # gradients are compared as they come
    "max_steps": 1,
    "shuffle_dataset": False,
    "loss_type": "dapo",
}
# The second step is off its rollout's policy, far enough that the clip decides
OFF_POLICY = {
    "per_device_train_batch_size": 2,
    "steps_per_generation": 8,
    "max_steps": 2,
    "optim": "sgd",
    "learning_rate": 0.5,
    "lr_scheduler_type": "constant",
    "epsilon": 0.02,
}


class Watch(TrainerCallback):
    """Keeps the gradient of each optimiser step."""

    def __init__(self):
        self.gradients = []

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        assert all(parameter.grad is not None for parameter in parameters)
        self.gradients.append(torch.cat([parameter.grad.flatten().clone() for parameter in parameters]))


class Right:
    """The given rewards, one list a rollout, again and again; remembers what it saw."""

    __name__ = "right"

    def __init__(self, *values):
        self.values, self.seen, self.prompts = values, [], []

    def __call__(self, prompts, completion_ids, **kwargs):
        values = self.values[len(self.seen) % len(self.values)]
        self.seen.append(completion_ids)
        self.prompts.append(prompts)
        return [values[row % len(values)] for row in range(len(completion_ids))]


def rollout(prompts, trainer):
    """Completions of 1 to 12 tokens whose log-probabilities lie off the policy; tool tokens inside some of them."""
    prompt_ids = trainer.processing_class(prompts)["input_ids"]
    completions = [
        [4 + (7 * row + 3 * place) % 30 for place in range(1 + (5 * row) % 12)] for row in range(len(prompts))
    ]
    return {
        "prompt_ids": prompt_ids,
        "completion_ids": completions,
        "logprobs": [[-2.0 - 0.1 * (place % 3) for place in range(len(ids))] for ids in completions],
        "env_mask": [[int(place % 5 != 2) for place in range(len(ids))] for ids in completions],
    }


def train(trainer_class, config_class, folder, run=None, values=(RIGHT,), **options):
    """Returns the trainer after its steps, the gradients and the reward with what it saw."""
    watch, reward = Watch(), Right(*values)
    run = {"more_rewards": [], **(run or {}), "callbacks": [watch]}
    run["reward_funcs"] = [reward, *run.pop("more_rewards")]
    if "model" in run:
        run["model"] = copy.deepcopy(run["model"])
    trainer = make_grpo(trainer_class, config_class, str(folder / "out"), run=run, **{**STEP, **options})
    trainer.train()
    return trainer, watch.gradients, reward


def stock(folder, **options):
    return train(GRPOTrainer, GRPOConfig, folder, **options)


def fast(folder, **options):
    return train(R1GRPOTrainer, R1GRPOConfig, folder, fast=True, **options)


def rows(trainer):
    return stable_logs(trainer.state.log_history)


def assert_equal(theirs, ours, tolerances=(TOLERANCE,)):
    """Tokens, gradients and losses of the first optimiser steps, each within its tolerance."""
    (stock_trainer, expected, stock_reward), (fast_trainer, found, fast_reward) = theirs, ours
    assert stock_reward.seen == fast_reward.seen
    assert len(found) == len(expected) == stock_trainer.state.global_step
    for place, tolerance in enumerate(tolerances):
        assert expected[place].norm() > 1e-4
        assert (found[place] - expected[place]).norm() <= tolerance * expected[place].norm()
        losses = [rows(trainer)[place]["loss"] for trainer in (fast_trainer, stock_trainer)]
        assert losses[0] == pytest.approx(losses[1], rel=tolerance, abs=tolerance)


LOSSES = [
    *(
        (name, level)
        for name in ("grpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo")
        for level in ("token", "sequence")
    ),
    ("vespo", "token"),
]


@pytest.mark.parametrize(("loss_type", "level"), LOSSES)
def test_every_loss_on_and_off_policy(loss_type, level, tmp_path):
    options = {**OFF_POLICY, "loss_type": loss_type, "importance_sampling_level": level}
    if loss_type == "cispo":
        options["epsilon_high"] = 1.02
    theirs, ours = stock(tmp_path, **options), fast(tmp_path, **options)
    assert ours[0]._fast.refusals == {}
    assert_equal(theirs, ours, (TOLERANCE, LATER))


SETTINGS = {
    "temperature": {"temperature": 0.7},
    "truncated rows masked": {"mask_truncated_completions": True},
    "truncated rows masked, mean over rows": {"mask_truncated_completions": True, "loss_type": "grpo"},
    "no scale": {"scale_rewards": "none"},
    "scale of the batch": {"scale_rewards": "batch"},
    "normalised before summed": {
        "multi_objective_aggregation": "normalize_then_sum",
        "run": {"more_rewards": [length_reward]},
    },
    "two-sided clip": {**OFF_POLICY, "delta": 1.01},
    "two uses of a rollout": {"num_iterations": 2, "max_steps": 2, "optim": "sgd", "learning_rate": 0.5},
    "two rollouts a step": {"steps_per_generation": 2},
    "one micro-batch a step": {"gradient_accumulation_steps": 1, "per_device_train_batch_size": 16},
    "rounded advantages of tied groups": {"values": ([0.1] * 4 + RIGHT[:4] + [0.4333] * 4 + RIGHT[4:8],)},
    "one row a micro-batch": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 16},
    "checkpointing": {"gradient_checkpointing": True},
    "adapters": {
        "run": {"peft_config": LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)},
    },
    "rollout function, tool tokens": {"run": {"rollout_func": rollout}},
    "off-policy mask": {
        "run": {"rollout_func": rollout},
        "off_policy_mask_threshold": 1.6,
        "loss_type": "grpo",
    },
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting(name, tmp_path):
    options = SETTINGS[name]
    theirs, ours = stock(tmp_path, **options), fast(tmp_path, **options)
    elsewhere = "rollout_func" in options.get("run", {})
    assert set(ours[0]._fast.refusals) == ({"fast_generation"} if elsewhere else set())
    assert_equal(theirs, ours, (TOLERANCE, LATER)[: options.get("max_steps", 1)])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("loss_type", ["dapo", "grpo"])
def test_every_part_alone(part, loss_type, tmp_path):
    options = {**OFF_POLICY, "loss_type": loss_type}
    ours = fast(tmp_path, **options, **{other: other == part for other in PARTS})
    assert ours[0]._fast.refusals == {}
    assert_equal(stock(tmp_path, **options), ours, (TOLERANCE, LATER))


def test_padded_micro_batches_of_any_number_of_tokens(tmp_path):
    options = {**OFF_POLICY, "loss_type": "grpo"}
    theirs = stock(tmp_path, **options)
    for tokens in (1, 100_000):
        ours = fast(tmp_path, **options, fast_packed_forward=False, micro_batch_tokens=tokens)
        assert type(ours[0]._fast._forward) is PaddedForward
        assert_equal(theirs, ours, (TOLERANCE, LATER))


def test_where_weights_are_sharded_no_micro_batch_is_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(fast_step, "Regrouping", lambda **how: Regrouping(**{**how, "may_be_empty": False}))
    passes = []
    compute = GRPOTrainer._compute_loss
    monkeypatch.setattr(GRPOTrainer, "_compute_loss", lambda self, *a: passes.append(self) or compute(self, *a))
    options = {"values": ([0.0] * 12 + [0.0, 1.0, 1.0, 0.0],), "loss_type": "grpo", "gradient_accumulation_steps": 8}
    options |= {"per_device_train_batch_size": 2}
    theirs, ours = stock(tmp_path, **options), fast(tmp_path, **options)
    assert_equal(theirs, ours)
    assert [passes.count(run[0]) for run in (theirs, ours)] == [8, 8]


def test_in_bfloat16_the_error_is_that_of_stock(tmp_path):
    options = {"run": {"rollout_func": rollout}, "loss_type": "grpo"}
    exact = stock(tmp_path, **options)[1][0]
    errors = [(run(tmp_path, **options, bf16=True)[1][0] - exact).norm() for run in (stock, fast)]
    assert errors[0] > 0
    assert errors[1] <= 1.2 * errors[0]


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_with_a_reference_all_rows_take_part(level, tmp_path):
    options = {**OFF_POLICY, "beta": 0.1, "loss_type": "grpo", "importance_sampling_level": level}
    ours = fast(tmp_path, **options)
    assert set(ours[0]._fast.refusals) == {"fast_skip_zero_advantage"}
    assert "beta 0.1" in ours[0]._fast.refusals["fast_skip_zero_advantage"]
    assert_equal(stock(tmp_path, **options), ours, (TOLERANCE, LATER))


def mixture_of_experts():
    torch.manual_seed(5)
    tokenizer = make_tokenizer()
    config = MixtralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
        sliding_window=None,
        output_router_logits=True,
        router_aux_loss_coef=0.1,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return MixtralForCausalLM(config)


def with_dropout():
    model = make_model(make_tokenizer())
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.1
    return model


REFUSED = {
    "dropout": ({"run": {"model": with_dropout()}}, "dropout is active"),
    "bnpo": ({"loss_type": "bnpo"}, "'bnpo'"),
    "high-entropy tokens": ({"top_entropy_quantile": 0.5}, "top_entropy_quantile"),
    "entropy bonus": ({"entropy_coef": 0.1}, "entropy bonus"),
    "load-balancing loss": ({"run": {"model": mixture_of_experts()}}, "mixture of experts"),
    "windows that straddle rollouts": (
        {"steps_per_generation": 4, "gradient_accumulation_steps": 3, "max_steps": 2, "optim": "sgd"},
        "do not divide",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_be_exact_is_refused_and_stays_equal(name, tmp_path):
    options, reason = REFUSED[name]
    theirs, ours = stock(tmp_path, **options), fast(tmp_path, **options)
    for part in ROW_PARTS:
        assert reason in ours[0]._fast.refusals[part]
    assert_equal(theirs, ours)


@pytest.mark.parametrize("parts", [{}, {"fast_micro_batches": False}], ids=["all parts", "skip alone"])
def test_padding_stays_where_positions_count_it(parts, tmp_path, caplog):
    tokenizer = make_tokenizer()
    ids = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    torch.manual_seed(5)
    sizes = {"n_embd": 32, "n_layer": 1, "n_head": 2, "initializer_range": 0.1}
    model = GPT2LMHeadModel(GPT2Config(**sizes, **ids, attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0))
    prompts = Dataset.from_dict({"prompt": ["what is 1 plus 2 ? so what is 3 ?", "2 ?", "what is 3", "so 4 plus 5"]})
    options = {"run": {"model": model, "train_dataset": prompts}, "loss_type": "grpo"}
    ours = fast(tmp_path, **options, **parts)
    assert set(ours[0]._fast.refusals) == {"fast_packed_forward"}
    assert ours[0]._fast._forward is None
    assert ("keep all of their padding: on a few random tokens" in caplog.text) == (not parts)
    assert_equal(stock(tmp_path, **options), ours)


def test_a_window_of_truncated_rows_alone_logs_what_stock_does(tmp_path):
    options = {
        "max_completion_length": 1,
        "mask_truncated_completions": True,
        "generation_kwargs": {"suppress_tokens": [0, 2]},
    }
    (theirs, _, _), (ours, _, _) = stock(tmp_path, **options), fast(tmp_path, **options)
    expected, found = rows(theirs)[0], rows(ours)[0]
    assert expected["completions/clipped_ratio"] == 1.0
    assert found == {key: value for key, value in expected.items() if key != "entropy"}


def test_a_step_without_signal_moves_the_optimiser_as_stock_does(tmp_path):
    options = {"values": (RIGHT, [1.0] * 16, [0.0] * 16), "max_steps": 3}
    theirs, ours = stock(tmp_path, **options), fast(tmp_path, **options)
    assert all(gradient.count_nonzero() == 0 for gradient in [*theirs[1][1:], *ours[1][1:]])
    states = [trainer.optimizer.optimizer.state_dict()["state"] for trainer in (theirs[0], ours[0])]
    assert states[0].keys() == states[1].keys()
    for key, expected in states[0].items():
        assert states[1][key]["step"] == expected["step"] == 3
        for moment in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(states[1][key][moment], expected[moment], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
def test_gradient_agrees_with_the_formulas_in_float64(loss_type, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(policy_on_disk(str(tmp_path / "out"), make_tokenizer())).double()
    trainer, gradients, reward = fast(tmp_path, loss_type=loss_type)
    advantages = reference.advantages(RIGHT, 4, "group")
    tokenizer = make_tokenizer()
    batch = []
    for prompt, completion, advantage in zip(reward.prompts[0], reward.seen[0], advantages, strict=True):
        row = reference.Row(
            prompt=tokenizer(prompt)["input_ids"],
            completion=completion,
            advantage=advantage,
            old=torch.zeros(0),
            reference=torch.zeros(0),
        )
        batch.append(dataclasses.replace(row, old=reference.log_probabilities(model, row, 1.0).detach()))
    loss = reference.loss(model, batch, reference.Objective(loss_type=loss_type, max_completion_length=12))
    loss.backward()
    names = [name for name, _ in trainer.model.named_parameters()]
    weights = dict(model.named_parameters())
    expected = torch.cat([weights[name].grad.flatten() for name in names])
    assert (gradients[0].double() - expected).norm() <= 1e-5 * expected.norm()
    assert rows(trainer)[0]["loss"] == pytest.approx(loss.item(), abs=1e-6)


METRICS = {
    "dapo": {"loss_type": "dapo"},
    "grpo, one ratio a row": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    "cispo": {"loss_type": "cispo", "epsilon_high": 1.02},
    "vespo": {"loss_type": "vespo"},
    "reference": {"loss_type": "dapo", "beta": 0.1},
    "tools": {"loss_type": "dapo", "run": {"rollout_func": rollout}},
    "one token a row": {"loss_type": "grpo", "max_completion_length": 1},
}


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_those_of_the_window_as_one_micro_batch(name, skip, tmp_path):
    options = {"num_iterations": 2, "max_steps": 2, "optim": "sgd", "learning_rate": 0.5, "epsilon": 0.02}
    options |= METRICS[name]
    whole = {"gradient_accumulation_steps": 1, "per_device_train_batch_size": 16}
    theirs, ours = stock(tmp_path, **options, **whole), fast(tmp_path, **options, fast_skip_zero_advantage=skip)
    skipped = skip and "beta" not in METRICS[name]
    renamed = {"entropy", "vespo/phi_seq_mean"} if skipped else set()
    decided = 0.0
    for expected, found in zip(rows(theirs[0]), rows(ours[0]), strict=True):
        names = {key + "_of_rows_with_signal" * (key in renamed) for key in expected}
        assert found.keys() == names
        for key in expected.keys() - renamed:
            assert found[key] == pytest.approx(expected[key], rel=2e-5, abs=2e-6), key
        decided += sum(value for key, value in expected.items() if "clip_ratio" in key and value)
    assert decided > 0.0 or name == "vespo"


def test_entropy_of_rows_with_signal_is_the_mean_over_their_tokens(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(policy_on_disk(str(tmp_path / "out"), make_tokenizer()))
    trainer, _, reward = fast(tmp_path)
    entropies = []
    for row in [*range(4), *range(12, 16)]:
        prompt, completion = make_tokenizer()(reward.prompts[0][row])["input_ids"], reward.seen[0][row]
        logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
        entropies.append(torch.distributions.Categorical(logits=logits).entropy())
    expected = torch.cat(entropies).mean().item()
    assert rows(trainer)[0]["entropy_of_rows_with_signal"] == pytest.approx(expected, rel=1e-5)
    assert trainer._fast._metrics._sums == {}


def test_a_step_without_signal_logs_no_entropy_and_nothing_clipped(tmp_path):
    trainer, _, _ = fast(tmp_path, values=([1.0] * 16,))
    row = rows(trainer)[0]
    assert "entropy" not in row
    assert "entropy_of_rows_with_signal" not in row
    assert row["clip_ratio/region_mean"] == 0.0
    assert row["loss"] == 0.0


def test_evaluation_is_stocks(tmp_path):
    options = {"eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 4, "learning_rate": 0.0}
    data = make_grpo(GRPOTrainer, GRPOConfig, str(tmp_path / "out"), **STEP).train_dataset
    found = []
    for run in (stock, fast):
        trainer, _, _ = run(tmp_path, run={"eval_dataset": data}, **options)
        found.append(next(row for row in trainer.state.log_history if "eval_loss" in row))
    changing = ("runtime", "per_second", "num_tokens")
    names = [key for key in found[0] if not key.endswith(changing)]
    assert "eval_entropy" in names
    assert {key: found[1][key] for key in names} == pytest.approx(
        {key: found[0][key] for key in names}, rel=1e-5, abs=1e-6
    )
