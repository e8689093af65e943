"""How a prompt is shown to the policy, and how its completion is read back.

One parser serves rewards, evaluation, rejection sampling, report and cards. The tags occur here and in the templates,
nowhere else.
"""

from __future__ import annotations

import enum
import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from trl_r1.errors import TemplateError
from trl_r1.user_code import find_file


THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"
PROMPT_FIELD = "{prompt}"

# What a tag may be dressed up as: other brackets, escapes, spaces, slashes, capitals, letters of other alphabets.
_TAG_LIKE = re.compile(r"(?:[<＜‹〈⟨˂]|&lt;)([^<>＜＞‹›〈〉⟨⟩˂˃&\n]{3,24})(?:[>＞›〉⟩˃]|&gt;)")
_THINK_NAMES, _ANSWER_NAMES = frozenset({"think", "thinking", "thought", "thoughts"}), frozenset({"answer", "answers"})
_FOREIGN_LETTERS = str.maketrans("һіıικкαаѕԝεетτпηг", "hiiikkaasweettnnr")
# Turn and role marks of chat formats, which a decoded completion only holds when the policy spelled them out.
_CHAT_MARK = re.compile(r"<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>")
_CODE = re.compile(r"```.*?```|`[^`\n]{1,400}`", re.DOTALL)
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # drawn as nothing, although Unicode calls them letters

ResponseFormat = Literal["r1_zero", "r1", "plain"]
RESPONSE_FORMATS: tuple[ResponseFormat, ...] = ("r1_zero", "r1", "plain")


class Defect(enum.StrEnum):
    """What keeps a completion from being well formed."""

    MISSING_OPEN = "missing_open"  # no <think>
    MISSING_CLOSE = "missing_close"  # <think> never closed: nothing after it can be graded
    NESTED = "nested"  # a second <think>
    REPEATED_CLOSE = "repeated_close"  # a second </think>
    EMPTY_REASONING = "empty_reasoning"
    TEXT_BEFORE_THINK = "text_before_think"
    ANSWER_IN_REASONING = "answer_in_reasoning"  # <answer> inside the thoughts
    ANSWER_MISSING = "answer_missing"
    ANSWER_UNCLOSED = "answer_unclosed"
    ANSWER_REPEATED = "answer_repeated"
    TEXT_AROUND_ANSWER = "text_around_answer"  # r1_zero only: the answer tags must hold all that follows the thoughts
    BLANK_REASONING = "blank_reasoning"  # no letter and no digit: punctuation or characters that are not seen
    STRAY_ANSWER_CLOSE = "stray_answer_close"  # </answer> that no <answer> opened
    LOOK_ALIKE_TAG = "look_alike_tag"  # <Think>, < think >, <thinking>, ＜think＞, &lt;think&gt;, ...
    CHAT_MARK = "chat_mark"  # <|im_start|>, [INST], ...: the policy wrote a turn of its own


@dataclass(frozen=True, slots=True)
class ParsedCompletion:
    """
    A completion, split.

    Args:
        reasoning (`str` or `None`):
            Text inside the think tags, stripped; `None` where there is no think block.
        answer (`str` or `None`):
            Text that may be graded, stripped; `None` where there is none. Never taken from the reasoning.
        defects (`tuple[Defect, ...]`):
            Everything wrong with the format, in a fixed order; empty when well formed.
    """

    reasoning: str | None
    answer: str | None
    defects: tuple[Defect, ...]

    @property
    def well_formed(self) -> bool:
        """Whether the completion has no defect."""
        return not self.defects


class ThinkParser:
    """
    Splits a completion into reasoning and answer and names its defects.

    Args:
        response_format (`str`, *optional*, defaults to `"r1"`):
            `"r1_zero"` for `<think>..</think> <answer>..</answer>`, or `"r1"` for `<think>..</think> summary`, where
            the summary may itself be an answer block. `"plain"` measures a model that was never taught to think: a
            text without think tags is all answer, one with them is read as `"r1"`.

    Example:

    ```python
    >>> ThinkParser().parse("<think> 2 and 2 </think> It is 4.")
    ParsedCompletion(reasoning='2 and 2', answer='It is 4.', defects=())
    ```
    """

    def __init__(self, response_format: ResponseFormat = "r1") -> None:
        if response_format not in RESPONSE_FORMATS:
            raise TemplateError(f"response_format: {response_format!r} is unknown; use one of {RESPONSE_FORMATS}")
        self.response_format = response_format

    def parse(self, text: str, prompt_tail: str = "") -> ParsedCompletion:
        """
        Parse one completion.

        Args:
            text (`str`):
                The completion as decoded, without the prompt.
            prompt_tail (`str`, *optional*):
                End of the prompt. A think tag prefilled there opens the completion's reasoning.

        Returns:
            [`ParsedCompletion`]
        """
        full = (prefill_of(prompt_tail) + text).strip()
        defects: set[Defect] = set()
        if self.response_format == "plain" and THINK_OPEN not in full and THINK_CLOSE not in full:
            reasoning, rest = None, full
        else:
            reasoning, rest = _split_thoughts(full, defects)
        answer = _read_answer(rest, strict=self.response_format == "r1_zero", defects=defects)
        _check_marks(full, defects)
        return ParsedCompletion(reasoning, answer, tuple(defect for defect in Defect if defect in defects))


def _split_thoughts(full: str, defects: set[Defect]) -> tuple[str | None, str]:
    """Reasoning, and the text that may be graded."""
    opened, closed = full.find(THINK_OPEN), full.find(THINK_CLOSE)
    if opened < 0 and closed < 0:
        defects.update((Defect.MISSING_OPEN, Defect.MISSING_CLOSE))
        # Without thoughts, only an explicit answer block is an answer: loose text may be the thinking itself.
        return None, full if ANSWER_OPEN in full else ""
    if closed < 0:
        defects.add(Defect.MISSING_CLOSE)
        return full[opened + len(THINK_OPEN) :].strip(), ""
    if opened < 0 or opened > closed:
        defects.add(Defect.MISSING_OPEN)
        start = 0
    else:
        start = opened + len(THINK_OPEN)
        if full[:opened].strip():
            defects.add(Defect.TEXT_BEFORE_THINK)
    last_close = full.rfind(THINK_CLOSE)
    if last_close != closed:
        defects.add(Defect.REPEATED_CLOSE)
    if THINK_OPEN in full[start:]:
        defects.add(Defect.NESTED)
    reasoning = full[start:last_close].strip()
    if not reasoning:
        defects.add(Defect.EMPTY_REASONING)
    elif not any(character.isalnum() and character not in _BLANK_LETTERS for character in reasoning):
        defects.add(Defect.BLANK_REASONING)
    if ANSWER_OPEN in reasoning:
        defects.add(Defect.ANSWER_IN_REASONING)
    elif ANSWER_CLOSE in reasoning:
        defects.add(Defect.STRAY_ANSWER_CLOSE)
    rest = full[last_close + len(THINK_CLOSE) :]
    if THINK_OPEN in rest:
        # Thoughts opened again and never closed: what follows them is thinking, not an answer.
        defects.add(Defect.MISSING_CLOSE)
        rest = rest[: rest.find(THINK_OPEN)]
    return reasoning, rest


def _read_answer(rest: str, strict: bool, defects: set[Defect]) -> str | None:
    """The gradable answer in what follows the thoughts; `strict` wants an answer block and nothing beside it."""
    opened, closed = rest.find(ANSWER_OPEN), rest.rfind(ANSWER_CLOSE)
    if 0 <= closed < opened or opened < 0 <= closed:
        defects.add(Defect.STRAY_ANSWER_CLOSE)
    if opened < 0:
        answer = _seen(rest.replace(ANSWER_CLOSE, " "))
        if strict or not answer:
            defects.add(Defect.ANSWER_MISSING)
        return answer
    if closed < opened:
        defects.add(Defect.ANSWER_UNCLOSED)
        return None
    if rest.count(ANSWER_OPEN) > 1 or rest.count(ANSWER_CLOSE) > 1:
        defects.add(Defect.ANSWER_REPEATED)
    last_open = rest.rfind(ANSWER_OPEN, 0, closed)
    answer = _seen(rest[last_open + len(ANSWER_OPEN) : closed])
    if not answer:
        defects.add(Defect.ANSWER_MISSING)
    if strict and (rest[:opened].strip() or rest[closed + len(ANSWER_CLOSE) :].strip()):
        defects.add(Defect.TEXT_AROUND_ANSWER)
    return answer


def _seen(text: str) -> str | None:
    """Text, stripped; `None` where a reader would see nothing."""
    text = text.strip()
    return text if any(unicodedata.category(c) != "Cf" and c not in _BLANK_LETTERS for c in text) else None


def _check_marks(full: str, defects: set[Defect]) -> None:
    """Look for what only resembles the tags, and for marks of a chat format; what is quoted as code is neither."""
    text = _CODE.sub(" ", full)
    if _CHAT_MARK.search(text):
        defects.add(Defect.CHAT_MARK)
    if any(_is_look_alike(match) for match in _TAG_LIKE.finditer(text)):
        defects.add(Defect.LOOK_ALIKE_TAG)


def _is_look_alike(match: re.Match[str]) -> bool:
    if match[0] in {THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE}:
        return False
    name = _tag_name(match[1])
    # `List<Answer>` is a type, and `0 < answer > 1` a comparison
    honest = match[1].startswith(" ") or match.string[max(0, match.start() - 1) : match.start()].isalnum()
    return name in _THINK_NAMES or (name in _ANSWER_NAMES and not honest)


def _tag_name(inner: str) -> str:
    """What a reader takes the inside of a tag for."""
    plain = unicodedata.normalize("NFKC", inner).casefold().translate(_FOREIGN_LETTERS)
    return "".join(character for character in plain if character.isalnum())


def prefill_of(prompt_tail: str) -> str:
    """The part of the prompt that belongs to the response: from a prefilled think tag on, or nothing."""
    tail = prompt_tail.strip()
    if tail.startswith(THINK_OPEN):
        return tail + " "
    return THINK_OPEN + "\n" if tail.endswith(THINK_OPEN) else ""


def completion_text(completion: str | Sequence[Mapping[str, Any]]) -> str:
    """The text of a completion as TRL hands it to reward functions: a string, or a list of messages."""
    if isinstance(completion, str):
        return completion
    return "".join(_message_text(message) for message in completion)


def _message_text(message: Mapping[str, Any]) -> str:
    reasoning = message.get("reasoning_content")
    content = message.get("content") or ""
    if not isinstance(content, str):  # parts, as processors of images want them
        content = "".join(str(part.get("text") or "") for part in content)
    return f"{THINK_OPEN}\n{reasoning}\n{THINK_CLOSE}\n\n{content}" if reasoning else content


def join_response(reasoning: str, answer: str) -> str:
    """A response in R1's format from its two parts: what cold-start and rejection-sampling rows hold."""
    return f"{THINK_OPEN} {reasoning.strip()} {THINK_CLOSE} {answer.strip()}"


def load_template(name_or_path: str) -> str:
    """
    Text of a template: one shipped with the package (`"r1"`, `"r1_zero"`) or a file.

    Raises:
        [`TemplateError`]: when there is no such template.
    """
    folder = files("trl_r1") / "templates"
    for suffix in (".jinja", ".txt"):
        shipped = folder / (name_or_path + suffix)
        if shipped.is_file():
            return shipped.read_text(encoding="utf-8")
    if find_file(name_or_path).is_file():
        return find_file(name_or_path).read_text(encoding="utf-8")
    raise TemplateError(f"template: {name_or_path!r} is neither a template of trl_r1 (r1, r1_zero) nor a file")


def load_prompt_template(name_or_path: str) -> str:
    """
    A plain-text prompt template with its `{prompt}` field.

    Raises:
        [`TemplateError`]: when the file has no `{prompt}`, or more than one.
    """
    template = load_template(name_or_path).strip()
    if template.count(PROMPT_FIELD) != 1:
        found = template.count(PROMPT_FIELD)
        raise TemplateError(
            f"prompt_template: {name_or_path!r} holds {{prompt}} {found} times; it must stand in it exactly once"
        )
    return template


def render_plain(template: str, problem: str) -> str:
    """Fill a plain-text prompt template; braces in `problem` are left alone."""
    return template.replace(PROMPT_FIELD, problem.strip())


def template_hash(template: str) -> str:
    """SHA-256 of a template's text, as recorded in `stage.json`."""
    return hashlib.sha256(template.encode()).hexdigest()


def check_shows_question(tokenizer: Any) -> None:
    """
    Check that a chat template can be rendered and shows the question to the policy.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Tokenizer with a chat template.

    Raises:
        [`TemplateError`]: when it does not.
    """
    from jinja2 import TemplateError as JinjaError

    probe = "a question of its own"
    messages = [{"role": "user", "content": probe}]
    try:
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except JinjaError as error:
        reason = str(error).splitlines()[0]
        raise TemplateError(f"chat_template: it does not render a question ({reason}); mend it, or use r1") from error
    if probe not in rendered:
        raise TemplateError("chat_template: it does not show the question to the policy; mend it, or use r1")


def check_round_trip(tokenizer: Any, **template_kwargs: Any) -> None:
    """
    Check that a chat template keeps the reasoning of every assistant turn.

    Released distilled models ship templates that cut it out, and SFT on them silently trains on answers alone.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Tokenizer with a chat template.

    Raises:
        [`TemplateError`]: when there is no template, or a turn loses its reasoning.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise TemplateError("chat_template: the tokenizer has none; set `chat_template: r1` in the recipe")
    probes = ("first thought", "second thought")
    messages: list[dict[str, str]] = []
    for probe in probes:
        messages.append({"role": "user", "content": "question"})
        messages.append({"role": "assistant", "content": join_response(probe, "answer")})
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, **template_kwargs)
    lost = [probe for probe in probes if f"{THINK_OPEN} {probe} {THINK_CLOSE}" not in rendered]
    if lost:
        raise TemplateError(
            f"chat_template: it drops the reasoning of {len(lost)} of {len(probes)} assistant turns; "
            "set `chat_template: r1` in the recipe, which keeps it"
        )
