"""Dynamic sampling: groups without signal are replaced by groups of fresh prompts before a step is made on them.

Source: DAPO, https://arxiv.org/abs/2503.14476, section 3.2. A group whose rewards are all equal has no advantage; the
more of them a batch holds, the noisier its gradient. Here a rollout keeps its size and its first groups, and only the
places of groups without signal are generated anew.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import IterableDataset

from trl_r1.data.difficulty import prompt_key
from trl_r1.errors import RecipeError
from trl_r1.trainer.fresh_prompts import FreshPrompts
from trl_r1.trainer.rollout import tied_groups
from trl_r1.trainer.rounds import (
    ITEMS,
    TOTAL,
    Round,
    choose_groups,
    empty_table,
    extend_table,
    merge_metrics,
    merge_outputs,
    rows_of,
)


if TYPE_CHECKING:
    from trl_r1.trainer.grpo_trainer import R1GRPOTrainer

logger = logging.getLogger(__name__)

Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Totals:
    """
    What a run has generated and used so far, over all processes.

    Args:
        generated_completions, generated_tokens (`int`):
            Completions and their tokens, in every round.
        trained_completions (`int`):
            Completions that went into a rollout.
        discarded_completions, discarded_tokens (`int`):
            The others: groups without signal that were replaced, and groups too many.
        prompts_drawn (`int`):
            Fresh prompts.
    """

    generated_completions: int = 0
    generated_tokens: int = 0
    trained_completions: int = 0
    discarded_completions: int = 0
    discarded_tokens: int = 0
    prompts_drawn: int = 0


class DynamicSampler:
    """
    Replaces groups without signal by groups of fresh prompts.

    Args:
        trainer ([`R1GRPOTrainer`]):
            After its construction; `args.dynamic_sampling` is true.

    Raises:
        [`RecipeError`]: when the data, the model or the batch of a process does not allow it.
    """

    def __init__(self, trainer: R1GRPOTrainer) -> None:
        problems = _problems(trainer)
        if problems:
            raise RecipeError(problems)
        self._trainer = trainer
        curriculum = trainer._curriculum
        order = None if curriculum is None else curriculum.next_order
        self._fresh = FreshPrompts(trainer.train_dataset, trainer.args.seed, order)
        self.totals = Totals()
        self._warned = False
        trainer._stateful["dynamic_sampling"] = self

    def fill(self, rows: Rows, generate: Callable[[Rows], dict[str, Any]]) -> dict[str, Any]:
        """
        A rollout of as many groups as `rows` holds, each with signal, as far as the rounds go.

        Args:
            rows (`list[dict[str, Any]]`):
                Rows of this process, a group's rows side by side.
            generate (`Callable`):
                Generates and scores one round; every process calls it equally often, with equally many rows.

        Returns:
            `dict[str, Any]`: what TRL's `_generate_and_score_completions` returns.
        """
        rounds = [self._round(rows, generate)]
        chosen, lacks = choose_groups([rounds[0].signal])
        while any(lacks) and len(rounds) < self._trainer.args.dynamic_sampling_max_rounds:  # type: ignore[attr-defined]
            fresh = self._draw(rounds, lacks)
            if not fresh:
                break
            rounds.append(self._round(fresh, generate))
            chosen, lacks = choose_groups([one.signal for one in rounds])
        self._warn(lacks, len(rounds))
        self._log_rounds(rounds)
        picks = rows_of(chosen[self._process], self._group_size)
        self._count(rounds, picks, lacks)
        everywhere = rows_of(_everywhere(rounds, chosen), self._group_size)
        extend_table(self._trainer._logs, rounds, everywhere)
        trained = torch.stack([rounds[number].rollout.totals[row] for number, row in everywhere])
        self._trainer._metrics["train"]["dynamic_sampling/trained_reward"].append(trained.nanmean().item())
        if len(rounds) == 1:
            return rounds[0].output
        return self._merge(rounds, picks)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream of prompts stands, and the totals."""
        return {"fresh": self._fresh.state_dict(), "totals": asdict(self.totals), "warned": self._warned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._fresh.load_state_dict(state["fresh"])
        self.totals = Totals(**state["totals"])
        self._warned = state["warned"]

    @property
    def _process(self) -> int:
        return int(self._trainer.accelerator.process_index)

    @property
    def _group_size(self) -> int:
        size: Any = self._trainer.num_generations
        return int(size)

    def _round(self, rows: Rows, generate: Callable[[Rows], dict[str, Any]]) -> Round:
        """Generate and score, with what TRL logs on the way kept apart."""
        trainer: Any = self._trainer
        metrics, table = trainer._metrics["train"], trainer._logs
        own: defaultdict[str, list[float]] = defaultdict(list)
        trainer._metrics["train"], trainer._logs = own, empty_table()
        try:
            output = generate(rows)
            rollout = trainer._last_rollout
            tied = tied_groups(rollout.totals, self._group_size).view(trainer.accelerator.num_processes, -1)
            return Round(
                output=output, rollout=rollout, signal=~tied.cpu(), metrics=dict(own), table=dict(trainer._logs)
            )
        finally:
            trainer._metrics["train"], trainer._logs = metrics, table

    def _draw(self, rounds: Sequence[Round], lacks: Sequence[int]) -> Rows:
        """
        Rows of the next round: this process's share of fresh prompts, each as often as a group has rows.

        As many as the neediest process is expected to need at the rate of groups with signal in this rollout so far,
        and no more than in the first round, which fitted into memory. Too many are thrown away, too few cost another
        round.
        """
        groups = sum(one.signal.numel() for one in rounds)
        rate = (sum(int(one.signal.sum()) for one in rounds) + 1) / (groups + 2)
        count = min(rounds[0].signal.size(1), math.ceil(max(lacks) / rate))
        taken = {prompt_key(prompt) for one in rounds for prompt in one.table["prompt"]}
        processes = len(lacks)
        prompts = self._fresh.draw(count * processes, taken)
        count = len(prompts) // processes
        self.totals.prompts_drawn += count * processes
        own = prompts[self._process * count : (self._process + 1) * count]
        return [dict(row) for row in own for _ in range(self._group_size)]

    def _merge(self, rounds: Sequence[Round], picks: Sequence[tuple[int, int]]) -> dict[str, Any]:
        trainer: Any = self._trainer
        merged = merge_outputs(rounds, picks, trainer._tokenizer.pad_token_id, trainer.pad_to_multiple_of)
        mask = merged["completion_mask"] * merged.get("tool_mask", 1)
        merged[ITEMS] = trainer.accelerator.gather(mask.sum()).sum()  # as TRL: loss tokens of all processes
        return merged

    def _count(self, rounds: Sequence[Round], picks: Sequence[tuple[int, int]], lacks: Sequence[int]) -> None:
        """Bring the totals up to date and log them."""
        accelerator = self._trainer.accelerator
        local = [sum(sum(one.lengths) for one in rounds), sum(rounds[number].lengths[row] for number, row in picks)]
        counted = accelerator.gather(torch.tensor([local], device=accelerator.device)).sum(dim=0)
        generated, trained = (int(value) for value in counted.tolist())
        totals, rows = self.totals, sum(one.rows for one in rounds)
        totals.generated_completions += rows
        totals.generated_tokens += generated
        totals.trained_completions += rounds[0].rows
        totals.discarded_completions += rows - rounds[0].rows
        totals.discarded_tokens += generated - trained
        metrics: Any = self._trainer._metrics["train"]
        metrics["dynamic_sampling/rounds"].append(float(len(rounds)))
        metrics["dynamic_sampling/groups_without_signal"].append(float(sum(lacks)))
        metrics["dynamic_sampling/trained_mean_length"].append(trained / rounds[0].rows)
        for name, value in asdict(totals).items():
            metrics[f"dynamic_sampling/{name}"] = [float(value)]  # a sum so far, like TRL's num_tokens

    def _log_rounds(self, rounds: Sequence[Round]) -> None:
        """Put what TRL logged in each round back, as the log of one rollout."""
        trainer: Any = self._trainer
        metrics = trainer._metrics["train"]
        if len(rounds) == 1:
            for name, values in rounds[0].metrics.items():
                metrics[name] = values if name == TOTAL else [*metrics[name], *values]
        else:
            for name, value in merge_metrics([(one.rows, one.metrics) for one in rounds]).items():
                metrics[name] = [value] if name == TOTAL else [*metrics[name], value]

    def _warn(self, lacks: Sequence[int], rounds: int) -> None:
        if not any(lacks) or self._warned:
            return
        self._warned = True
        logger.warning(
            "dynamic_sampling: %d groups of a rollout have no signal after %d rounds and are trained on as they are; "
            "raise dynamic_sampling_max_rounds (%d), or give prompts nearer to what the policy can do (`curriculum`). "
            "`dynamic_sampling/groups_without_signal` counts them from now on",
            sum(lacks),
            rounds,
            self._trainer.args.dynamic_sampling_max_rounds,  # type: ignore[attr-defined]
        )


def _everywhere(rounds: Sequence[Round], chosen: Sequence[Sequence[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Round and group in it of all processes' places, process by process."""
    groups = [one.signal.size(1) for one in rounds]
    return [
        (number, process * groups[number] + group) for process, places in enumerate(chosen) for number, group in places
    ]


def _problems(trainer: R1GRPOTrainer) -> list[str]:
    """Why a trainer cannot sample dynamically, a line each."""
    args: Any = trainer.args
    dataset: Any = trainer.train_dataset
    problems = []
    if dataset is None or isinstance(dataset, IterableDataset):
        problems.append(
            "dynamic_sampling: true draws prompts by their number, which a streamed or missing train_dataset has not; "
            "load it whole"
        )
    elif {"image", "images"} & set(dataset.column_names) or trainer._is_vlm:
        problems.append("dynamic_sampling: true cannot merge images; set it to false, or leave image columns out")
    if trainer.environment_factories is not None:
        problems.append("dynamic_sampling: true knows no environment_factory; use tools, or set it to false")
    rows, size = args.per_device_train_batch_size * args.steps_per_generation, trainer.num_generations
    if rows % size:
        problems.append(
            f"dynamic_sampling: true needs whole groups in a process, and {rows} rows (per_device_train_batch_size "
            f"{args.per_device_train_batch_size} x steps_per_generation {args.steps_per_generation}) are no multiple "
            f"of num_generations {size}; change one of them"
        )
    return problems
