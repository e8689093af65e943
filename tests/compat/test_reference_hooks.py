"""What the reference model relies on in TRL: a release that moves it fails here, with the module that relies on it."""

import inspect

import trl
from trl import GRPOTrainer
from trl.trainer import grpo_trainer
from trl.trainer.callbacks import SyncRefModelCallback


REFERENCE = "trl_r1/trainer/reference.py"


def test_the_constructor_calls_the_loader_by_its_module_name():
    assert hasattr(grpo_trainer, "create_model_from_path"), f"trl {trl.__version__}: no loader; {REFERENCE} swaps it"
    assert "create_model_from_path" in GRPOTrainer.__init__.__code__.co_names, (
        f"trl {trl.__version__}: GRPOTrainer.__init__ calls no create_model_from_path; {REFERENCE} exchanges that name"
    )


def test_a_passed_policy_makes_the_loader_run_for_the_reference_alone():
    source = inspect.getsource(GRPOTrainer.__init__)
    calls = source.count("create_model_from_path(")
    assert calls == 2, (
        f"trl {trl.__version__}: GRPOTrainer.__init__ calls create_model_from_path {calls} times, not once for a "
        f"policy by name and once for the reference; {REFERENCE} answers every call with a copy of the policy"
    )


def test_the_refresh_happens_at_the_end_of_a_step():
    found = list(inspect.signature(SyncRefModelCallback.on_step_end).parameters)
    assert found == ["self", "args", "state", "control", "kwargs"], (
        f"trl {trl.__version__}: SyncRefModelCallback.on_step_end{tuple(found)}; {REFERENCE} saves what it refreshed "
        "before the checkpoint of the same step"
    )
