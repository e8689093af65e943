"""The variant of a chat template whose generation prompt opens the thoughts.

DeepSeek advises to make a reply begin with the think tag. Servers take a template as a file, so a checkpoint comes
with both: `chat_template.jinja`, as it was trained, and this one beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trl_r1.chat_template import THINK_OPEN


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PREFILL: Final = THINK_OPEN + "\n"
_SWITCH: Final = "prefill_think"  # of our own template
_PROBES: Final = (
    [{"role": "user", "content": "a question"}],
    [{"role": "system", "content": "a role"}, {"role": "user", "content": "a question"}],
    [
        {"role": "user", "content": "a question"},
        {"role": "assistant", "content": "a reply"},
        {"role": "user", "content": "another"},
    ],
    [{"role": "user", "content": "a question"}, {"role": "assistant", "content": "a reply"}],
)


def prefill_template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """
    A tokenizer's chat template, changed so that its generation prompt ends with the think tag and a newline.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Tokenizer with one chat template.

    Returns:
        `str` or `None`: the template, which renders every probe as the tokenizer's own does but for the tag; `None`
        where there is none, or it opens the thoughts already, or no variant passes the probes.
    """
    template = tokenizer.chat_template
    if not isinstance(template, str):
        return None
    if _SWITCH in template:
        candidate = f"{{%- set {_SWITCH} = true %}}{template}"
    else:
        # Jinja drops one newline at the end of a file; before what is added it would no longer be at the end.
        tag = PREFILL.replace("\n", "\\n")
        candidate = template.removesuffix("\n") + f"{{% if add_generation_prompt %}}{{{{ '{tag}' }}}}{{% endif %}}"
    return candidate if _differs_by_tag_only(tokenizer, candidate) else None


def prefills_itself(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer's own generation prompt opens the thoughts, as those of released R1 models do."""
    return (_render(tokenizer, None, _PROBES[0], True) or "").rstrip().endswith(THINK_OPEN)


def _differs_by_tag_only(tokenizer: PreTrainedTokenizerBase, candidate: str) -> bool:
    if prefills_itself(tokenizer):
        return False
    compared = 0
    for messages in _PROBES:
        for prompting in (True, False):
            own = _render(tokenizer, None, messages, prompting)
            if own is None:  # templates may refuse a system prompt, or a turn of the assistant at the end
                continue
            if _render(tokenizer, candidate, messages, prompting) != own + PREFILL * prompting:
                return False
            compared += 1
    return compared > 0


def _render(tokenizer: Any, template: str | None, messages: list[dict[str, str]], prompting: bool) -> str | None:
    from jinja2 import TemplateError as JinjaError

    try:
        text: str = tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=prompting
        )
    except (JinjaError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # it is a program
        return None
    return text


def turn_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """
    Id of the special token that a chat template closes the assistant's turn with.

    Where training taught another end than the tokenizer's `eos_token`, only this one stops a reply.
    """
    reply = "a reply of its own"
    text = _render(
        tokenizer, None, [{"role": "user", "content": "a question"}, {"role": "assistant", "content": reply}], False
    )
    if text is None or reply not in text:
        return None
    after = text[text.rindex(reply) + len(reply) :].strip()
    for token_id, token in tokenizer.added_tokens_decoder.items():
        if token.special and after.startswith(token.content):
            return int(token_id)
    return None
