"""On-policy distillation: TRL's loss against its formula, what the student learns, and a run that is stopped."""

import math

import numpy as np
import pytest
import torch
from datasets import Dataset
from tiny_models import make_model
from trl import DistillationConfig

from trl_r1.trainer.callbacks import train_or_resume
from trl_r1.trainer.distillation_trainer import R1DistillationTrainer


PROMPTS = [{"prompt": f"what is a {a} plus b {b} ?"} for a in range(4) for b in range(3)]


@pytest.fixture
def build(tokenizer, tmp_path):
    def make(folder="out", student=None, teacher=None, **fields):
        args = DistillationConfig(
            output_dir=str(tmp_path / folder),
            **{
                **{"bf16": False, "use_cpu": True, "report_to": "none", "logging_steps": 1, "seed": 3},
                **{"per_device_train_batch_size": 4, "max_completion_length": 8, "activation_checkpointing": False},
                **{"save_strategy": "no", "max_steps": 2, "lr_scheduler_type": "constant"},
                **fields,
            },
        )
        return R1DistillationTrainer(
            model=student or make_model(tokenizer, seed=1),
            teacher_model=teacher or make_model(tokenizer, seed=2, layers=1, hidden=48),
            args=args,
            train_dataset=Dataset.from_list(PROMPTS),
            processing_class=tokenizer,
        )

    return make


def divergence(student, teacher, beta):
    """
    Generalised Jensen-Shannon divergence of two rows of logits, in nats (arXiv 2306.13649, section 2).

    beta 0 is KL(teacher || student), beta 1 KL(student || teacher); between them each is held against the mixture.
    """
    p, q = (np.exp(x - x.max()) / np.exp(x - x.max()).sum() for x in (student, teacher))

    def kl(first, second):
        return float((first * (np.log(first) - np.log(second))).sum())

    if beta == 0:
        return kl(q, p)
    if beta == 1:
        return kl(p, q)
    mixture = beta * q + (1 - beta) * p
    return beta * kl(q, mixture) + (1 - beta) * kl(p, mixture)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_loss_is_the_mean_divergence_of_the_tokens(build, beta, temperature):
    trainer = build(beta=beta, temperature=temperature)
    trainer.model.train()
    rollout = trainer._generate_and_score_completions([dict(row) for row in PROMPTS[:4]])
    loss = float(trainer.compute_loss(trainer.model, dict(rollout)).detach())
    ids = torch.cat([rollout["prompt_ids"], rollout["completion_ids"]], 1)
    mask = torch.cat([rollout["prompt_mask"], rollout["completion_mask"]], 1)
    start = rollout["prompt_ids"].shape[1]
    with torch.no_grad():
        logits = [
            (model(input_ids=ids, attention_mask=mask).logits[:, start - 1 : -1].double() / temperature).numpy()
            for model in (trainer.model, trainer.teacher_model)
        ]
    kept = rollout["completion_mask"].bool().numpy()
    expected = np.mean([divergence(a, b, beta) for a, b in zip(*(each[kept] for each in logits), strict=True)])
    assert math.isclose(loss, expected, rel_tol=2e-5)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_the_student_comes_near_the_teacher(build, tokenizer, beta):
    """Both ends of the divergence fall, and the teacher does not move."""
    teacher = make_model(tokenizer, seed=2)
    kept = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    trainer = build(teacher=teacher, beta=beta, max_steps=24, learning_rate=1e-2)
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert np.mean(losses[-6:]) < 0.6 * np.mean(losses[:5])
    assert all(torch.equal(tensor, kept[name]) for name, tensor in teacher.state_dict().items())


def test_a_stopped_run_ends_as_one_that_was_not(build):
    """Also in a later epoch, whose order of prompts TRL alone would not find again."""
    saving = {"save_strategy": "steps", "save_steps": 4, "learning_rate": 1e-2}  # an epoch is three steps
    whole = build("whole", max_steps=7, **saving)
    train_or_resume(whole)
    first = build("stopped", max_steps=4, **saving)
    train_or_resume(first)
    second = build("stopped", max_steps=7, **saving)
    train_or_resume(second)
    assert second.state.global_step == 7
    expected = whole.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in second.model.state_dict().items())
