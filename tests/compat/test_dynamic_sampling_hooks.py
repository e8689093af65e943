"""What dynamic sampling and the curriculum read from TRL and write into it."""

import inspect
import sys
from collections import defaultdict, deque
from pathlib import Path

import torch
from trl.trainer.utils import RepeatSampler

from trl_r1.configs import R1GRPOConfig
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.rounds import ITEMS, ONE_A_ROW, PADDING, TOTAL, empty_table


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import make_grpo


ROUNDS = "trl_r1/trainer/rounds.py"
CURRICULUM = "trl_r1/trainer/curriculum.py"


def rollout_of(folder, **options):
    def tools(prompts, trainer):
        ids = [[5, 6, 7]] * len(prompts)
        given = trainer.processing_class(prompts)["input_ids"]
        masks = [[1, 0, 1]] * len(prompts)
        return {"prompt_ids": given, "completion_ids": ids, "logprobs": [[0.0] * 3] * len(prompts), "env_mask": masks}

    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(folder / "out"), run={"rollout_func": tools}, **options)
    trainer.model.train()
    rows = [dict(trainer.train_dataset[0]) for _ in range(4)]
    return trainer, trainer._generate_and_score_completions(rows)


def test_everything_in_a_rollout_can_be_merged(tmp_path):
    _, output = rollout_of(tmp_path, beta=0.1, steps_per_generation=2, per_device_train_batch_size=2)
    known = {*PADDING, *ONE_A_ROW, ITEMS}
    assert output.keys() <= known, f"TRL's rollout has {output.keys() - known}: give it a padding in {ROUNDS}"
    assert known - output.keys() <= {"importance_sampling_ratio"}, (
        f"TRL's rollout lacks {known - output.keys()}: {ROUNDS}"
    )
    for name, tensor in output.items():
        ndim = 0 if name == ITEMS else 1 if name in ONE_A_ROW else 2
        assert tensor.ndim == ndim, f"{name} has {tensor.ndim} dimensions, {ROUNDS} expects {ndim}"


def test_the_padding_is_trls():
    source = inspect.getsource(R1GRPOTrainer.__mro__[1]._generate_and_score_completions)
    for line in ('padding_side="left"', "padding_value=0.0", "padding_value=1, padding_side"):
        assert line in source, f"TRL no longer pads with {line}: see PADDING in {ROUNDS}"
    assert "num_items_in_batch = self.accelerator.gather(loss_mask.sum()).sum()" in source, (
        "TRL counts the tokens of the loss in another way: see DynamicSampler._merge"
    )


def test_the_table_has_the_columns_we_keep(tmp_path):
    trainer, _ = rollout_of(tmp_path)
    own = empty_table()
    assert trainer._logs.keys() == own.keys(), f"TRL's table of completions has other columns: empty_table in {ROUNDS}"
    for name, column in trainer._logs.items():
        assert isinstance(column, (deque, defaultdict)), (name, ROUNDS)
        assert type(column) is type(own[name]), (name, ROUNDS)
    assert isinstance(trainer._metrics["train"], defaultdict), f"TRL's metrics are no defaultdict: {ROUNDS}"
    assert trainer._metrics["train"][TOTAL] == [trainer.state.num_input_tokens_seen], f"{TOTAL} is no sum: {ROUNDS}"


def test_trls_sampler_draws_one_permutation_an_epoch():
    parameters = list(inspect.signature(RepeatSampler.__init__).parameters)[1:]
    expected = ["data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed"]
    assert parameters == expected, f"RepeatSampler takes other parameters; {CURRICULUM} passes these on"
    sampler = RepeatSampler(range(5), mini_repeat_count=2, seed=3)
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        order = torch.randperm(5, generator=generator).tolist()
        assert list(sampler) == [row for row in order for _ in range(2)], f"another order: {CURRICULUM}"
