"""Is the completion well formed? The paper's format reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trl_r1.chat_template import Defect
from trl_r1.rewards.completions import Text, parse_completions


def format_reward(
    completions: Sequence[Text],
    prompt_tail: Sequence[str | None] | None = None,
    response_format: Sequence[str | None] | None = None,
    log_extra: Callable[[str, list[Any]], None] | None = None,
    log_metric: Callable[[str, float], None] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """
    Reward 1.0 for a completion without any [`~trl_r1.chat_template.Defect`], else 0.0.

    Source: DeepSeek-R1, section 2.2 (the format reward of R1-Zero).

    Args:
        completions (`Sequence[str | list[dict[str, Any]]]`):
            Completions, as text or as messages.
        prompt_tail (`Sequence[str | None]`, *optional*):
            End of each prompt, where a think tag may be prefilled.
        response_format (`Sequence[str | None]`, *optional*):
            `"r1_zero"` (thoughts, then an answer block) or `"r1"` (thoughts, then a summary; default), of each row.
        log_extra (`Callable`, *optional*):
            Given by the trainer: adds the defects to the table of completions.
        log_metric (`Callable`, *optional*):
            Given by the trainer: logs the share of completions with each defect, as `format/<defect>`.

    Returns:
        `list[float | None]`: never `None` here.

    Example:

    ```python
    >>> format_reward(["<think> two </think> It is 2.", "It is 2."])
    [1.0, 0.0]
    ```
    """
    parsed = parse_completions(completions, prompt_tail, response_format)
    if log_extra is not None:
        log_extra("format_defects", [", ".join(completion.defects) for completion in parsed])
    if log_metric is not None and parsed:
        for defect in Defect:  # the absent ones too: a mean over the steps where one occurred would be too high
            share = sum(defect in completion.defects for completion in parsed) / len(parsed)
            log_metric(f"format/{defect}", share)
    return [float(completion.well_formed) for completion in parsed]
