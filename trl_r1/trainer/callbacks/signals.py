"""What a rollout says about learning, beside TRL's own metrics: which groups teach, what is long, what is right.

All figures are over the completions of all processes, gathered, and so the same on each of them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate.utils import gather

from trl_r1.chat_template import Defect, ParsedCompletion, completion_text
from trl_r1.data.difficulty import EASY, HARD, PASSING_REWARD, judging_reward
from trl_r1.rewards.completions import parse_completions
from trl_r1.rewards.reflection import count_reflective
from trl_r1.trainer.callbacks.canary import Canary
from trl_r1.trainer.callbacks.judged_row import JudgedRow
from trl_r1.trainer.log_state import as_plain
from trl_r1.trainer.rollout import Rollout, RolloutCallback, tied_groups


FEWEST_GROUPS = 4  # below it, one solved prompt would make most texts the same
CANARY_ROWS = 16
_COLUMNS = ("tokens", "truncated", "think_tokens", "reflective", "words", "closed", "canary")


class RolloutSignals(RolloutCallback):
    """
    Adds `signals/...` to the log rows of an [`R1GRPOTrainer`], which [`AlarmCallback`] reads.

    Undefined figures (the length of right completions where none is right) are left out of a row's mean.

    Args:
        canary (`Callable`, *optional*):
            Second opinion on correctness, from [`get_canary`]; for rows with a `solution`.
        canary_rows (`int`, *optional*, defaults to `16`):
            Most completions of each process it judges in a rollout, spread evenly over it.

    Attributes:
        rows (`list[JudgedRow]`): completions of this process in the last rollout.
    """

    def __init__(self, canary: Canary | None = None, canary_rows: int = CANARY_ROWS) -> None:
        self.rows: list[JudgedRow] = []
        self._canary = canary
        self._canary_rows = canary_rows

    def on_rollout(self, rollout: Rollout, log_metric: Callable[[str, float], None]) -> None:
        """Log what the rollout says and keep its completions as evidence."""
        texts = [completion_text(completion) for completion in rollout.completions]
        parsed = parse_completions(
            rollout.completions,
            [row.get("prompt_tail") for row in rollout.rows],
            [row.get("response_format") for row in rollout.rows],
        )
        correct = correctness(rollout)
        here = slice(rollout.offset, rollout.offset + len(texts))
        second = self._second_opinion(rollout, parsed, correct[here])
        columns = _read(rollout, texts, parsed, second, rollout.rewards.device)
        hashes = torch.tensor([_hash(text) for text in texts], device=rollout.rewards.device)
        for name, value in {
            **group_signals(rollout, correct),
            **row_signals(gather_columns(columns), correct, rollout.num_generations),
            "same_text": same_text_share(_gather(hashes), rollout.num_generations),
        }.items():
            log_metric(f"signals/{name}", value)
        self.rows = _judged_rows(rollout, texts, columns, correct[here])

    def state_dict(self) -> dict[str, Any]:
        """The completions kept as evidence: an alarm may be raised before the next rollout."""
        return {"rows": [{name: as_plain(getattr(row, name)) for name in JudgedRow.__slots__} for row in self.rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put them back."""
        self.rows = [JudgedRow(**row) for row in state["rows"]]

    def _second_opinion(
        self, rollout: Rollout, parsed: Sequence[ParsedCompletion], correct: torch.Tensor
    ) -> list[float]:
        """The canary's verdict on a sample of this process's rows, NaN elsewhere."""
        verdicts = [math.nan] * len(parsed)
        if self._canary is None:
            return verdicts
        asked = range(0, len(parsed), max(1, math.ceil(len(parsed) / self._canary_rows)))
        judged = [row for row in asked if not correct[row].isnan() and rollout.rows[row].get("solution") is not None]
        found = self._canary(
            [parsed[row].answer or "" for row in judged], [str(rollout.rows[row]["solution"]) for row in judged]
        )
        for row, verdict in zip(judged, found, strict=True):
            verdicts[row] = math.nan if verdict is None else float(verdict)
        return verdicts


def correctness(rollout: Rollout) -> torch.Tensor:
    """1.0 where a completion passes, as `trl_r1.data.difficulty` defines it, 0.0 where it fails, NaN if not judged."""
    judged = rollout.rewards[:, judging_reward(rollout.reward_names)]
    return (judged == PASSING_REWARD).to(judged.dtype).masked_fill(judged.isnan(), torch.nan)


def group_signals(rollout: Rollout, correct: torch.Tensor) -> dict[str, float]:
    """
    Shares of the groups that teach something and, by reason, of those that do not; they add up to 1.

    Args:
        rollout ([`Rollout`]):
            What was scored.
        correct (`torch.Tensor`):
            Of shape `(rows of all processes,)`, from [`correctness`].

    Returns:
        `dict[str, float]`: `with_signal`; tied because `all_right` or `all_wrong`; `cancelled`, where rewards differ
        and their weighted sums do not; `tied_otherwise`, where nothing says what is right. Then `correct`, the share
        of right completions, and the span of the reward that says so.
    """
    size = rollout.num_generations
    tied = tied_groups(rollout.totals, size)
    differs = torch.zeros_like(tied)
    for column, weight in enumerate(rollout.reward_weights):
        if weight:
            differs |= ~tied_groups(rollout.rewards[:, column], size)
    judged, right = ~correct.isnan().view(-1, size), (correct == 1.0).view(-1, size)
    plain = tied & ~differs & judged.any(dim=1)
    all_right, all_wrong = plain & (right | ~judged).all(dim=1), plain & ~right.any(dim=1)
    told = rollout.rewards[:, judging_reward(rollout.reward_names)]
    told = told[~told.isnan()]
    return {
        "with_signal": _share(~tied),
        "all_right": _share(all_right),
        "all_wrong": _share(all_wrong),
        "cancelled": _share(tied & differs),
        "tied_otherwise": _share(tied & ~differs & ~all_right & ~all_wrong),
        "correct": _mean(correct),
        "judge_lowest": told.min().item() if len(told) else math.nan,
        "judge_highest": told.max().item() if len(told) else math.nan,
    }


def row_signals(columns: dict[str, torch.Tensor], correct: torch.Tensor, num_generations: int) -> dict[str, float]:
    """
    Lengths, truncation and words, by correctness and difficulty.

    Args:
        columns (`dict[str, torch.Tensor]`):
            Of shape `(rows of all processes,)` each, from [`gather_columns`].
        correct (`torch.Tensor`):
            Of the same shape, from [`correctness`].
        num_generations (`int`):
            Rows of a group.

    Returns:
        `dict[str, float]`: by name; NaN where no completion is of the kind.
    """
    tokens, truncated, thinking = columns["tokens"], columns["truncated"], columns["think_tokens"]
    words, canary = columns["words"].sum().item(), columns["canary"]
    pass_rate = correct.view(-1, num_generations).nanmean(dim=1).repeat_interleave(num_generations)
    both = correct.masked_fill(canary.isnan(), torch.nan)
    agreement = (both == canary).float().masked_fill(both.isnan(), torch.nan)
    return {
        "length_correct": _mean(tokens[correct == 1.0]),
        "length_wrong": _mean(tokens[correct == 0.0]),
        "truncated_correct": _mean(truncated[correct == 1.0]),
        "truncated_wrong": _mean(truncated[correct == 0.0]),
        "think_tokens": _mean(thinking),
        "think_tokens_hard": _mean(thinking[pass_rate < HARD]),
        "think_tokens_middle": _mean(thinking[(pass_rate >= HARD) & (pass_rate <= EASY)]),
        "think_tokens_easy": _mean(thinking[pass_rate > EASY]),
        "think_closed": _mean(columns["closed"]),
        "reflective_per_100_words": 100 * columns["reflective"].sum().item() / words if words else math.nan,
        "canary_right": _mean(canary),
        "canary_reward_right": _mean(both),
        "canary_agreement": _mean(agreement),
    }


def same_text_share(hashes: torch.Tensor, num_generations: int) -> float:
    """Share of the completions with the most frequent text; NaN for less than four groups."""
    if len(hashes) < FEWEST_GROUPS * num_generations:
        return math.nan
    _, counts = hashes.unique(return_counts=True)
    return int(counts.max()) / len(hashes)


def gather_columns(columns: torch.Tensor) -> dict[str, torch.Tensor]:
    """Columns of this process, shape `(rows, columns)`, as those of all processes, by name."""
    return dict(zip(_COLUMNS, _gather(columns).unbind(dim=1), strict=True))


def _read(
    rollout: Rollout,
    texts: Sequence[str],
    parsed: Sequence[ParsedCompletion],
    canary: Sequence[float],
    device: torch.device,
) -> torch.Tensor:
    """The columns of this process's rows, shape `(rows, columns)`."""
    rows = []
    for text, split, ids, truncated, verdict in zip(
        texts, parsed, rollout.completion_ids, rollout.truncated, canary, strict=True
    ):
        tokens = len(ids)
        # No second tokenisation: thoughts have their share of the characters
        share = min(1.0, len(split.reasoning or "") / max(1, len(text)))
        closed = split.reasoning is not None and Defect.MISSING_CLOSE not in split.defects
        rows.append((tokens, truncated, tokens * share, *count_reflective(split.reasoning), closed, verdict))
    return torch.tensor(rows, dtype=torch.float32, device=device).view(-1, len(_COLUMNS))


def _judged_rows(
    rollout: Rollout, texts: Sequence[str], columns: torch.Tensor, correct: torch.Tensor
) -> list[JudgedRow]:
    tied = tied_groups(rollout.totals, rollout.num_generations).tolist()
    rewards, verdicts = rollout.local_rewards.tolist(), correct.tolist()
    return [
        JudgedRow(
            prompt=rollout.prompts[row],
            text=text,
            rewards={n: v for n, v in zip(rollout.reward_names, rewards[row], strict=True) if not math.isnan(v)},
            tokens=len(rollout.completion_ids[row]),
            truncated=rollout.truncated[row],
            tied=tied[(rollout.offset + row) // rollout.num_generations],
            correct=_told(verdicts[row]),
            canary=_told(read[_COLUMNS.index("canary")]),
            reflective=100 * read[_COLUMNS.index("reflective")] / max(1.0, read[_COLUMNS.index("words")]),
        )
        for row, (text, read) in enumerate(zip(texts, columns.tolist(), strict=True))
    ]


def _told(value: float) -> bool | None:
    return None if math.isnan(value) else value == 1.0


def _hash(text: str) -> int:
    """64 bits of a text, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), signed=True)


def _gather(tensor: torch.Tensor) -> torch.Tensor:
    gathered: torch.Tensor = gather(tensor)
    return gathered


def _share(groups: torch.Tensor) -> float:
    return _mean(groups.float())


def _mean(values: torch.Tensor) -> float:
    """Mean of the values that are not NaN; NaN without any."""
    return float(values.nanmean())
