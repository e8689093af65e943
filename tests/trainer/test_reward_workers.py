"""Rewards in processes of their own give what they give in place: values, logs, errors, budgets."""

import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import worker_rewards
from tiny_run import make_grpo, questions, stable_logs
from trl import GRPOTrainer
from worker_rewards import (
    dying_reward,
    echo_reward,
    faulty_reward,
    generator_reward,
    logging_reward,
    odd_error_reward,
    pid_reward,
    printing_reward,
    raising_reward,
    token_reward,
)

from trl_r1 import R1GRPOConfig, R1GRPOTrainer, rewards
from trl_r1.errors import RewardError
from trl_r1.rewards.remote import RewardProcess, RewardProcessError, call_of, why_not_remote
from trl_r1.trainer import reward_workers


def trainer_with(functions, tmp_path, workers=2, **options):
    run = {"reward_funcs": functions, **options.pop("run", {})}
    return make_grpo(
        R1GRPOTrainer, R1GRPOConfig, str(tmp_path / f"out_{workers}"), reward_workers=workers, run=run, **options
    )


def trained(functions, tmp_path, workers, **options):
    trainer = trainer_with(functions, tmp_path, workers, max_steps=2, beta=0.01, **options)
    trainer.train()
    weights = torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])
    return trainer, weights


def test_a_run_is_the_same_bit_for_bit(tmp_path):
    functions = [token_reward, logging_reward, rewards.accuracy_reward, rewards.format_reward]
    in_place, wanted = trained(functions, tmp_path, 0)
    elsewhere, found = trained(functions, tmp_path, 2)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    rows = stable_logs(elsewhere.state.log_history)
    assert all("longest" in row and "accuracy/by_extraction" in row for row in rows)
    free = ("accuracy/cached", "accuracy/slowest_seconds")  # what a process remembers, and how fast it is
    for row, other in zip(rows, stable_logs(in_place.state.log_history), strict=True):
        assert {name: row[name] for name in row if name not in free} == {
            name: other[name] for name in other if name not in free
        }


def test_functions_run_elsewhere_each_in_one_process(tmp_path):
    trainer = trainer_with([pid_reward, token_reward, pid_reward], tmp_path, max_steps=2)
    seen = []
    calculate = GRPOTrainer._calculate_rewards

    def spy(self, *args):
        seen.append(calculate(self, *args))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GRPOTrainer, "_calculate_rewards", spy)
        trainer.train()
        trainer.evaluate(questions(4))
    pids = torch.stack([found[:, [0, 2]].amax(dim=0) for found in seen])
    assert len(seen) == 4  # two of training, two of evaluation
    assert (pids == pids[0]).all()  # training and evaluation, the same process each time
    assert float(os.getpid()) not in pids
    assert trainer.reward_func_names == ["pid_reward", "token_reward", "pid_reward"]


def closure():
    return lambda completions, **kwargs: [0.0] * len(completions)


async def async_reward(completions, **kwargs):
    return [0.0] * len(completions)


class ModelReward:
    loads_model = True
    __name__ = "model_reward"

    def __call__(self, completions, **kwargs):
        return [0.0] * len(completions)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (closure(), "does not pickle"),
        (async_reward, "asynchronous"),
        (ModelReward(), "loads a model"),
        (rewards.get_preference_reward("somewhere"), "loads a model"),
        (token_reward, None),
        (rewards.accuracy_reward, None),
    ],
)
def test_who_stays(function, reason):
    found = why_not_remote(function)
    assert found is None if reason is None else reason in found


def test_a_function_of_the_main_script_stays(monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "own_reward", pid_reward, raising=False)
    monkeypatch.setattr(pid_reward, "__module__", "__main__")
    monkeypatch.setattr(pid_reward, "__qualname__", "own_reward")
    assert "move it to a module" in why_not_remote(pid_reward)


def test_what_stays_is_said_once_and_works(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        trainer = trainer_with([closure(), token_reward], tmp_path, max_steps=1)
        trainer.train()
    assert len([line for line in caplog.messages if "runs in place" in line]) == 1


def test_errors_are_those_of_the_function(tmp_path):
    messages = []
    for workers in (0, 2):
        with pytest.raises(ValueError, match="no such luck") as caught:
            trainer_with([raising_reward], tmp_path, workers, max_steps=1).train()
        messages.append((type(caught.value), str(caught.value), Path(caught.traceback[-1].path).name))
    assert messages[0] == messages[1]


def test_errors_of_a_checked_reward_name_file_and_line(tmp_path):
    messages = []
    for workers in (0, 2):
        checked = rewards.build_rewards([raising_reward])
        with pytest.raises(RewardError) as caught:
            trainer_with(checked, tmp_path, workers, max_steps=1).train()
        messages.append((type(caught.value), str(caught.value)))
    assert messages[0] == messages[1]
    assert "worker_rewards.py, line" in messages[0][1]


@pytest.mark.parametrize("function", [odd_error_reward, generator_reward])
def test_what_cannot_come_back_is_done_in_place(function, tmp_path, caplog):
    trainer = trainer_with([function, token_reward], tmp_path, max_steps=1)
    with caplog.at_level(logging.WARNING):
        if function is odd_error_reward:
            with pytest.raises(worker_rewards.NeedsTwoArgumentsError, match="a b"):
                trainer.train()
            assert trainer._pending_metrics["tried"] == [1.0]
        else:
            trainer.train()
            assert trainer.state.log_history[0]["rewards/generator_reward/mean"] > 0
    assert "runs in place: its result does not" in caplog.text


def test_a_killed_process_costs_no_reward(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("TRAINER_PID", str(os.getpid()))
    trainer = trainer_with([dying_reward, token_reward], tmp_path, workers=1, max_steps=3)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    means = [row["rewards/dying_reward/mean"] for row in trainer.state.log_history if "loss" in row]
    assert means == [1.0] * 3
    assert len([line for line in caplog.messages if "dying_reward" in line and "exit code -9" in line]) == 1


def test_a_budget_counts_in_the_trainer(tmp_path):
    counts = []
    for workers in (0, 1):
        trainer = trainer_with(
            [faulty_reward, token_reward],
            tmp_path,
            workers,
            max_steps=2,
            skip_unscorable=True,
            reward_error_budget=0.9,
            per_device_train_batch_size=16,
        )
        trainer.train()
        shown = Path(trainer.args.output_dir, "reward_errors_0.jsonl").read_text().splitlines()
        logged = [row["unscorable_rows"] for row in trainer.state.log_history if "loss" in row]
        counts.append(([(each.rows, each.failed) for each in trainer._reward_budgets], shown, logged))
    assert counts[0] == counts[1]
    assert counts[0][0][0][1] > 0


def test_another_batch_is_scored_in_place(tmp_path, caplog):
    trainer = trainer_with([pid_reward], tmp_path, workers=1, max_steps=1)
    calculate = R1GRPOTrainer._calculate_rewards
    found = []

    def other_texts(self, inputs, prompts, completions, ids):
        found.append(calculate(self, inputs, prompts, [text + " ." for text in completions], ids))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(R1GRPOTrainer, "_calculate_rewards", other_texts)
        trainer.train()
    assert found[0].unique().tolist() == [float(os.getpid())]
    assert "another batch than was generated" in caplog.text


def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_processes_end_with_their_trainer(tmp_path, monkeypatch):
    """Also when the trainer is killed while a reward runs, and although nobody tells them."""
    script = tmp_path / "run.py"
    script.write_text(
        "import time\nfrom trl_r1.rewards.remote import RewardProcess, call_of\n"
        "import pickle, threading\nfrom worker_rewards import sleeping_reward\n"
        "if __name__ == '__main__':\n"
        "    process = RewardProcess([sleeping_reward])\n    process.start()\n"
        "    call = call_of(0, pickle.dumps({'completions': ['a']}), pickle.dumps(None), ())\n"
        "    threading.Thread(target=process.ask, args=(call,), daemon=True).start()\n    time.sleep(60)\n"
    )
    note = tmp_path / "pid"
    monkeypatch.setenv("SLEEPER_FILE", str(note))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]]))
    trainer = subprocess.Popen([sys.executable, str(script)], cwd=Path(__file__).parents[2])
    stop = time.monotonic() + 60
    while not (note.is_file() and note.read_text()) and time.monotonic() < stop:
        time.sleep(0.05)
    pid = int(note.read_text())
    trainer.kill()
    trainer.wait()
    while not ended(pid) and time.monotonic() < stop:
        time.sleep(0.05)
    assert ended(pid)


def test_close_ends_a_process_in_the_middle_of_a_call(tmp_path, monkeypatch):
    monkeypatch.setenv("SLEEPER_FILE", str(tmp_path / "pid"))
    process = RewardProcess([worker_rewards.sleeping_reward])
    process.start()
    call = call_of(0, pickle.dumps({"completions": ["a"]}), pickle.dumps(None), ())
    met = []

    def ask():
        try:
            process.ask(call)
        except RewardProcessError as error:
            met.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while not (tmp_path / "pid").is_file():
        time.sleep(0.02)
    process.close()
    asking.join(timeout=30)
    assert met
    assert process.pid is None


def test_what_a_reward_prints_is_not_lost_when_its_process_is_ended(monkeypatch, capfd):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    process = RewardProcess([printing_reward])
    process.start()
    assert process.ask(call_of(0, pickle.dumps({"completions": ["a"]}), pickle.dumps(None), ()))["output"] == [0.0]
    process.close()
    assert "said by a reward" in capfd.readouterr().out


def test_a_process_has_one_thread_no_gpu_and_its_own_random_numbers(monkeypatch):
    found = []
    for seed in (1, 1, 2):
        process = RewardProcess([worker_rewards.surroundings_reward], seed)
        process.start()
        found.append(process.ask(call_of(0, pickle.dumps({"completions": []}), pickle.dumps(None), ()))["output"])
        with monkeypatch.context() as forked:
            forked.setattr(os, "getpid", lambda: -1)
            process.close()  # by a fork, whose child it is not
        assert process.pid is not None
        process.close()
    assert found[0][:2] == ["", "1"]
    assert found[0] == found[1] != found[2]


def test_a_reward_that_hangs_is_named(monkeypatch):
    reward = reward_workers.RemoteReward(token_reward, "token_reward")
    reward.call = call = reward_workers.Call({}, reward.callbacks)
    said = []

    def warn(message, *values):
        said.append(message % values)
        if len(said) == 2:  # it answers once it was named twice
            call.reply.set_result({"logged": [], "output": [1.0]})

    monkeypatch.setattr(reward_workers, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(reward_workers.logger, "warning", warn)
    assert reward(trainer_state=None, log_extra=None, log_metric=None) == [1.0]
    assert ["'token_reward'" in line and "time limit of its own" in line for line in said] == [True, True]


def test_more_than_a_pipe_holds_goes_both_ways(tmp_path):
    text = "word " * 400_000  # 2 MB, of which a socket holds a tenth
    data = questions(4).add_column("long", [text] * 4)
    trainer = trainer_with([echo_reward, echo_reward], tmp_path, workers=1, max_steps=2, run={"train_dataset": data})
    trainer.train()
    means = [row["rewards/echo_reward/mean"] for row in trainer.state.log_history if "loss" in row]
    assert means == [float(len(text))] * 2


def test_what_trl_adds_after_generation_is_waited_for(tmp_path):
    trainer = trainer_with([pid_reward], tmp_path, workers=1)
    assert not trainer._reward_workers._may_leave(0, torch.nn.Linear(1, 1))  # a model would be copied
    rows, texts, ids = [{"prompt": "a"}] * 2, ["x", "y"], [[1], [2]]
    reward = trainer.reward_funcs[0]
    for extra_fields, starts in (({}, True), ({"seen": [1, 2]}, False)):
        trainer._reward_workers.start(rows, ["a", "a"], (ids, ids, None, texts, None, extra_fields, None, []))
        assert (reward.call is not None) == starts
    call = reward_workers.Call({"completions": texts}, [])
    assert call.is_for({"completions": list(texts), "trainer_state": None})
    for other in (texts[:1], [*texts, "z"], texts[::-1]):
        assert not call.is_for({"completions": other, "trainer_state": None})


def test_rows_that_do_not_pickle_are_scored_in_place(tmp_path, caplog):
    trainer = trainer_with([pid_reward], tmp_path, workers=1)
    rows = [{"prompt": "a", "odd": closure()}] * 2
    generated = ([[1]] * 2, [[2]] * 2, None, ["x", "y"], None, {}, None, [])
    with caplog.at_level(logging.WARNING):
        trainer._reward_workers.start(rows, ["a", "a"], generated)
    assert "the rows do not pickle" in caplog.text
    found = trainer._calculate_rewards(rows, ["a", "a"], generated[3], generated[1])
    assert found.unique().tolist() == [float(os.getpid())]
