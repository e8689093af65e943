"""Is the answer right? The paper's accuracy reward for questions with a deterministic result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trl_r1.rewards.completions import Text, parse_completions
from trl_r1.verifiers import Verdict, verify_math_batch


def accuracy_reward(
    completions: Sequence[Text],
    solution: Sequence[str | None],
    prompt_tail: Sequence[str | None] | None = None,
    response_format: Sequence[str | None] | None = None,
    log_extra: Callable[[str, list[Any]], None] | None = None,
    log_metric: Callable[[str, float], None] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    r"""
    Reward 1.0 for a right answer and 0.0 for a wrong or missing one.

    Only what follows the thoughts is graded, by [`~trl_r1.verifiers.verify_math`].

    Args:
        completions (`Sequence[str | list[dict[str, Any]]]`):
            Completions, as text or as messages.
        solution (`Sequence[str | None]`):
            Gold answer of each row. `None` marks a row without one, such as a general question.
        prompt_tail (`Sequence[str | None]`, *optional*):
            End of each prompt, where a think tag may be prefilled.
        response_format (`Sequence[str | None]`, *optional*):
            `"r1_zero"` or `"r1"` (default), of each row.
        log_extra (`Callable`, *optional*):
            Given by the trainer: adds a column to the table of completions.
        log_metric (`Callable`, *optional*):
            Given by the trainer: logs how many answers overran or could not be judged.

    Returns:
        `list[float | None]`: `None` where there is no gold answer, or where it or the verifier failed.

    Example:

    ```python
    >>> accuracy_reward(["<think> a half </think> \\boxed{\\frac12}", "<think> 0.5 </think>"], ["0.5", "0.5"])
    [1.0, 0.0]
    ```
    """
    parsed = parse_completions(completions, prompt_tail, response_format)
    rows = [index for index, gold in enumerate(solution) if gold is not None]
    pairs = [(parsed[index].answer or "", str(solution[index])) for index in rows]
    judgements = dict(zip(rows, verify_math_batch(pairs), strict=True))
    if log_extra is not None:
        log_extra("verdict", [judgements[i].reason if i in judgements else "" for i in range(len(completions))])
    if log_metric is not None and rows:
        overran = sum(judgement.decided_by == "overrun" for judgement in judgements.values())
        undecided = sum(judgement.verdict is Verdict.UNDECIDABLE for judgement in judgements.values())
        log_metric("accuracy/overrun", overran / len(rows))
        log_metric("accuracy/undecidable", undecided / len(rows))
    return [judgements[i].reward if i in judgements else None for i in range(len(completions))]
