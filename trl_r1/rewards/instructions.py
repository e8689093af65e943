"""Does the answer keep to the form asked for? Instructions that a program can check, as in IFEval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trl_r1.rewards.batches import column_of
from trl_r1.rewards.completions import Text, parse_completions
from trl_r1.rewards.instruction_checks import Instruction, read_instructions


class InstructionReward:
    """
    Share of a row's instructions that the answer follows.

    Made by [`get_instruction_reward`], which documents the arguments. Instances pickle.
    """

    def __init__(self, strict: bool = False, instructions_column: str = "instructions") -> None:
        self.strict = strict
        self.instructions_column = instructions_column
        self.__name__ = "instruction_reward"

    def __call__(
        self,
        completions: Sequence[Text],
        prompt_tail: Sequence[str | None] | None = None,
        response_format: Sequence[str | None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_fault: Callable[[int, str], None] | None = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. `None` where the row has no instructions, or malformed ones."""
        parsed = parse_completions(completions, prompt_tail, response_format)
        scores: list[float | None] = []
        shown: list[str] = []
        rows = column_of(kwargs, self.instructions_column, self.__name__, "instructions_column")
        for index, (completion, given) in enumerate(zip(parsed, rows, strict=True)):
            score, note = None, ""
            if given is not None and len(given):
                try:
                    score, note = self.score(completion.answer or "", read_instructions(given))
                except ValueError as error:  # the row's doing, which `check_row` finds at load
                    note = str(error)
                    if log_fault is not None:
                        log_fault(index, note)
            scores.append(score)
            shown.append(note)
        if log_extra is not None:
            log_extra("instructions", shown)
        return scores

    def score(self, answer: str, instructions: Sequence[Instruction]) -> tuple[float, str]:
        """Reward of one answer, and which instructions it did not follow."""
        broken = [instruction.type for instruction in instructions if not instruction.holds(answer)]
        followed = len(instructions) - len(broken)
        score = float(not broken) if self.strict else followed / len(instructions)
        return score, f"{followed} of {len(instructions)} followed" + (f", not {', '.join(broken)}" if broken else "")

    def check_row(self, row: Mapping[str, Any]) -> str | None:
        """Why a row of the training data cannot be judged, or `None`."""
        given = row.get(self.instructions_column)
        if given is None or not len(given):
            return None
        try:
            read_instructions(given)
        except ValueError as error:
            return str(error)
        return None


def get_instruction_reward(strict: bool = False, instructions_column: str = "instructions") -> InstructionReward:
    """
    Reward the share of the row's instructions that the answer follows.

    An instruction is `{type: ..., params: {...}}`. Counted are `words`, `characters`, `sentences`, `paragraphs`,
    `lines`, `bullets`, `numbered_items`, `sections` (Markdown headings), `highlights` (`*so*`), `placeholders`
    (`[so]`), `capital_words`, and how often a `keyword` (`word`) or a `letter` (`letter`) occurs; give `at_least`,
    `at_most` or both. Properties are `keywords` and `forbidden_words` (`words`), `starts_with` and `ends_with`
    (`text`), `uppercase`, `lowercase`, `no_commas`, `quoted`, `title` (`<<so>>`), `postscript`, `json`, `one_of`
    (`options`) and `language` (`language`, a two-letter code). Only what follows the thoughts is checked, and an empty
    answer follows nothing.

    Formula: `followed / instructions`, or with `strict` 1.0 if all are followed, else 0.0.

    Source: the kinds of instructions of IFEval (arXiv 2311.07911), on which the paper evaluates; the code is ours.

    Args:
        strict (`bool`, *optional*, defaults to `False`):
            Whether all instructions must be followed.
        instructions_column (`str`, *optional*, defaults to `"instructions"`):
            Dataset column with the list of instructions, or the list as JSON text. Rows with `None` or an empty list
            get `None`.

    Returns:
        [`InstructionReward`]

    Example:

    ```python
    >>> asked = [{"type": "words", "params": {"at_most": 3}}, {"type": "uppercase"}]
    >>> completions = ["<think> loud, short </think> HELLO THERE", "<think> short </think> Hello there"]
    >>> get_instruction_reward()(completions, instructions=[asked, asked])
    [1.0, 0.5]
    ```
    """
    return InstructionReward(strict, instructions_column)
