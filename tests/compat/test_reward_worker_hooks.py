"""What the reward workers read from TRL: the order of `_generate`'s results, and a reward's arguments."""

import ast
import inspect
import re
import textwrap

from trl import GRPOTrainer


WORKERS = "trl_r1/trainer/reward_workers.py"


def tree(method):
    return ast.parse(textwrap.dedent(inspect.getsource(method)))


def test_generate_returns_what_the_workers_unpack():
    returned = [node for node in ast.walk(tree(GRPOTrainer._generate)) if isinstance(node, ast.Return)]
    names = [item.id for item in returned[-1].value.elts]
    assert names[:6] == [
        *("prompt_ids", "completion_ids", "tool_mask", "completions", "logprobs", "extra_fields"),
    ], f"GRPOTrainer._generate returns {names}; {WORKERS} unpacks completion ids, completions and extra fields of it"


def test_rewards_get_the_arguments_the_workers_send():
    source = inspect.getsource(GRPOTrainer._calculate_rewards)
    columns = 'keys = [key for key in inputs[0] if key not in ["prompt", "completion", "completion_ids"]]'
    given = ["prompts=prompts, completions=completions, completion_ids=completion_ids_list, **reward_kwargs", columns]
    missing = [line for line in given if line not in source]
    assert not missing, f"GRPOTrainer._calculate_rewards no longer has {missing}; {WORKERS} sends the same arguments"
    given_names = set(re.findall(r'(?<!row_)reward_kwargs\["(\w+)"\] = ', source))
    assert given_names == {"trainer_state", "log_extra", "log_metric", "environments"}, (
        f"GRPOTrainer._calculate_rewards gives rewards {sorted(given_names)}; {WORKERS} must send the same"
    )


def test_rewards_are_called_with_the_objects_that_were_generated():
    calls = [
        node
        for node in ast.walk(tree(GRPOTrainer._generate_and_score_completions))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("_generate", "_calculate_rewards")
    ]
    found = {call.func.attr: [argument.id for argument in call.args] for call in calls}
    assert found == {
        "_generate": ["prompts"],
        "_calculate_rewards": ["inputs", "prompts", "completions", "completion_ids_list"],
    }, f"TRL calls {found}; {WORKERS} compares the rewards' arguments with what was generated"
