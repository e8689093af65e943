"""What an engine is given: text as the policy reads it, or the messages of a chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trl_r1.errors import R1Error, TemplateError
from trl_r1.generation.types import Prompt


def check_prompts(prompts: Sequence[Any]) -> None:
    """
    Refuse what is no prompt.

    Raises:
        [`R1Error`]: for the first that is neither a non-empty text nor a non-empty list of messages.
    """
    for index, prompt in enumerate(prompts):
        if not prompt or not (isinstance(prompt, str) or _is_chat(prompt)):
            raise R1Error(
                f"prompts: number {index} is {repr(prompt)[:200]}; give a non-empty string, or messages with role and "
                "content"
            )


def _is_chat(prompt: Any) -> bool:
    return isinstance(prompt, list | tuple) and all(
        isinstance(message, Mapping) and "role" in message for message in prompt
    )


def render_text(prompt: Prompt, tokenizer: Any, chat_template_kwargs: Mapping[str, Any] | None = None) -> str:
    """
    What the policy reads: text as it is, messages through the chat template with its generation prompt.

    Raises:
        [`TemplateError`]: when there are messages and no chat template.
    """
    if isinstance(prompt, str):
        return prompt
    if tokenizer is None or not tokenizer.chat_template:
        raise TemplateError(
            "chat_template: the prompts are chats and the tokenizer has no template; set `chat_template: r1`, or "
            "`prompt_template` for plain text"
        )
    messages = [dict(message) for message in prompt]
    text: str = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, **(chat_template_kwargs or {})
    )
    return text


def encode_prompt(prompt: Prompt, tokenizer: Any) -> list[int]:
    """The tokens the policy reads. A rendered chat that holds the beginning mark gets no second one."""
    text, bos = render_text(prompt, tokenizer), tokenizer.bos_token
    add_special = not (bos and text.startswith(bos))
    ids: list[int] = tokenizer(text, add_special_tokens=add_special)["input_ids"]
    return ids
