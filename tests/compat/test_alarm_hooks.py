"""What the alarms read in TRL's and the Trainer's log rows, by name: a release that renames it fails here."""

import inspect
import sys
from pathlib import Path

import pytest
from transformers import Trainer
from trl import GRPOConfig, GRPOTrainer


sys.path.insert(0, str(Path(__file__).parents[1] / "trainer"))
from tiny_run import make_grpo

from trl_r1.trainer.callbacks.loss_note import explain_loss


RULES = "trl_r1/trainer/callbacks/alarm_rules.py"
METRICS = (
    *("loss", "grad_norm", "entropy", "kl", "clip_ratio/region_mean", "completions/mean_length"),
    *("completions/clipped_ratio", "rewards/silent/mean", "rewards/silent/std", "rewards/token_reward/mean"),
)


def silent(completions, **kwargs):
    """Judges nothing."""
    return [None] * len(completions)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    from tiny_run import token_reward

    folder = tmp_path_factory.mktemp("run")
    run = {"reward_funcs": [token_reward, silent]}
    trainer = make_grpo(GRPOTrainer, GRPOConfig, str(folder / "out"), max_steps=1, beta=0.01, run=run)
    trainer.train()
    return trainer.state.log_history


@pytest.mark.parametrize("name", METRICS)
def test_metric_is_logged(rows, name):
    assert name in rows[0], f"TRL no longer logs {name!r}; {RULES} reads it"


def test_a_reward_that_judges_nothing_is_logged_as_none(rows):
    assert rows[0]["rewards/silent/mean"] is None, (
        f"TRL logs it as another value; {RULES} takes None for 'never judged'"
    )


def test_the_summary_of_a_run_has_no_loss(rows):
    assert "loss" not in rows[-1], "the Trainer's closing row has a loss; trl_r1/trainer/callbacks/alarms.py judges it"


def test_history_holds_a_row_before_callbacks_see_it_and_saving_comes_after():
    """So that a checkpoint asked for by `on_log` holds the row that raised the alarm."""
    log = inspect.getsource(Trainer.log)
    assert log.index("log_history.append") < log.index("on_log"), "alarms.py relies on this order for resuming"
    step = inspect.getsource(Trainer._maybe_log_save_evaluate)
    assert step.index("self.log(") < step.index("self.control.should_save:"), (
        "alarms.py asks for checkpoints in on_log"
    )


def test_cispo_logs_its_own_clip_ratio(tmp_path):
    trainer = make_grpo(GRPOTrainer, GRPOConfig, str(tmp_path / "out"), max_steps=1, loss_type="cispo")
    trainer.train()
    assert "cispo_clip_ratio" in trainer.state.log_history[0], f"TRL renamed it; {RULES} reads it"


def test_fields_the_note_on_the_loss_reads_exist():
    assert explain_loss({}) is not None, "a default of GRPOConfig changed; see trl_r1/trainer/callbacks/loss_note.py"
    fields = GRPOConfig.__dataclass_fields__
    for name in (
        "entropy_coef",
        "use_adaptive_entropy",
        "top_entropy_quantile",
        "vllm_importance_sampling_correction",
    ):
        assert name in fields, f"GRPOConfig has no {name}; trl_r1/trainer/callbacks/loss_note.py reads it"
