"""One whole episode of a GRPO stage, with what each reward function said of it: evidence for the model card."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from transformers import TrainerControl, TrainerState, TrainingArguments
from trl.trainer.utils import nanstd

from trl_r1.chat_template import completion_text
from trl_r1.data.rendering import render_text
from trl_r1.run_records import EPISODE_NAME
from trl_r1.stage_record import write_json
from trl_r1.trainer.rollout import Rollout, RolloutCallback, tied_groups


_STD_OFFSET: Final = 1e-4  # TRL adds it to the deviation it divides by


class EpisodeCallback(RolloutCallback):
    """
    Keeps one group of the latest rollout in `episode.json` in `output_dir`: the first whose total rewards differ, else
    the first.

    Of several rollouts for one step, as the rounds of dynamic sampling are, it is the earliest with such a group, else
    the first: groups of later ones are trained on only where earlier ones teach nothing.

    The file holds the prompt as the policy read it, the reference answer, and the best and the worst completion with
    the value and weight of each reward, their weighted sum and the advantage. It is written by the main process, from
    its own rows, at each checkpoint and at the end. Checkpoints keep the episode too, so that a resumed run that makes
    no further rollout does not lose it. Training is not touched: no random number is drawn, nothing is computed by the
    model.

    Attributes:
        episode (`dict[str, Any]` or `None`): content of the file; `None` before the first rollout, and in the other
            processes.
    """

    def __init__(self) -> None:
        self.episode: dict[str, Any] | None = None
        self._arguments: Any = None
        self._tokenizer: Any = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        """Remember how prompts are shown and advantages made."""
        self._arguments, self._tokenizer = args, processing_class

    def on_rollout(self, rollout: Rollout, log_metric: Callable[[str, float], None]) -> None:
        """Take one group out of the rollout."""
        if rollout.offset:  # not the main process
            return
        found, kept = self._describe(rollout, _telling_group(rollout)), self.episode
        if kept is None or kept["step"] != found["step"] or _tells(found) > _tells(kept):
            self.episode = found

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the file beside the checkpoint."""
        self._write(args, state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the file of the last rollout."""
        self._write(args, state)

    def state_dict(self) -> dict[str, Any]:
        """The episode: the run may end before the next rollout."""
        return {"episode": self.episode}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put it back."""
        self.episode = state["episode"]

    def _describe(self, rollout: Rollout, rows: Sequence[int]) -> dict[str, Any]:
        totals, advantages = rollout.totals.tolist(), group_advantages(rollout, self._arguments).tolist()
        judged = [row for row in rows if not math.isnan(totals[row])]
        best = max(judged, key=totals.__getitem__, default=rows[0])
        worst = min(judged, key=totals.__getitem__, default=rows[0])
        shown = {"best": best} if totals[worst] == totals[best] or not judged else {"best": best, "worst": worst}
        solution = rollout.rows[best].get("solution")
        return {
            "step": rollout.step,
            "num_generations": rollout.num_generations,
            "prompt": _plain(self._show(rollout.prompts[best])),
            "reference": None if solution is None else _plain(str(solution)),
            "totals": [_number(totals[row]) for row in rows],
            "completions": {
                name: _describe_row(rollout, row, totals[row], advantages[row]) for name, row in shown.items()
            },
        }

    def _show(self, prompt: Any) -> str:
        return render_text(prompt, self._tokenizer, getattr(self._arguments, "chat_template_kwargs", None))

    def _write(self, args: TrainingArguments, state: TrainerState) -> None:
        if self.episode is not None and state.is_world_process_zero:
            write_json(Path(str(args.output_dir)) / EPISODE_NAME, self.episode)


def group_advantages(rollout: Rollout, args: Any) -> torch.Tensor:
    """
    The advantages TRL 1.16 gives to a rollout, worked out anew: callbacks see it before they are made.

    Args:
        rollout ([`Rollout`]):
            What was scored.
        args ([`~trl.GRPOConfig`]):
            `scale_rewards`, `multi_objective_aggregation`, and our `drop_tied_groups`.

    Returns:
        `torch.Tensor`: of shape `(rows of all processes,)`, 0 for a row that takes no part.
    """
    size, totals = rollout.num_generations, rollout.totals
    if args.multi_objective_aggregation == "normalize_then_sum":
        groups = rollout.rewards.view(-1, size, len(rollout.reward_names))
        scaled = (groups - groups.nanmean(dim=1, keepdim=True)) / (nanstd(groups, dim=1, keepdim=True) + _STD_OFFSET)
        weights = torch.tensor(rollout.reward_weights, dtype=scaled.dtype, device=scaled.device)
        sums = (scaled.view(len(totals), -1) * weights).nansum(dim=1).masked_fill(totals.isnan(), torch.nan)
        found = (sums - sums.nanmean()) / (nanstd(sums) + _STD_OFFSET)
    else:
        groups = totals.view(-1, size)
        found = groups - groups.nanmean(dim=1, keepdim=True)
        scale = str(args.scale_rewards)
        if scale == "group":
            found = found / (nanstd(groups, dim=1, keepdim=True) + _STD_OFFSET)
        elif scale == "batch":
            found = found / (nanstd(totals) + _STD_OFFSET)
    found = found.reshape(-1).nan_to_num(nan=0.0)
    if getattr(args, "drop_tied_groups", False):
        found = found.masked_fill(tied_groups(totals, size).repeat_interleave(size), 0.0)
    return found


def _telling_group(rollout: Rollout) -> list[int]:
    """Rows of this process (the first) that are a group whose totals differ; the first group's where none do."""
    totals, size, rows = rollout.totals.tolist(), rollout.num_generations, len(rollout.prompts)
    groups = [list(range(start, min(start + size, rows))) for start in range(0, rows, size)]
    telling = (group for group in groups if len({totals[row] for row in group if not math.isnan(totals[row])}) > 1)
    return next(telling, groups[0])


def _tells(episode: Mapping[str, Any]) -> bool:
    """Whether the rewards of its group differ."""
    return "worst" in episode["completions"]


def _describe_row(rollout: Rollout, row: int, total: float, advantage: float) -> dict[str, Any]:
    values = rollout.rewards[row].tolist()
    return {
        "text": _plain(completion_text(rollout.completions[row])),
        "tokens": len(rollout.completion_ids[row]),
        "truncated": bool(rollout.truncated[row]),
        "rewards": [
            {"name": name, "value": _number(value), "weight": weight}
            for name, value, weight in zip(rollout.reward_names, values, rollout.reward_weights, strict=True)
        ],
        "total": _number(total),
        "advantage": _number(advantage),
    }


def _number(value: float) -> float | None:
    """A number that JSON has; `None` where a function did not judge."""
    return value if math.isfinite(value) else None


def _plain(text: str) -> str:
    """Text that can be written as UTF-8: half of a surrogate pair, from a broken data set, cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
