"""When a run goes wrong: each rule reads the log rows so far and says in a sentence what it sees, or nothing.

Rules know nothing but log rows. These survive a checkpoint and are the same on every process, so a resumed run goes on
with the same alarms, and all processes stop together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from trl_r1.trainer.callbacks.alarm_thresholds import AlarmThresholds
from trl_r1.trainer.callbacks.judged_row import JudgedRow
from trl_r1.trainer.callbacks.log_history import LogHistory


TOLD_AT_EVALUATION: Final = "signals/correct at evaluations"  # of the last rows before each

Check = Callable[[LogHistory, AlarmThresholds], str | None]
# How well a completion shows what the alarm is about, the highest first; `None` for not at all.
Shows = Callable[[JudgedRow], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """
    One alarm.

    Args:
        name (`str`):
            In `alarms.jsonl`.
        check (`Callable`):
            What it sees, in a sentence, or `None`.
        advice (`str`):
            What to do.
        shows (`Callable`):
            Which completions are its evidence.
        worth_saving (`bool`, *optional*, defaults to `True`):
            Whether the weights are still good for a checkpoint.
    """

    name: str
    check: Check
    advice: str
    shows: Shows = lambda row: 0.0
    worth_saving: bool = True


def _not_finite(history: LogHistory, limits: AlarmThresholds) -> str | None:
    for name in ("loss", "grad_norm"):
        value = history.row.get(name)
        if not isinstance(value, float) or math.isfinite(value):
            continue
        # The loss scaler of fp16 leaves out a step whose gradients overflow, as the first few do
        if history.column(name).missing >= (limits.window if history.scaled and name == "grad_norm" else 1):
            return f"{name} is {value}"
    return None


_REASONS: Final = {
    "all_right": "their completions are all right: use harder prompts, or `curriculum: pass_rate_band`",
    "all_wrong": "their completions are all wrong: use easier prompts, more generations, or a warmer start (SFT)",
    "cancelled": "their rewards differ but the weighted sums are equal: change `reward_weights`",
    "tied_otherwise": "all their rewards are equal: look at what the reward functions return",
}


def _no_signal(history: LogHistory, limits: AlarmThresholds) -> str | None:
    share = history.recent("signals/with_signal", limits.window)
    if share is None or share >= limits.least_signal:
        return None
    shares = {name: history.recent(f"signals/{name}", limits.window) or 0.0 for name in _REASONS}
    most = max(shares, key=lambda name: shares[name])
    return f"{share:.0%} of the groups have any signal; of {shares[most]:.0%}, {_REASONS[most]}"


def _truncated(history: LogHistory, limits: AlarmThresholds) -> str | None:
    share = history.recent("completions/clipped_ratio", limits.window)
    if share is None or share <= limits.most_truncated:
        return None
    return f"{share:.0%} of the completions are cut at max_completion_length"


def _length_collapse(history: LogHistory, limits: AlarmThresholds) -> str | None:
    return _length(history, limits, shorter=True)


def _length_explosion(history: LogHistory, limits: AlarmThresholds) -> str | None:
    return _length(history, limits, shorter=False)


def _length(history: LogHistory, limits: AlarmThresholds, shorter: bool) -> str | None:
    name, rows = "completions/mean_length", max(1, limits.window // 2)
    now, before = history.recent(name, rows), history.median_before(name, rows, limits.long_window)
    if now is None or before is None:
        return None
    cut = history.median_before("completions/clipped_ratio", rows, limits.long_window)
    if shorter and cut is not None and cut > limits.most_truncated / 2:
        return None  # what was cut has learnt to end
    wrong = now * limits.length_factor < before if shorter else now > before * limits.length_factor
    return f"the mean length went from {before:.0f} to {now:.0f} tokens" if wrong else None


def _entropy(history: LogHistory, limits: AlarmThresholds) -> str | None:
    now, start = history.recent("entropy", limits.window), history.at_start("entropy", limits.window)
    if now is None or start is None or now >= limits.least_entropy_share * start:
        return None
    return f"the entropy fell from {start:.3g} to {now:.3g} nats a token"


def _kl(history: LogHistory, limits: AlarmThresholds) -> str | None:
    rows = max(1, limits.window // 2)
    now, before = history.recent_median("kl", rows), history.median_before("kl", rows, limits.long_window)
    if now is None or now <= limits.most_kl:
        return None
    if before is not None and now > limits.kl_factor * before:
        return f"the KL to the reference went from {before:.3g} to {now:.3g} nats a token"
    if now > limits.kl_factor * limits.most_kl:  # however it got there
        return f"the KL to the reference is {now:.3g} nats a token"
    return None


def _clipped(history: LogHistory, limits: AlarmThresholds) -> str | None:
    for name in ("clip_ratio/region_mean", "cispo_clip_ratio"):
        share = history.recent(name, limits.window)
        if share is not None and share > limits.most_clipped:
            return f"{share:.0%} of the tokens are clipped ({name})"
    return None


def _reward_hacking(history: LogHistory, limits: AlarmThresholds) -> str | None:
    names = ("signals/canary_agreement", "signals/canary_reward_right", "signals/canary_right")
    agreement, told, found = (history.recent(name, limits.window) for name in names)
    if agreement is None or told is None or found is None or told <= found:
        return None  # a canary that finds more right is merely less strict
    if agreement < limits.least_agreement:
        return (
            f"the reward calls {told:.0%} of the sample right, the canary {found:.0%}, and they agree on "
            f"{agreement:.0%} of it"
        )
    told_start, found_start = (history.at_start(name, limits.window) for name in names[1:])
    if told_start is None or found_start is None or told - told_start < limits.hacked_gain:
        return None
    if found - found_start > (told - told_start) / 5:
        return None
    return (
        f"what the reward calls right went from {told_start:.0%} to {told:.0%} of the sample, what the canary calls "
        f"right from {found_start:.0%} to {found:.0%}"
    )


def _held_out_gap(history: LogHistory, limits: AlarmThresholds) -> str | None:
    """Of several sets one that rises is enough: another may be about something else."""
    told = history.column(TOLD_AT_EVALUATION).numbers
    found = []
    for name in history.names():
        scores, highs = history.column(name).numbers, history.column(f"{name}_high").numbers
        if not (name.startswith("eval_") and name.endswith("/accuracy")) or len(scores) < 2 or not highs:
            continue
        # an evaluation before the first step has no rollouts beside it: then those of the first steps
        start = told[0] if len(told) >= len(scores) else history.at_start("signals/correct", limits.window)
        if not told or start is None or told[-1] - start < limits.hacked_gain:
            return None
        if highs[-1] - scores[0] >= limits.held_out_share * (told[-1] - start):
            return None
        found.append(
            f"{name.removesuffix('/accuracy').removeprefix('eval_')} from {scores[0]:.0%} to {scores[-1]:.0%} while "
            f"the reward called {start:.0%}, then {told[-1]:.0%} of the rollouts right"
        )
    return f"held-out accuracy of {'; of '.join(found)}" if found else None


def _reward_constant(history: LogHistory, limits: AlarmThresholds) -> str | None:
    """Never once in the run did it vary. 0 or 1 throughout may be right, but not for what says which answer is."""
    found = []
    for name in history.names():
        if not (name.startswith("rewards/") and name.endswith("/mean")):
            continue
        means, reward = history.column(name), name.split("/")[1]
        on = history.column(f"{reward}/on")  # logged by a reward of the last steps, which is silent before them
        rows = sum(on.numbers) if on.rows else means.rows
        if rows >= limits.long_window and not means.numbers:
            found.append(f"{reward} never judged a completion")
        if len(means.numbers) < limits.long_window or not means.constant or means.numbers[0] in (0, 1):
            continue
        if history.column(f"rewards/{reward}/std").largest < 1e-6:  # not exactly 0: the mean was rounded
            found.append(f"{reward} gave every completion {means.numbers[0]:g}")
    lowest, highest = history.column("signals/judge_lowest"), history.column("signals/judge_highest")
    never_varied = lowest.constant and highest.constant and lowest.numbers[:1] == highest.numbers[:1]
    if never_varied and len(lowest.numbers) >= limits.long_window:
        found.append(f"the reward that says what is right gave every completion {lowest.numbers[0]:g}")
    return "; ".join(found) or None


def _think_lost(history: LogHistory, limits: AlarmThresholds) -> str | None:
    name = "signals/think_closed"
    now, before = history.recent(name, limits.window), history.median_before(name, limits.window, limits.window)
    if now is None or before is None or before < 0.5 or now >= limits.least_closed:
        return None
    return f"{now:.0%} of the completions have closed think tags, {before:.0%} had them before"


def _same_text(history: LogHistory, limits: AlarmThresholds) -> str | None:
    share = history.recent("signals/same_text", max(1, limits.window // 2))
    if share is None or share <= limits.most_same_text:
        return None
    return f"{share:.0%} of a rollout's completions are the same text, whatever the prompt"


def _reflective(history: LogHistory, limits: AlarmThresholds) -> str | None:
    rate = history.recent("signals/reflective_per_100_words", max(1, limits.window // 2))
    if rate is None or rate <= limits.most_reflective:
        return None
    return f"{rate:.0f} of 100 words of the thoughts are reflective words, such as `wait`"


RULES: Final = (
    AlarmRule(
        name="not_finite",
        check=_not_finite,
        advice="the weights are lost from here on; go back to an earlier checkpoint with a lower learning_rate, a "
        "smaller max_grad_norm, or bf16 instead of fp16",
        worth_saving=False,
    ),
    AlarmRule(
        name="no_signal",
        check=_no_signal,
        advice="such groups teach nothing, at full price; `dynamic_sampling: true` replaces them",
        shows=lambda row: 0.0 if row.tied else None,
    ),
    AlarmRule(
        name="truncated",
        check=_truncated,
        advice="raise max_completion_length, or see whether the completions end at all (stop token, repetition)",
        shows=lambda row: float(row.tokens) if row.truncated else None,
    ),
    AlarmRule(
        name="length_collapse",
        check=_length_collapse,
        advice="a short way to the reward was found; look at the rewards of the shortest completions",
        shows=lambda row: -float(row.tokens),
    ),
    AlarmRule(
        name="length_explosion",
        check=_length_explosion,
        advice="see whether the longest completions repeat themselves; a get_length_reward or a repetition penalty "
        "helps, loss_type dr_grpo too",
        shows=lambda row: float(row.tokens),
    ),
    AlarmRule(
        name="entropy_collapse",
        check=_entropy,
        advice="the policy no longer explores; raise epsilon_high or temperature, lower learning_rate, or take a "
        "checkpoint from before",
    ),
    AlarmRule(
        name="kl_explosion",
        check=_kl,
        advice="lower learning_rate, raise beta, or take a checkpoint from before",
    ),
    AlarmRule(
        name="clipped",
        check=_clipped,
        advice="the policy moves too far between rollouts; lower learning_rate, num_iterations or "
        "steps_per_generation",
    ),
    AlarmRule(
        name="reward_hacking",
        check=_reward_hacking,
        advice="read the completions: the reward calls right what the canary does not; mend the reward first",
        shows=lambda row: 0.0 if row.correct and row.canary is False else None,
    ),
    AlarmRule(
        name="held_out_gap",
        check=_held_out_gap,
        advice="read the completions: the reward is pleased by something that is no better answer, or the training "
        "questions are learnt by heart; mend the reward, or use more and more varied questions",
        shows=lambda row: 1.0 if row.correct and row.canary is False else 0.0 if row.correct else None,
    ),
    AlarmRule(
        name="reward_constant",
        check=_reward_constant,
        advice="see whether the reward reads the right column and the right part of a completion "
        "(`trl-r1 score` shows it on a file), or leave it out",
    ),
    AlarmRule(
        name="think_lost",
        check=_think_lost,
        advice="weigh format_reward more, and see whether max_completion_length leaves room for closing the tags",
    ),
    AlarmRule(
        name="same_text",
        check=_same_text,
        advice="the policy answers without reading; see what this text is rewarded for",
    ),
    AlarmRule(
        name="reflective_spam",
        check=_reflective,
        advice="reflection is imitated, not done; look for a reward that pays for such words or for length",
        shows=lambda row: row.reflective,
    ),
)
