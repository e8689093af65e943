"""Any row of supervised fine-tuning as one thing: a chat, or a text with its continuation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.chat_template import completion_text
from trl_r1.data.rendering import Message
from trl_r1.data.sft import COMPLETION_COLUMNS, with_thoughts


CONTENT_COLUMNS: Final = ("messages", "prompt", *COMPLETION_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """
    What a row trains on.

    Args:
        messages (`list[dict[str, str]]` or `None`):
            The turns, the last one the assistant's; thoughts stand in `content`.
        prompt, completion (`str` or `None`):
            A text and its continuation, where the row is no chat.
    """

    messages: list[dict[str, str]] | None = None
    prompt: str | None = None
    completion: str | None = None

    @property
    def rounds(self) -> int:
        """Answers of the assistant."""
        return sum(turn["role"] == "assistant" for turn in self.messages) if self.messages else 1

    @property
    def text(self) -> str:
        """All that is said in it, without marks of a chat."""
        turns = [turn["content"] for turn in self.messages] if self.messages else [self.prompt, self.completion]
        return "\n".join(turn or "" for turn in turns)

    def columns(self) -> dict[str, Any]:
        """The columns of a row that hold it."""
        if self.messages is not None:
            return {"messages": self.messages}
        return {"prompt": self.prompt, "completion": self.completion}


def read_conversation(row: Mapping[str, Any], problem_column: str = "problem") -> Conversation | str:
    """
    Read a row: `messages`; `prompt` with a completion, as text or messages; or a problem with a completion.

    Args:
        row (`Mapping[str, Any]`):
            The row.
        problem_column (`str`, *optional*, defaults to `"problem"`):
            Column with the question.

    Returns:
        [`Conversation`] or `str`: what is in it, or why nothing can be learnt from it.
    """
    if row.get("messages") is not None:
        return _chat(row["messages"])
    completion = next((row[name] for name in COMPLETION_COLUMNS if row.get(name)), None)
    prompt = row.get(problem_column) if row.get(problem_column) else row.get("prompt")
    if not prompt or (isinstance(prompt, str) and not prompt.strip()):
        return "prompt_missing"
    if not completion or not completion_text(completion).strip():
        return "completion_missing"
    if not row.get(problem_column) and isinstance(prompt, str):
        return Conversation(prompt=prompt, completion=completion_text(completion))
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    answer = [{"role": "assistant", "content": completion}] if isinstance(completion, str) else list(completion)
    return _chat([*asked, *answer])


def _chat(messages: Any) -> Conversation | str:
    if not isinstance(messages, Sequence) or not messages or messages[-1].get("role") != "assistant":
        return "last_turn_not_assistant"
    turns = list(_plain_turns(messages))
    if any(turn is None for turn in turns):
        return "content_missing"
    chat = [turn for turn in turns if turn is not None]
    if not chat[-1]["content"].strip():
        return "completion_missing"
    return "prompt_missing" if len(chat) == 1 else Conversation(messages=chat)


def _plain_turns(messages: Sequence[Message]) -> Iterator[dict[str, str] | None]:
    """Each turn as role and text, thoughts that stand beside the content joined to it; `None` without a text."""
    for message in map(with_thoughts, messages):
        role, content = message.get("role"), message.get("content")
        fine = isinstance(role, str) and isinstance(content, str)
        yield {"role": str(role), "content": str(content)} if fine else None
