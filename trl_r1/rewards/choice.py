"""Is the right option chosen? The paper's accuracy reward for questions with lettered options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trl_r1.rewards.batches import column_of, report_faults
from trl_r1.rewards.completions import Text, parse_completions
from trl_r1.verifiers.answers.extraction import gradable_answer
from trl_r1.verifiers.choice import check_choice, verify_choice


class ChoiceReward:
    """
    1.0 for the right option, 0.0 for another one, several or none.

    Made by [`get_choice_reward`], which documents the arguments. Instances pickle.
    """

    def __init__(self, solution_column: str = "solution", choices_column: str = "choices") -> None:
        self.solution_column = solution_column
        self.choices_column = choices_column
        self.__name__ = "choice_reward"

    def __call__(
        self,
        completions: Sequence[Text],
        prompt_tail: Sequence[str | None] | None = None,
        response_format: Sequence[str | None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_fault: Callable[[int, str], None] | None = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. `None` where the row has no usable gold answer."""
        parsed = parse_completions(completions, prompt_tail, response_format)
        golds = column_of(kwargs, self.solution_column, self.__name__, "solution_column")
        choices = kwargs.get(self.choices_column) or [None] * len(parsed)
        judgements = {
            index: verify_choice(gradable_answer(parsed[index]) or "", gold, choices[index])
            for index, gold in enumerate(golds)
            if gold is not None
        }
        if log_extra is not None:
            log_extra("choice_verdict", [judgements[i].reason if i in judgements else "" for i in range(len(parsed))])
        report_faults(log_fault, judgements)
        return [judgements[i].reward if i in judgements else None for i in range(len(parsed))]

    def check_row(self, row: Mapping[str, Any]) -> str | None:
        """Why a row of the training data cannot be judged, or `None`. One without a gold answer is no choice row."""
        gold = row.get(self.solution_column)
        return None if gold is None else check_choice(gold, row.get(self.choices_column))


def get_choice_reward(solution_column: str = "solution", choices_column: str = "choices") -> ChoiceReward:
    r"""
    Reward 1.0 for a completion that chooses the right option, else 0.0.

    The letter is read from what follows the thoughts by [`~trl_r1.verifiers.choice.verify_choice`]: a box, the bare
    letter, a sentence that states it, or the option's text. Two letters are no choice.

    Source: DeepSeek-R1, section B.3.1 (STEM and logic questions: options, 1 or 0).

    Args:
        solution_column (`str`, *optional*, defaults to `"solution"`):
            Dataset column with the right option: its letter or its text. `None` there gives `None`.
        choices_column (`str`, *optional*, defaults to `"choices"`):
            Dataset column with the list of options. A dataset may lack it; the letters A to H are then options.

    Returns:
        [`ChoiceReward`]

    Example:

    ```python
    >>> reward = get_choice_reward()
    >>> completions = ["<think> Bern? </think> The answer is (B).", "<think> B </think> B or C"]
    >>> reward(completions, solution=["B", "B"], choices=[["Rome", "Bern", "Oslo"]] * 2)
    [1.0, 0.0]
    ```
    """
    return ChoiceReward(solution_column, choices_column)
