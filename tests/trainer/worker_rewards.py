"""Reward functions of a module, as a user would write them, for processes to import."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path


class NeedsTwoArgumentsError(Exception):
    """Pickles, and does not load again."""

    def __init__(self, what, why):
        super().__init__(f"{what} {why}")


def token_reward(completion_ids, **kwargs):
    """Share of even token ids."""
    return [sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]


def pid_reward(completions, **kwargs):
    """Tells where it ran."""
    return [float(os.getpid())] * len(completions)


def logging_reward(completions, completion_ids, trainer_state, log_extra, log_metric, **kwargs):
    """Logs columns and metrics, and reads the state."""
    lengths = [float(len(ids)) for ids in completion_ids]
    log_extra("length", lengths)
    log_metric("longest", max(lengths))
    log_metric("longest", -1.0)
    lengths[:] = [length + trainer_state.global_step for length in lengths]
    return lengths


def echo_reward(completions, long, log_extra, **kwargs):
    """Sends back a column as it came."""
    log_extra("long", long)
    return [float(len(text)) for text in long]


def raising_reward(completions, **kwargs):
    """Raises."""
    raise ValueError("no such luck")


def odd_error_reward(completions, log_metric, **kwargs):
    """Raises what cannot come back, and logs before it does."""
    log_metric("tried", 1.0)
    raise NeedsTwoArgumentsError("a", "b")


def surroundings_reward(completions, **kwargs):
    """Tells what the process has that the trainer's has not."""
    return [os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"], random.random()]


def printing_reward(completions, **kwargs):
    """Prints."""
    print("said by a reward")  # noqa: T201
    return [0.0] * len(completions)


def generator_reward(completions, **kwargs):
    """Returns what TRL takes and pickle does not."""
    return (float(len(text)) for text in completions)


def dying_reward(completions, **kwargs):
    """Kills the process it is in, unless that is the trainer's."""
    if str(os.getpid()) != os.environ["TRAINER_PID"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return [1.0] * len(completions)


def sleeping_reward(completions, **kwargs):
    """Says it is there, and sleeps."""
    Path(os.environ["SLEEPER_FILE"]).write_text(str(os.getpid()))
    time.sleep(60)
    return [1.0] * len(completions)


def faulty_reward(completions, completion_ids, **kwargs):
    """Raises where a completion of the batch starts with an even token."""
    if any(ids[0] % 2 == 0 for ids in completion_ids):
        raise KeyError("even")
    return [float(len(ids)) for ids in completion_ids]
