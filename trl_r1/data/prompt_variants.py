"""
The same question, asked in another way: what evaluation varies to measure prompt sensitivity, and what training may
draw from to reduce it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trl_r1.errors import RecipeError
from trl_r1.recipe.variant_checks import PROBLEM_FIELD, instruction_problems


if TYPE_CHECKING:
    from trl_r1.data.rendering import Prompt, PromptRenderer


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptVariant:
    r"""
    One way to ask a question.

    Args:
        name (`str`):
            Key in records and reports.
        instruction (`str`, *optional*, defaults to `"{problem}"`):
            The question with what is said around it; `{problem}` stands for the question and occurs once.
        system_prompt (`str`, *optional*):
            First message of a chat; in plain text a paragraph before everything.
        examples (`tuple[tuple[str, str], ...]`, *optional*):
            Solved questions shown before, each a problem and a response: turns of a chat, or paragraphs of plain text.
        prompt_template (`str`, *optional*):
            Plain-text template instead of the checkpoint's own way of being asked.
        language (`str`, *optional*):
            Code of the language the words around the question are in.

    Raises:
        [`RecipeError`]: when the instruction does not hold `{problem}` once.

    Example:

    ```python
    >>> PromptVariant(name="boxed", instruction="{problem}\nPut the answer in \\boxed{}.").ask("What is 2 + 3?")
    'What is 2 + 3?\nPut the answer in \\boxed{}.'
    ```
    """

    name: str
    instruction: str = PROBLEM_FIELD
    system_prompt: str | None = None
    examples: tuple[tuple[str, str], ...] = ()
    prompt_template: str | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        if problems := list(instruction_problems(f"variants.{self.name}", {"instruction": self.instruction})):
            raise RecipeError(problems)

    def ask(self, problem: str) -> str:
        """The question with the words around it."""
        before, _, after = self.instruction.partition(PROBLEM_FIELD)
        return before + problem + after

    def to_prompt(self, renderer: PromptRenderer, problem: str) -> Prompt:
        """
        The prompt of a question, as TRL takes it: text, or a list of messages.

        Args:
            renderer ([`PromptRenderer`]):
                How the checkpoint is asked. With a `prompt_template` of the variant's own it must be made with that.
            problem (`str`):
                The bare question.
        """
        prompt = renderer.to_prompt(self.ask(problem))
        if isinstance(prompt, str):
            shown = [f"{renderer.to_prompt(self.ask(question))} {answer}" for question, answer in self.examples]
            return "\n\n".join([*([self.system_prompt] if self.system_prompt else []), *shown, prompt])
        own_system = [message for message in prompt if message["role"] == "system"]
        system = [_message("system", self.system_prompt)] if self.system_prompt is not None else own_system
        turns = [
            message
            for question, answer in self.examples
            for message in (_message("user", self.ask(question)), _message("assistant", answer))
        ]
        return [*system, *turns, *(message for message in prompt if message["role"] != "system")]


def _message(role: str, content: str) -> Mapping[str, Any]:
    return {"role": role, "content": content}
