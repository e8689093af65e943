"""What every reward does first: read the columns TRL hands over, and parse the completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from trl_r1.chat_template import (
    RESPONSE_FORMATS,
    ParsedCompletion,
    ResponseFormat,
    ThinkParser,
    completion_text,
)


# A completion or prompt as TRL hands it to a reward: text, or messages.
Text = str | Sequence[Mapping[str, Any]]

_PARSERS = {response_format: ThinkParser(response_format) for response_format in RESPONSE_FORMATS}


def parse_completions(
    completions: Sequence[Text],
    prompt_tail: Sequence[str | None] | None = None,
    response_format: Sequence[str | None] | None = None,
) -> list[ParsedCompletion]:
    """
    Parse a batch of completions.

    Args:
        completions (`Sequence[str | list[dict[str, Any]]]`):
            Completions as TRL hands them over: text, or lists of messages.
        prompt_tail (`Sequence[str | None]`, *optional*):
            What the prompt ends with, of each row: a think tag prefilled there opens the completion.
        response_format (`Sequence[str | None]`, *optional*):
            `"r1_zero"`, `"r1"` or `"plain"`, of each row. Defaults to `"r1"`.

    Returns:
        `list[ParsedCompletion]`: one a completion.
    """
    parsed = []
    for index, completion in enumerate(completions):
        name = cast(ResponseFormat, (response_format[index] if response_format else None) or "r1")
        tail = (prompt_tail[index] if prompt_tail else None) or ""
        parser = _PARSERS.get(name) or ThinkParser(name)  # an unknown name: the parser says which are known
        parsed.append(parser.parse(completion_text(completion), tail))
    return parsed
