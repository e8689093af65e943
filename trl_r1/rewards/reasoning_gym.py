"""Is the puzzle solved? The paper's accuracy reward for logic, on reasoning-gym's tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trl_r1.rewards.batches import column_of, report_faults
from trl_r1.rewards.completions import Text, parse_completions
from trl_r1.verifiers.reasoning_gym import check_puzzles, require_reasoning_gym, verify_puzzles


class ReasoningGymReward:
    """
    1.0 for a solved puzzle, else 0.0.

    Made by [`get_reasoning_gym_reward`], which documents the arguments. Instances pickle.
    """

    def __init__(self, entry_column: str = "entry") -> None:
        require_reasoning_gym()
        self.entry_column = entry_column
        self.__name__ = "reasoning_gym_reward"

    def __call__(
        self,
        completions: Sequence[Text],
        prompt_tail: Sequence[str | None] | None = None,
        response_format: Sequence[str | None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_fault: Callable[[int, str], None] | None = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. `None` where the row has no puzzle, or an unusable one."""
        parsed = parse_completions(completions, prompt_tail, response_format)
        entries = column_of(kwargs, self.entry_column, self.__name__, "entry_column")
        rows = [index for index, entry in enumerate(entries) if entry is not None]
        judged = verify_puzzles([(parsed[index].answer or "", entries[index]) for index in rows])
        judgements = dict(zip(rows, judged, strict=True))
        if log_extra is not None:
            log_extra("puzzle", [judgements[i].reason if i in judgements else "" for i in range(len(parsed))])
        report_faults(log_fault, judgements)
        return [judgements[i].reward if i in judgements else None for i in range(len(parsed))]

    def check_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """Why rows of the training data cannot be judged, `None` where they can."""
        problems: list[str | None] = [None] * len(rows)
        entries = {index: row.get(self.entry_column) for index, row in enumerate(rows)}
        asked = [index for index, entry in entries.items() if isinstance(entry, str)]
        for index, problem in zip(asked, check_puzzles([str(entries[index]) for index in asked]), strict=True):
            problems[index] = problem
        for index, entry in entries.items():
            if entry is not None and not isinstance(entry, str):
                problems[index] = f"{self.entry_column} is a {type(entry).__name__}; write it with json.dumps"
        return problems


def get_reasoning_gym_reward(entry_column: str = "entry") -> ReasoningGymReward:
    r"""
    Reward 1.0 for an answer to which reasoning-gym's scorer gives 1.0, else 0.0.

    The answer is the last `\boxed{}` of what follows the thoughts, or all of it. The scorer's partial credit is not
    used: `countdown` pays .01 for no answer at all, and the default scorer pays for the right answer inside a longer
    text. About ten scorers evaluate the answer as Python; here an answer that is not plain arithmetic or a literal is
    wrong, and so is one that overruns.

    Source: DeepSeek-R1, section B.3.1 (logic: ciphers, zebra puzzles, the 24 game, ..., 1 or 0).

    Args:
        entry_column (`str`, *optional*, defaults to `"entry"`):
            Dataset column with the puzzle as reasoning-gym made it, written by `json.dumps`. Rows with `None` get
            `None`. Rows whose own answer does not earn 1.0 are dropped when the data are loaded.

    Returns:
        [`ReasoningGymReward`]

    Raises:
        [`R1Error`]: when reasoning-gym is not installed (extra `tasks`).

    Example:

    ```python
    >>> import json, reasoning_gym
    >>> entry = json.dumps(reasoning_gym.create_dataset("basic_arithmetic", size=1, seed=0)[0])
    >>> completions = [f"<think> t </think> {json.loads(entry)['answer']}", "<think> t </think> no idea"]
    >>> get_reasoning_gym_reward()(completions, entry=[entry, entry])
    [1.0, 0.0]
    ```
    """
    return ReasoningGymReward(entry_column)
