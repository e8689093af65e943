"""How a problem becomes what the policy reads: a filled plain-text template, or a chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trl_r1.chat_template import (
    PROMPT_FIELD,
    THINK_OPEN,
    ResponseFormat,
    load_prompt_template,
    render_plain,
)
from trl_r1.errors import TemplateError
from trl_r1.generation.prompts import render_text as render_text  # also from here, as before


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, Any]
Prompt = str | Sequence[Message]


class PromptRenderer:
    """
    Shows a problem to the policy: through a plain-text template, or as a chat.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`] or `None`):
            Holds the chat template. `None` where a server shows chats in its own way; what it puts at the beginning of
            the response is then not known.
        prompt_template (`str`, *optional*):
            Name or file of a plain-text template; without it prompts are chats.
        response_format (`str`, *optional*):
            `"r1_zero"` or `"r1"`; by default what goes with the kind of prompt.
        chat_template_kwargs (`Mapping[str, Any]`, *optional*):
            Extra arguments of the chat template, as the trainer will give them.
        system_prompt (`str`, *optional*):
            First message of every chat.

    Raises:
        [`TemplateError`]: when chats are wanted and the tokenizer has no chat template.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | None,
        prompt_template: str | None = None,
        response_format: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        system_prompt: str | None = None,
    ) -> None:
        self.tokenizer: Any = tokenizer
        self.template = load_prompt_template(prompt_template) if prompt_template else None
        self.chat_template_kwargs = dict(chat_template_kwargs or {})
        self.system_prompt = system_prompt
        default: ResponseFormat = "r1_zero" if prompt_template else "r1"
        self.response_format = response_format or default
        if self.template is None and tokenizer is not None and not tokenizer.chat_template:
            raise TemplateError(
                "chat_template: the tokenizer has none; set `chat_template: r1`, or `prompt_template` for plain text"
            )
        self.prompt_tail = self._find_tail()

    def to_prompt(self, problem: str) -> Prompt:
        """The prompt of a problem, as TRL takes it: text, or a list of messages."""
        if self.template is not None:
            return render_plain(self.template, problem)
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        return [*system, {"role": "user", "content": problem}]

    def to_text(self, prompt: Prompt) -> str:
        """What the policy reads: a prompt with the chat template applied."""
        return render_text(prompt, self.tokenizer, self.chat_template_kwargs)

    def tail_of(self, prompt: Prompt) -> str:
        """The end of a ready-made prompt that belongs to the response."""
        if isinstance(prompt, str):
            return THINK_OPEN if prompt.rstrip().endswith(THINK_OPEN) else ""
        return self.prompt_tail

    def _find_tail(self) -> str:
        """What stands between the assistant's mark and the completion, from a think tag on."""
        if self.template is not None:
            return _from_think_tag(self.template.partition(PROMPT_FIELD)[2])
        if self.tokenizer is None:
            return ""
        messages = [{"role": "user", "content": "?"}]
        kwargs = {"tokenize": False, **self.chat_template_kwargs}
        bare: str = self.tokenizer.apply_chat_template(messages, add_generation_prompt=False, **kwargs)
        return _from_think_tag(self.to_text(messages)[len(bare) :])


def _from_think_tag(text: str) -> str:
    return text[text.index(THINK_OPEN) :] if THINK_OPEN in text else ""
