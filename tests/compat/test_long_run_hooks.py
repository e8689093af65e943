"""What long runs rely on in TRL and the Trainer: a release that moves it fails here, with the module it serves."""

import inspect
import sys
from pathlib import Path

import torch
import transformers
import trl
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.generation import vllm_generation


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import make_grpo


LENGTH_SCHEDULE, LOG_STATE = "trl_r1/trainer/length_schedule.py", "trl_r1/trainer/log_state.py"
VERSIONS = f"trl {trl.__version__}, transformers {transformers.__version__}"


def test_the_length_is_copied_where_the_schedule_changes_it(tmp_path):
    trainer = make_grpo(GRPOTrainer, GRPOConfig, str(tmp_path / "out"), max_completion_length=5)
    held = {
        "trainer.max_completion_length": trainer.max_completion_length,
        "trainer.args.max_completion_length": trainer.args.max_completion_length,
        "trainer.generation_kwargs": trainer.generation_kwargs["max_new_tokens"],
        "trainer.generation_config": trainer.generation_config.max_new_tokens,
    }
    moved = [place for place, value in held.items() if value != 5]
    assert not moved, f"{VERSIONS}: {moved} no longer hold max_completion_length; {LENGTH_SCHEDULE} changes it there"
    source = inspect.getsource(GRPOTrainer.__init__)
    assert source.count("max_completion_length") == 5, (
        f"{VERSIONS}: GRPOTrainer.__init__ copies max_completion_length to another place; see {LENGTH_SCHEDULE}"
    )


def test_vllm_reads_the_length_anew_for_each_rollout():
    source = inspect.getsource(vllm_generation.VLLMGeneration.generate)
    assert "max_completion_length = self.max_completion_length" in source, (
        f"{VERSIONS}: VLLMGeneration.generate takes its length elsewhere; {LENGTH_SCHEDULE} sets the attribute"
    )


class AtTheBeginning(TrainerCallback):
    """Sets the sum as a resumed run does, before the first step."""

    def __init__(self):
        self.trainer = None

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer._tr_loss = torch.tensor(100.0)
        self.trainer._globalstep_last_logged = -3


def test_the_trainer_goes_on_with_a_sum_set_when_training_begins(tmp_path):
    callback = AtTheBeginning()
    run = {"callbacks": [callback]}
    trainer = make_grpo(GRPOTrainer, GRPOConfig, str(tmp_path / "out"), max_steps=1, run=run)
    callback.trainer = trainer
    trainer.train()
    loss = trainer.state.log_history[0]["loss"]
    assert 20 < loss < 30, f"{VERSIONS}: the row's loss is {loss}, not 100 over 4 steps; {LOG_STATE} sets the sum"


def test_the_table_of_completions_has_the_columns_a_checkpoint_keeps(tmp_path):
    trainer = make_grpo(GRPOTrainer, GRPOConfig, str(tmp_path / "out"))
    found = sorted(trainer._logs)
    assert found == ["advantages", "completion", "extra", "images", "prompt", "rewards"], (
        f"{VERSIONS}: trainer._logs has {found}; {LOG_STATE} keeps all but the images"
    )
