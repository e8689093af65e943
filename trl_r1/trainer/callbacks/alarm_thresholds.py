"""How far a run may go astray before an alarm is raised."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmThresholds:
    """
    When an alarm is raised. The defaults are far from what a healthy run shows; windows count log rows.

    Args:
        window (`int`, *optional*, defaults to `8`):
            Rows a value must be wrong for, on average.
        long_window (`int`, *optional*, defaults to `20`):
            Rows before a change, or a value that never varies, is judged.
        quiet_rows (`int`, *optional*, defaults to `10`):
            Rows without a reason after which an alarm is over, and may be raised again.
        least_signal (`float`, *optional*, defaults to `0.1`):
            Share of the groups with signal.
        most_truncated (`float`, *optional*, defaults to `0.5`):
            Share of the completions cut at the length limit.
        length_factor (`float`, *optional*, defaults to `4.0`):
            Times the mean length may grow or shrink against its running median.
        least_entropy_share (`float`, *optional*, defaults to `0.02`):
            Share of the entropy at the start.
        most_kl (`float`, *optional*, defaults to `1.0`):
            KL to the reference, in nats a token, when it is also `kl_factor` times its running median; `kl_factor`
            times as much is too much whatever it was.
        kl_factor (`float`, *optional*, defaults to `10.0`):
            See `most_kl`.
        most_clipped (`float`, *optional*, defaults to `0.3`):
            Share of the tokens whose ratio is clipped.
        least_agreement (`float`, *optional*, defaults to `0.7`):
            Share of its sample in which the canary and the reward agree.
        hacked_gain (`float`, *optional*, defaults to `0.15`):
            Rise of the share the reward calls right while the canary sees no more than a fifth of it.
        held_out_share (`float`, *optional*, defaults to `0.5`):
            Share of the rise of what the reward calls right that held-out accuracy may show, its interval's upper end
            counted; below, the rise is not believed.
        most_same_text (`float`, *optional*, defaults to `0.5`):
            Share of a rollout with one and the same text.
        most_reflective (`float`, *optional*, defaults to `15.0`):
            Reflective words in 100 words of the thoughts.
        least_closed (`float`, *optional*, defaults to `0.1`):
            Share of the completions with closed think tags, after half of them had them.
    """

    window: int = 8
    long_window: int = 20
    quiet_rows: int = 10
    least_signal: float = 0.1
    most_truncated: float = 0.5
    length_factor: float = 4.0
    least_entropy_share: float = 0.02
    most_kl: float = 1.0
    kl_factor: float = 10.0
    most_clipped: float = 0.3
    least_agreement: float = 0.7
    hacked_gain: float = 0.15
    held_out_share: float = 0.5
    most_same_text: float = 0.5
    most_reflective: float = 15.0
    least_closed: float = 0.1
