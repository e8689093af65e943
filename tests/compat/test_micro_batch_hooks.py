"""What dealing out rows and weighing metrics lean on in TRL: keys and shapes of the buffer, metrics of a loss."""

import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch
import transformers
import trl
from trl import GRPOConfig, GRPOTrainer

from trl_r1.trainer.fast.gates import MEANS_OVER_ROWS, SUMS_OVER_TOKENS
from trl_r1.trainer.fast.micro_batches import COMPLETION_KEYS, PROMPT_KEYS, WHOLE_KEYS
from trl_r1.trainer.fast.window_metrics import CLIPPED, EXTREMES, OF_POLICY


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import make_grpo


MICRO_BATCHES = "trl_r1/trainer/fast/micro_batches.py"
WINDOW_METRICS = "trl_r1/trainer/fast/window_metrics.py"
VERSION = f"trl {trl.__version__}, transformers {transformers.__version__}"
RATIOS = {"clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean", *EXTREMES}
OTHERS = {"cispo": {"cispo_clip_ratio"}, "sapo": set(), "vespo": {"vespo/phi_seq_mean"}}


def rollout(prompts, trainer):
    ids = [[5, 6, 7, 8][: 1 + row % 4] for row in range(len(prompts))]
    return {
        "prompt_ids": trainer.processing_class(prompts)["input_ids"],
        "completion_ids": ids,
        "logprobs": [[-1.0] * len(row) for row in ids],
        "env_mask": [[1] * len(row) for row in ids],
    }


@pytest.fixture
def make(tmp_path):
    def make(**options):
        options = {"beta": 0.1, "steps_per_generation": 2, "num_iterations": 2, **options}
        trainer = make_grpo(GRPOTrainer, GRPOConfig, str(tmp_path / "out"), run={"rollout_func": rollout}, **options)
        trainer.model.train()
        rows = [trainer.train_dataset[row // 4] for row in range(8)]
        return trainer, trainer._prepare_inputs(rows)

    return make


def test_the_buffer_has_the_keys_and_shapes_that_rows_are_dealt_out_by(make):
    trainer, batch = make()
    expected = PROMPT_KEYS | COMPLETION_KEYS.keys() | WHOLE_KEYS
    expected -= {"importance_sampling_ratio"}  # with vLLM only
    assert batch.keys() == expected, (
        f"{VERSION}: keys of a micro-batch changed by {sorted(batch.keys() ^ expected)}; {MICRO_BATCHES} names them"
    )
    shapes = {key: tuple(value.shape) for key, value in batch.items()}
    prompt, completion = batch["prompt_ids"].size(1), batch["completion_ids"].size(1)
    wanted = dict.fromkeys(COMPLETION_KEYS.keys() & batch.keys(), (4, completion))
    wanted |= dict.fromkeys(PROMPT_KEYS, (4, prompt)) | {"advantages": (4,), "num_items_in_batch": ()}
    assert shapes == wanted, f"{VERSION}: shapes of a micro-batch changed; {MICRO_BATCHES} relies on them"
    assert len(trainer._buffered_inputs) == 2


def test_padding_is_on_the_left_of_prompts_and_the_right_of_completions(make):
    _, batch = make()
    for key, side in (("prompt_mask", -1), ("completion_mask", 0)):
        ends = batch[key][batch[key].any(dim=1)][:, side]
        assert ends.all(), f"{VERSION}: {key} is padded on the other side; {MICRO_BATCHES} cuts it"


@pytest.mark.parametrize("loss_type", sorted(MEANS_OVER_ROWS | SUMS_OVER_TOKENS))
def test_a_loss_logs_the_metrics_that_are_weighed_once(make, loss_type):
    trainer, batch = make(loss_type=loss_type)
    trainer.current_gradient_accumulation_steps = 1
    trainer._metrics["train"] = defaultdict(list)
    trainer._compute_loss(trainer.model, batch)
    found = trainer._metrics["train"]
    expected = {"entropy", "kl"} | OTHERS.get(loss_type, RATIOS)
    assert found.keys() == expected, (
        f"{VERSION}: the loss logs {sorted(found.keys() ^ expected)} otherwise; {WINDOW_METRICS} weighs them by name"
    )
    assert expected <= CLIPPED | OF_POLICY | EXTREMES.keys()
    assert all(len(values) == 1 for values in found.values())


def test_means_are_over_the_tokens_of_the_micro_batch(make):
    trainer, batch = make(loss_type="dapo")
    trainer.current_gradient_accumulation_steps = 1
    shown = []

    def pretend(*args, **kwargs):
        entropies = torch.arange(16.0).view(4, 4) * batch["completion_mask"]
        shown.append(entropies)
        return torch.zeros(4, 4, requires_grad=True), entropies, None

    trainer._get_per_token_logps_and_entropies = pretend
    trainer._metrics["train"] = defaultdict(list)
    trainer._compute_loss(trainer.model, batch)
    expected = shown[0].sum().item() / batch["completion_mask"].sum().item()
    assert trainer._metrics["train"]["entropy"] == [pytest.approx(expected)], (
        f"{VERSION}: the entropy logged is no mean over tokens any more; {WINDOW_METRICS} weighs it by tokens"
    )


def test_the_accelerator_says_when_a_window_ends(tmp_path):
    seen = []

    class Watching(GRPOTrainer):
        def _compute_loss(self, model, inputs):
            seen.append(self.accelerator.sync_gradients)
            return super()._compute_loss(model, inputs)

    options = {"gradient_accumulation_steps": 3, "max_steps": 2}
    make_grpo(Watching, GRPOConfig, str(tmp_path / "out"), **options).train()
    assert seen == [False, False, True] * 2, (
        f"{VERSION}: accelerator.sync_gradients no longer marks the last micro-batch; {WINDOW_METRICS} relies on it"
    )
