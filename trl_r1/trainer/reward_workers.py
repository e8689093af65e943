"""`reward_workers`: reward functions in processes of their own, while the trainer computes log-probabilities.

TRL generates, then computes the log-probabilities of the reference model and the old policy, then rewards. Here the
reward functions are called right after generation, elsewhere; where TRL calls them, the results are waited for. A
function that cannot go elsewhere, or a call that was not foreseen, runs in place as ever.
"""

from __future__ import annotations

import logging
import operator
import pickle
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from trl_r1.rewards.checked import CheckedReward
from trl_r1.rewards.remote import RewardProcess, RewardProcessError, call_of, why_not_remote
from trl_r1.trainer.reward_errors import reward_budgets


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 300.0  # before the trainer says whom it waits for
RESERVED = ("prompt", "completion", "completion_ids")  # data columns that TRL does not hand to rewards


class RewardWorkers:
    """
    Runs the reward functions of a trainer beside its log-probability passes.

    Each function always runs in the same process, so that what its verifier remembers is at hand; more processes than
    functions are not started.

    Args:
        trainer ([`R1GRPOTrainer`]):
            After its construction; `args.reward_workers` is above 0. Functions in its `reward_funcs` are replaced.
    """

    def __init__(self, trainer: R1GRPOTrainer) -> None:
        self._trainer = trainer
        reward_budgets(trainer)  # wraps the functions, if it does, before they are replaced
        functions: list[Any] = trainer.reward_funcs
        found = [index for index, function in enumerate(functions) if self._may_leave(index, function)]
        number = min(getattr(trainer.args, "reward_workers", 0), len(found))
        lanes = [found[start::number] for start in range(number)]
        seed = trainer.args.seed + trainer.args.process_index
        self._lanes: list[tuple[RewardProcess, list[RemoteReward]]] = []
        for lane in lanes:
            process = RewardProcess([functions[index] for index in lane], seed)
            rewards = [RemoteReward(functions[index], trainer.reward_func_names[index]) for index in lane]
            for index, reward in zip(lane, rewards, strict=True):
                functions[index] = reward.in_place_of(functions[index])
            self._lanes.append((process, rewards))
            weakref.finalize(self, process.close)  # also at exit

    def start(self, rows: list[dict[str, Any]], prompts: list[Any], generated: Any) -> None:
        """
        Hand a rollout to the processes.

        Args:
            rows (`list[dict[str, Any]]`):
                Data rows of the rollout, each once a completion.
            prompts (`list[Any]`):
                Their prompts.
            generated (`tuple`):
                What TRL's `_generate` returned.
        """
        for _, rewards in self._lanes:
            for reward in rewards:
                reward.call = None
        _, completion_ids, _, completions, _, extra_fields, *_ = generated
        if not self._lanes or not rows or extra_fields or self._trainer.environments is not None:
            return  # TRL adds columns later, or objects that live here
        batch = {"prompts": prompts, "completions": completions, "completion_ids": completion_ids}
        batch |= {key: [row[key] for row in rows] for key in rows[0] if key not in RESERVED}
        # Its fields only: a whole TrainerState would load transformers and torch in every process
        state = SimpleNamespace(**vars(self._trainer.state))
        try:
            packed, packed_state = pickle.dumps(batch), pickle.dumps(state)
        except Exception as error:  # noqa: BLE001  (the objects decide what pickling them raises)
            _warn_once(self, "rewards run in place: the rows do not pickle (%s: %s)", type(error).__name__, error)
            return
        for process, rewards in self._lanes:
            self._start_lane(process, rewards, batch, packed, packed_state)

    def _start_lane(
        self,
        process: RewardProcess,
        rewards: list[RemoteReward],
        batch: dict[str, Sequence[Any]],
        packed: bytes,
        state: bytes,
    ) -> None:
        try:
            process.start()
        except RewardProcessError as error:
            _warn_once(self, "rewards run in place: %s", error)
            return
        calls = []
        for number, reward in enumerate(rewards):
            reward.call = Call(batch, reward.callbacks)
            calls.append((reward.call.reply, call_of(number, packed, state, reward.callbacks)))
        # A thread, so that a full pipe never makes two processes wait for each other; daemon, so that none at exit.
        threading.Thread(target=_ask, args=(process, calls), daemon=True).start()

    def _may_leave(self, index: int, function: Any) -> bool:
        if isinstance(function, torch.nn.Module):
            reason: str | None = "it is a model"
        else:
            reason = why_not_remote(function)
        if reason is not None:
            logger.warning("reward %r runs in place: %s", self._trainer.reward_func_names[index], reason)
        return reason is None


class Call:
    """
    A call on its way.

    Args:
        batch (`dict[str, Sequence[Any]]`):
            Its columns.
        callbacks (`Sequence[str]`):
            The callbacks it is given.
    """

    def __init__(self, batch: dict[str, Sequence[Any]], callbacks: Sequence[str]) -> None:
        self.batch = batch
        self.callbacks = callbacks
        self.reply: Future[dict[str, Any]] = Future()

    def is_for(self, arguments: dict[str, Any]) -> bool:
        """Whether these are its arguments: the same objects in each column."""
        if arguments.keys() != {*self.batch, *self.callbacks, "trainer_state"}:
            return False
        return all(
            len(column) == len(arguments[name]) and all(map(operator.is_, column, arguments[name]))
            for name, column in self.batch.items()
        )


class RemoteReward:
    """
    A reward function as TRL calls it, whose call was made elsewhere.

    Args:
        reward (`Callable`):
            What it stands for, a [`~trl_r1.rewards.CheckedReward`] or a plain function.
        name (`str`):
            Name in logs.

    Attributes:
        call ([`Call`] or `None`): the call that was made for the coming batch.
    """

    def __init__(self, reward: Callable[..., Any], name: str) -> None:
        self.__wrapped__: Callable[..., Any] = reward.function if isinstance(reward, CheckedReward) else reward
        self.__name__ = name
        self.callbacks = ["log_extra", "log_metric"]
        if isinstance(reward, CheckedReward) and reward.budget is not None:
            self.callbacks.append("log_fault")
        self.call: Call | None = None

    def in_place_of(self, reward: Callable[..., Any]) -> Callable[..., Any]:
        """What takes the reward's place in the trainer: itself, with the reward's checks and budget around it."""
        if not isinstance(reward, CheckedReward):
            return self
        checked = CheckedReward(self, reward.parameters, reward.spec)
        checked.rename(reward.name)
        checked.budget = reward.budget
        return checked

    def __call__(self, **arguments: Any) -> Any:
        """Score a batch: what the process found, else in place."""
        call, self.call = self.call, None
        if call is None:
            return self.__wrapped__(**arguments)
        if not call.is_for(arguments):
            _warn_once(self, "reward %r runs in place: it got another batch than was generated", self.__name__)
            return self.__wrapped__(**arguments)
        try:
            reply = self._wait_for(call)
        except RewardProcessError as error:
            reply = {"failure": f"its process is gone: {error}"}
        if failure := reply.get("failure"):
            _warn_once(self, "reward %r runs in place: %s", self.__name__, failure)
            return self.__wrapped__(**arguments)
        for name, positional, named in reply["logged"]:
            arguments[name](*positional, **named)
        if "error" in reply:
            raise_at(reply["error"], reply["place"], reply["traceback"])
        return reply["output"]

    def _wait_for(self, call: Call) -> dict[str, Any]:
        """The reply. A reward that hangs would hang in place too, but here somebody can say so."""
        waited = 0.0
        while not wait([call.reply], timeout=PATIENCE_SECONDS).done:
            waited += PATIENCE_SECONDS
            logger.warning(
                "the trainer has waited %.0f s for reward %r; one that may hang needs a time limit of its own",
                waited,
                self.__name__,
            )
        return call.reply.result()


def raise_at(error: BaseException, place: tuple[str, int], trace: str) -> None:
    """
    Raise an error that another process met, as if it had been met here: with the file and the line it came from.

    Args:
        error (`BaseException`):
            It arrives without a traceback.
        place (`tuple[str, int]`):
            File and line it was raised in.
        trace (`str`):
            Its traceback as text, added as a note.
    """
    file, line = place
    error.add_note(f"raised in a reward process (reward_workers: 0 runs rewards in place):\n{trace}")
    exec(compile("\n" * (line - 1) + "raise error", file, "exec"), {"error": error})


def _ask(process: RewardProcess, calls: list[tuple[Future[dict[str, Any]], bytes]]) -> None:
    """Make the calls of one process, one after another."""
    for reply, request in calls:
        try:
            reply.set_result(process.ask(request))
        except BaseException as error:  # noqa: BLE001  (handed on; without it the trainer would wait for ever)
            reply.set_exception(error)


_warned: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


def _warn_once(owner: Any, message: str, *values: Any) -> None:
    """Log a warning, once for each object and message."""
    if message not in _warned.setdefault(owner, set()):
        _warned[owner].add(message)
        logger.warning(message, *values)
