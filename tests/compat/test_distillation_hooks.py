"""What on-policy distillation and the look at SFT rows rely on in TRL: names, parameters, shapes of private parts."""

import inspect

import pytest
import torch
from trl import DistillationTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import RepeatSampler


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("_get_train_sampler", ["self", "dataset"]), ("_load_optimizer_and_scheduler", ["self", "checkpoint"])],
)
def test_overridden_methods(name, parameters):
    assert list(inspect.signature(getattr(DistillationTrainer, name)).parameters) == parameters


def test_the_order_of_prompts_comes_from_one_generator():
    sampler = RepeatSampler(list(range(6)), 1, batch_size=2, shuffle=True, seed=0)
    assert isinstance(sampler.generator, torch.Generator)
    assert sampler.num_samples == 6


def test_the_teacher_is_given_to_the_trainer():
    """TRL's script hands it over; the trainer alone would not load `teacher_model_name_or_path`."""
    assert "teacher_model" in inspect.signature(DistillationTrainer.__init__).parameters


def test_packed_rows_begin_anew_and_carry_their_lengths():
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    batch = collate([{"input_ids": [5, 6, 7, 8], "labels": [5, 6, 7, 8], "seq_lengths": [3, 1]}])
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7, -100]]
    assert "attention_mask" not in batch
