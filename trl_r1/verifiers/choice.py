r"""Which option does a completion choose? For questions with lettered options, as most of the paper's STEM data.

One letter must be chosen, in one of these ways, in what follows the thoughts; the first that occurs decides:

1. the last `\boxed{}` holds it: `\boxed{B}`, `\boxed{\text{(B) Paris}}`, or the full text of an option;
2. the text is nothing else: `B`, `(B)`, `**B.**`, `B. Paris`, `Paris`;
3. a sentence states it: "The answer is (B).", "Option B is correct", "答案是B。", "The answer is Paris.";
4. it stands at the beginning with its mark, or alone on the first or last line: "B. Since ...", "... so\n(B)".

Two letters are no choice, however they are spread over the text, and neither is a letter beside the text of another
option. Letters that merely occur are not read: "A good question" chooses nothing.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Sequence

from trl_r1.verifiers.answers.extraction import graded_text, last_box
from trl_r1.verifiers.verdict import Judgement, Verdict


DEFAULT_LETTERS = "ABCDEFGH"  # the paper's questions have four to eight options
MAX_CHOICES = 26
MAX_SHORT_CHARS = 2000  # of an answer that is nothing but an option

_MARKUP = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|sf)|boldsymbol)\s*(?=\{)|\\[,;! ]|[*_`$#{}]")
_SPACES = re.compile(r"[^\S\n]+")  # collapsed first, so that no pattern below has long runs to try
_LINES = re.compile(r"\s*\n\s*")
_BARE = re.compile(r"(?:(?:option|choice|answer|选项|答案)\s?:?\s?)?[(\[]? ?([A-Za-z]) ?[)\]]? ?[.:,、]?", re.I)
_LEAD = re.compile(r"[(\[]?([A-Za-z])(?:[)\]][.:]?|[.:、])\s*(.*)", re.DOTALL)
_MARK = re.compile(r"(?<![A-Za-z0-9_.'’])[(\[]?([A-Z])[)\].:、](?![A-Za-z]\b\.)")
_STATEMENT = re.compile(
    r"(?:\b(?:answer|option|choice)(?: (?:here|to (?:the|this) question))?\s*(?:(?:is|would be|must be|should be):?|:)"
    r"(?: (?:therefore|thus|then|clearly|definitely))?"
    r"|\b(?:i|we) (?:choose|pick|select)\b|\bcorrect (?:option|choice|answer)\b(?!\s*(?:is|:))"
    r"|(?:答案|选项?)(?:应该|应当|应)?[是为]?:?)\s*",
    re.I,
)
_UNSTATED = re.compile(  # what makes the sentence no statement
    r"(?:\b(?:not|never|neither|cannot|if|whether|suppose|assume|assuming|unless)\b|n['’]t\b|[不非若]|如果)[^.!?。,;:\n]{0,30}$",
    re.I,
)
_STATED = re.compile(r"(?:(?:option|choice|选项) ?)?(?:[(\[]([A-Za-z])[)\]]|([A-Z])(?![A-Za-z0-9_'’]))(?!\s*\?)")
_MORE = re.compile(
    r"[ .)]*(?:[,,、/&+]|\bor\b|\band\b|或者?|和|与) ?(?:option )?[(\[]?([A-Z])(?![A-Za-z0-9_'’])"
    r"(?! (?:is|are|was|were|would|has)\b)"
)
_JUDGED = re.compile(  # "Option B is correct", with the letters listed before it
    r"((?:[(\[]?[A-Z][)\]]?(?:, ?| or | and |/)){0,8})[(\[]?(?<![A-Za-z0-9_.'’])([A-Z])[)\]]?,?"
    r" is (?:indeed )?(?:the )?(?:correct|right)\b"
)
_TAKEN_BACK = re.compile(  # "Actually A.", "but so is A", "No wait, C"
    r"\b(?:actually|no,?|wait|or rather|sorry|so is|and so is|correction:?|i mean|maybe|perhaps|or)[,:]?"
    r" (?:it is |it's )?(?:option )?[(\[]?(?-i:([A-Z]))[)\]]?(?=[.!?,;\n]|$)",
    re.I,
)
_SENTENCE_END = re.compile(r"[\n。]|[.!?](?:\s|$)")
_ENDS = re.compile(r"\s*(?:$|[.,;:!?)\]\n,。;:、!?]|(?:because|since|as|for)\b|因为)")


def verify_choice(completion_or_answer: str, gold: str, choices: Sequence[str] | None = None) -> Judgement:
    r"""
    Compare the option a completion chooses with the right one.

    Args:
        completion_or_answer (`str`):
            A completion (recognised by a think or answer tag; only what follows the thoughts is graded) or the answer
            itself.
        gold (`str`):
            The right option: its letter, bare or marked (`"B"`, `"(B)"`), or its full text if `choices` are given.
        choices (`Sequence[str]`, *optional*):
            Texts of the options, in the order of their letters. Without them the letters A to H are options.

    Returns:
        [`Judgement`]: never raises; `UNDECIDABLE` when the gold answer is no option.

    Example:

    ```python
    >>> verify_choice("<think> Lyon? No. </think> The answer is (B).", "B", ["Lyon", "Paris"]).verdict
    <Verdict.CORRECT: 'correct'>
    ```
    """
    problem = check_choice(gold, choices)
    if problem:
        return Judgement(Verdict.UNDECIDABLE, f"gold answer: {problem}", "fault")
    options = _Options(choices)
    wanted = options.read(gold)
    text = (graded_text(completion_or_answer) or "").strip()
    chosen, reason = _choose(text, options) if text else ("", "no answer")
    if not chosen:
        return Judgement(Verdict.WRONG, reason, "extraction")
    verdict = Verdict.CORRECT if chosen == wanted else Verdict.WRONG
    return Judgement(verdict, f"{chosen} is {'' if chosen == wanted else 'not '}the gold answer", "choice")


def chosen_option(completion_or_answer: str, choices: Sequence[str] | None = None) -> str | None:
    """
    The letter of the option that a completion chooses; `None` where it chooses none, or several.

    Args:
        completion_or_answer (`str`), choices (`Sequence[str]`, *optional*):
            As of [`verify_choice`].
    """
    text = graded_text(completion_or_answer)
    return _choose(text.strip(), _Options(choices))[0] or None if text else None


def check_choice(gold: str | None, choices: Sequence[str] | None = None) -> str | None:
    """
    Why a question cannot be judged, or `None`.

    Args:
        gold (`str`, *optional*):
            The right option, as in [`verify_choice`].
        choices (`Sequence[str]`, *optional*):
            Texts of the options.
    """
    if choices is not None:
        is_list = isinstance(choices, list | tuple)
        if not is_list or not all(isinstance(text, str) and text.strip() for text in choices):
            return "choices is no list of texts"
        if not 2 <= len(choices) <= MAX_CHOICES:
            return f"{len(choices)} choices; there must be 2 to {MAX_CHOICES}"
        if len({text.strip() for text in choices}) < len(choices):
            return "two choices are the same"
    if not isinstance(gold, str) or not gold.strip():
        return "it is empty"
    if not _Options(choices).read(gold):
        what = f"one of {len(choices)} choices" if choices else f"a letter of {DEFAULT_LETTERS}"
        return f"{gold[:40]!r} is not {what}"
    return None


class _Options:
    """The letters of a question, and the texts behind them where they are known."""

    def __init__(self, choices: Sequence[str] | None) -> None:
        self.letters = DEFAULT_LETTERS if choices is None else string.ascii_uppercase[: len(choices)]
        plain = [_plain(text) for text in choices or ()]
        # A text that looks like another's (`Aa`, `aa`), or is a letter itself, cannot be chosen by text.
        self.texts = {
            text: letter
            for text, letter in zip(plain, self.letters, strict=False)
            if plain.count(text) == 1 and text and not _BARE.fullmatch(text)
        }

    def read(self, text: str) -> str:
        """The letter that a short text is, alone or with its option's text; empty when it is none, or several."""
        plain = _plain(text)
        if plain in self.texts:
            return self.texts[plain]
        cleaned = _clean(text)
        bare = _BARE.fullmatch(cleaned)
        if bare:
            return self.known(bare.group(1).upper())
        lead = _LEAD.fullmatch(cleaned)
        if lead is None:
            return ""
        letter, rest = self.known(lead.group(1).upper()), lead.group(2)
        if self.texts:
            return letter if self.texts.get(_plain(rest)) == letter else ""
        several = _BARE.fullmatch(rest) or _MORE.search(rest) or _marks(rest, self.letters)
        return "" if several else letter

    def of_text(self, text: str) -> set[str]:
        """The letter of the option whose text this is, in a set; else an empty one."""
        letter = self.texts.get(_plain(text))
        return {letter} if letter else set()

    def known(self, letter: str) -> str:
        """The letter if it is an option, else nothing."""
        return letter if letter in self.letters else ""


def _choose(text: str, options: _Options) -> tuple[str, str]:
    """The chosen letter and, when there is none, why."""
    box = last_box(text)
    if box is not None:
        letter = options.read(box)
        return letter, "" if letter else "the box holds no single option"
    if r"\boxed" in text:
        return "", "the box is not closed"
    letter = options.read(text) if len(text) <= MAX_SHORT_CHARS else ""
    if letter:
        return letter, ""
    cleaned = _clean(text)
    for found in (_stated(cleaned, options), _marked(cleaned, options)):
        if len(found) == 1:
            return found.pop(), ""
        if found:
            return "", f"several options: {', '.join(sorted(found))}"
    return "", "no option is chosen"


def _stated(text: str, options: _Options) -> set[str]:
    """Letters that sentences name as the answer. A sentence that names two gives both."""
    found: set[str] = set()
    for statement in _STATEMENT.finditer(text):
        if _UNSTATED.search(text, max(0, statement.start() - 60), statement.start()):
            continue
        rest = text[statement.end() : statement.end() + 400]
        letter = _STATED.match(rest)
        if letter is None:
            found.update(options.of_text(_SENTENCE_END.split(rest, maxsplit=1)[0]))
            continue
        name, after = letter.group(1) or letter.group(2), rest[letter.end() :]
        if name == "A" and letter.group(2) and not _ENDS.match(after):
            continue  # the article
        found.update(_letters_from(name.upper(), after, options))
    for judged in _JUDGED.finditer(text):
        if not _UNSTATED.search(text, max(0, judged.start() - 60), judged.start()):
            found.update(letter for letter in (*judged.group(1), judged.group(2)) if letter in options.letters)
    if found:
        last = max(match.end() for pattern in (_STATEMENT, _JUDGED) for match in pattern.finditer(text))
        found.update(filter(None, (options.known(more.group(1)) for more in _TAKEN_BACK.finditer(text, last))))
    return found


def _letters_from(name: str, after: str, options: _Options) -> Iterable[str]:
    """The letter, those that follow it ("B or C"), and that of the option whose text follows it."""
    yield from filter(None, [options.known(name)])
    yield from options.of_text(_SENTENCE_END.split(after.lstrip(" .:)、"), maxsplit=1)[0])
    while more := _MORE.match(after):
        yield from filter(None, [options.known(more.group(1))])
        after = after[more.end() :]


def _marked(text: str, options: _Options) -> set[str]:
    """The letter the text begins with, or its first or last line consists of, and every other option marked."""
    lead = _LEAD.match(text)
    lines = (line[:MAX_SHORT_CHARS] for line in (text.partition("\n")[0], text.rpartition("\n")[2]))
    matches = (lead, *(_BARE.fullmatch(line) for line in lines))
    letters = {match.group(1) for match in matches if match and match.group(1) in options.letters}
    if lead:
        letters |= options.of_text(lead.group(2)[:MAX_SHORT_CHARS].split("\n")[0]) if letters else set()
    return {*letters, *_marks(text, options.letters)} if letters else set()


def _marks(text: str, letters: str) -> list[str]:
    return [mark for mark in _MARK.findall(text) if mark in letters]


def _clean(text: str) -> str:
    """Without the looks that Markdown and LaTeX give it; full-width letters as plain ones."""
    return _LINES.sub("\n", _SPACES.sub(" ", _MARKUP.sub("", unicodedata.normalize("NFKC", text)))).strip()


def _plain(text: str) -> str:
    """An option's text as it is compared: no looks, case, closing full stop or extra spaces."""
    return " ".join(_clean(text).casefold().rstrip(".。 ").split())
