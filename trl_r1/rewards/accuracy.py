"""Is the answer right? The paper's accuracy reward for questions with a deterministic result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trl_r1.rewards.batches import report_faults
from trl_r1.rewards.completions import Text, parse_completions
from trl_r1.verifiers import Judgement, Verdict, check_golds, verification_counts, verify_math_batch
from trl_r1.verifiers.answers.extraction import gradable_answer


_STEPS = ("extraction", "normalised", "exact", "worker")


def accuracy_reward(
    completions: Sequence[Text],
    solution: Sequence[str | None],
    prompt_tail: Sequence[str | None] | None = None,
    response_format: Sequence[str | None] | None = None,
    log_extra: Callable[[str, list[Any]], None] | None = None,
    log_metric: Callable[[str, float], None] | None = None,
    require_value: bool = False,
    **kwargs: Any,
) -> list[float | None]:
    r"""
    Reward 1.0 for a right answer and 0.0 for a wrong or missing one.

    Only what follows the thoughts is graded, by [`~trl_r1.verifiers.verify_math`]. The rule-based accuracy reward of
    DeepSeek-R1 (section 2.1, and B.3.1 of the supplement).

    Args:
        completions (`Sequence[str | list[dict[str, Any]]]`):
            Completions, as text or as messages.
        solution (`Sequence[str | None]`):
            Gold answer of each row, the dataset's column. `None` marks a row without one, such as a general question.
        prompt_tail (`Sequence[str | None]`, *optional*):
            End of each prompt, where a think tag may be prefilled.
        response_format (`Sequence[str | None]`, *optional*):
            `"r1_zero"` or `"r1"` (default), of each row.
        log_extra (`Callable`, *optional*):
            Given by the trainer: adds two columns to the table of completions, why each answer is right or wrong
            (`verdict`) and how long a worker process took over it (`verdict_seconds`).
        log_metric (`Callable`, *optional*):
            Given by the trainer: logs shares of the answers (`accuracy/overrun`, `accuracy/undecidable`,
            `accuracy/cached`, and `accuracy/by_extraction`, `by_normalised`, `by_exact`, `by_worker` for the step that
            decided), workers killed (`accuracy/killed`) and the slowest answer's time (`accuracy/slowest_seconds`).
        require_value (`bool`, *optional*, defaults to `False`):
            Whether an answer that equals the solution but restates the question, such as `17*23+5`, earns nothing.

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
    pairs = [(gradable_answer(parsed[index]) or "", _gold_text(solution[index])) for index in rows]
    killed = verification_counts()["killed"]
    judgements = dict(zip(rows, verify_math_batch(pairs, require_value=require_value), strict=True))
    if log_extra is not None:
        found = [judgements.get(index) for index in range(len(completions))]
        log_extra("verdict", [judgement.reason if judgement else "" for judgement in found])
        log_extra("verdict_seconds", [round(judgement.seconds, 3) if judgement else 0.0 for judgement in found])
    if log_metric is not None and rows:
        for name, value in _metrics(list(judgements.values())).items():
            log_metric(f"accuracy/{name}", value)
        log_metric("accuracy/killed", float(verification_counts()["killed"] - killed))
    report_faults(kwargs.get("log_fault"), judgements)
    return [judgements[i].reward if i in judgements else None for i in range(len(completions))]


def _check_rows(rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """
    Why rows cannot be judged: their gold answer is none a verifier could confirm.

    Asked through [`~trl_r1.rewards.CheckedReward`] when the data are loaded. Rows of the type `"reasoning"` are left
    out: `load_prompts` checks those whatever the rewards are.
    """
    asked = [index for index, row in enumerate(rows) if (row.get("reward_type") or "reasoning") != "reasoning"]
    asked = [index for index in asked if rows[index].get("solution") is not None]
    problems: list[str | None] = [None] * len(rows)
    golds = [_gold_text(rows[index]["solution"]) for index in asked]
    for index, problem in zip(asked, check_golds(golds), strict=True):
        problems[index] = problem
    return problems


def _gold_text(gold: Any) -> Any:
    """A number as text; what is neither is left for the verifier to refuse."""
    return str(gold) if isinstance(gold, int | float) else gold


accuracy_reward.check_rows = _check_rows  # type: ignore[attr-defined]


def _metrics(judgements: Sequence[Judgement]) -> dict[str, float]:
    """Shares of a batch by the step that decided, and its slowest answer."""
    count = len(judgements)
    shares = {f"by_{step}": sum(each.decided_by == step for each in judgements) / count for step in _STEPS}
    return shares | {
        "overrun": sum(each.decided_by == "overrun" for each in judgements) / count,
        "undecidable": sum(each.verdict is Verdict.UNDECIDABLE for each in judgements) / count,
        "cached": sum(each.cached for each in judgements) / count,
        "slowest_seconds": max(each.seconds for each in judgements),
    }
