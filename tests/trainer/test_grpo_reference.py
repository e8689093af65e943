"""Loss and gradient of R1GRPOTrainer against the float64 reference, to 1e-5 relative."""

import itertools

import grpo_reference as reference
import pytest
import torch
from test_grpo_trainer import advantages_of
from tiny_run import make_grpo
from trl.trainer.utils import pad

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer


LENGTHS = [(5, 3), (7, 6), (4, 1), (6, 8), (3, 5), (7, 7), (5, 2), (6, 4)]  # of prompt and completion, row by row
KL_TERMS = {"no KL": (0.0, True), "KL": (0.1, False), "KL with ratio": (0.1, True)}
CLIPS = {"clip .2/.28": (0.2, 0.28), "clip 10": (10.0, 10.0)}
CASES = list(itertools.product(("grpo", "dapo", "dr_grpo", "bnpo"), ("token", "sequence"), KL_TERMS, CLIPS))
TEMPERATURE = 0.7


def make_rows(model):
    """Eight rows of two groups. Old and reference log-probabilities lie far enough from the policy to matter."""
    generator = torch.Generator().manual_seed(11)
    rewards = [1.0, 0.0, 0.25, 1.0, 0.0, 0.5, 1.0, 0.0]
    rows = []
    for index, (prompt, completion) in enumerate(LENGTHS):
        ids = torch.randint(4, 40, (prompt + completion,), generator=generator).tolist()
        row = reference.Row(
            prompt=ids[:prompt],
            completion=ids[prompt:],
            advantage=reference.advantages(rewards, 4, "group")[index],
            old=torch.zeros(completion, dtype=torch.float64),
            reference=torch.zeros(completion, dtype=torch.float64),
        )
        policy = reference.log_probabilities(model, row, TEMPERATURE).detach()
        whole = 3.0 - 6.0 * index / (len(LENGTHS) - 1)  # log-ratios of whole rows from -3 to 3: past log 11 too
        noise = torch.randn(2, completion, generator=generator, dtype=torch.float64)
        rows.append(
            reference.Row(
                prompt=row.prompt,
                completion=row.completion,
                advantage=row.advantage,
                old=policy + whole + noise[0],
                reference=policy + 0.5 * noise[1],
            )
        )
    return rows


def as_inputs(rows, num_items):
    """The rows as TRL passes a micro-batch: prompts padded left, completions right."""

    def padded(tensors, side, value=0):
        return pad(tensors, padding_value=value, padding_side=side)

    prompts = [torch.tensor(row.prompt) for row in rows]
    completions = [torch.tensor(row.completion) for row in rows]
    return {
        "prompt_ids": padded(prompts, "left"),
        "prompt_mask": padded([torch.ones_like(ids) for ids in prompts], "left"),
        "completion_ids": padded(completions, "right"),
        "completion_mask": padded([torch.ones_like(ids) for ids in completions], "right"),
        "advantages": torch.tensor([row.advantage for row in rows], dtype=torch.float64),
        "num_items_in_batch": torch.tensor(num_items),
        "old_per_token_logps": padded([row.old for row in rows], "right"),
        "ref_per_token_logps": padded([row.reference for row in rows], "right"),
    }


def gradient(model):
    return torch.cat([parameter.grad.flatten().double() for parameter in model.parameters()])


def trainer_loss_and_gradient(trainer, rows, micro_batches):
    """Loss and gradient summed over the micro-batches of one optimiser step, as the Trainer accumulates them."""
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = micro_batches
    size = len(rows) // micro_batches
    num_items = sum(len(row.completion) for row in rows)
    total = 0.0
    for start in range(0, len(rows), size):
        loss = trainer.compute_loss(trainer.model, as_inputs(rows[start : start + size], num_items))
        loss.backward()
        total += loss.item()
    return total, gradient(trainer.model)


@pytest.mark.parametrize(("loss_type", "level", "kl_term", "clip"), CASES)
def test_loss_and_gradient_agree_with_the_formulas(loss_type, level, kl_term, clip, tmp_path):
    (beta, corrected), (low, high) = KL_TERMS[kl_term], CLIPS[clip]
    options = {
        "loss_type": loss_type,
        "importance_sampling_level": level,
        "beta": beta,
        "use_bias_correction_kl": corrected,
        "epsilon": low,
        "epsilon_high": high,
        "temperature": TEMPERATURE,
        "max_completion_length": 16,
    }
    # bnpo is the mean of one micro-batch by definition, the others do not depend on how a step is cut up
    micro_batches = 1 if loss_type == "bnpo" else 2
    trainer = make_grpo(
        R1GRPOTrainer,
        R1GRPOConfig,
        str(tmp_path / "out"),
        gradient_accumulation_steps=micro_batches,
        steps_per_generation=micro_batches,
        per_device_train_batch_size=8 // micro_batches,
        **options,
    )
    model = trainer.model.double().train()
    rows = make_rows(model)
    spec = reference.Objective(**options)

    found, found_gradient = trainer_loss_and_gradient(trainer, rows, micro_batches)
    model.zero_grad()
    expected = reference.loss(model, rows, spec)
    expected.backward()
    expected_gradient = gradient(model)

    assert 0.05 < reference.clipped_share(model, rows, spec) < 0.95
    assert found == pytest.approx(expected.item(), rel=1e-5)
    assert (found_gradient - expected_gradient).norm() <= 1e-5 * expected_gradient.norm()
    assert expected_gradient.norm() > 1e-3


@pytest.mark.parametrize("scale_rewards", ["group", "none"])
def test_advantages_agree_with_the_formula(scale_rewards, tmp_path):
    accuracy = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    consistency = [0.75, 0.5, 1.0, 1.0, 0.0, 0.25, 0.5, 0.0]
    options = {"scale_rewards": scale_rewards, "reward_weights": [1.0, 0.1]}
    found, _ = advantages_of(tmp_path, [accuracy, consistency], **options)
    rewards = [first + 0.1 * second for first, second in zip(accuracy, consistency, strict=True)]
    assert found == pytest.approx(reference.advantages(rewards, 4, scale_rewards), rel=1e-5)


def test_on_policy_the_ratio_is_one_and_the_loss_is_the_mean_advantage(tmp_path):
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(tmp_path / "out"), loss_type="grpo")
    rows = make_rows(trainer.model.double().train())[:4]
    inputs = as_inputs(rows, sum(len(row.completion) for row in rows))
    del inputs["old_per_token_logps"]
    trainer.current_gradient_accumulation_steps = 1
    inputs["advantages"] = inputs["advantages"] + 0.5
    found = trainer.compute_loss(trainer.model, inputs).item()
    assert found == pytest.approx(-inputs["advantages"].mean().item(), rel=1e-5)
