r"""One spelling of a text, so that a problem is found however it was typeset: `\dfrac{1}{2}`, `$\frac12$` and `½`.

A text becomes words: runs of letters in lower case, numbers, single characters of scripts that put no spaces between
words. Signs that tell formulas apart (`+ - = < > !`) stand before the number or letter they precede; all that is
layout goes: LaTeX that only looks, braces, fraction bars, `\cdot`, punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import regex


_ROUNDS: Final = 4  # of Unicode's own forms; more than two change nothing in any text we know
_VULGAR: Final = regex.compile("[¼-¾⅐-⅞]")
_RAISED: Final = regex.compile("[⁰¹²³⁴-⁹]+|[₀-₉]+")
_INVISIBLE: Final = regex.compile(r"\p{Cf}+")
_THOUSANDS: Final = regex.compile(r"(?<=\d)(?:\{,\}|\\[,!]|,)(?=\d{3}(?!\d))")
_ENVIRONMENT: Final = regex.compile(r"\\(?:begin|end)\s{0,4}\{[a-z*]{1,20}\}")
_LAYOUT: Final = regex.compile(r"\\[^a-z%]|[\\{}$^_]|…")
_BARE_FRACTION: Final = regex.compile(r"\\[dtc]?frac\s?(\d)\s?(?=\d)")  # `\frac12` is a half
_COMMAND: Final = regex.compile(r"\\([a-z]+)")
_UNICODE_MATHS: Final = str.maketrans(
    {"−": "-", "–": "-", "‐": "-", "‑": "-", "≤": "<=", "⩽": "<=", "≥": ">=", "⩾": ">=", "≠": "!=", "%": " percent "}
    | {"√": " sqrt ", "∞": " infty ", "±": " pm ", "∑": " sum ", "∏": " prod ", "∫": " int ", "°": " circ "}
    | {"∪": " cup ", "∩": " cap ", "∈": " in ", "∠": " angle ", "△": " triangle ", "⊥": " perp ", "→": " to "}
    | {"⌊": " lfloor ", "⌋": " rfloor ", "⌈": " lceil ", "⌉": " rceil ", "≡": " equiv ", "≈": " approx "}
    | {"α": " alpha ", "β": " beta ", "γ": " gamma ", "δ": " delta ", "ε": " epsilon ", "θ": " theta "}
    | {"λ": " lambda ", "μ": " mu ", "π": " pi ", "ρ": " rho ", "σ": " sigma ", "φ": " phi ", "ω": " omega "}
)
_LOOK_COMMANDS: Final = """
left right big bigg bigl bigr biggl biggr middle text textbf textit textrm textsf texttt emph mathrm mathbf mathit
mathsf mathbb mathcal mathfrak mathscr boldsymbol bm mbox hbox operatorname rm bf displaystyle textstyle scriptstyle
limits nolimits quad qquad enspace hspace vspace frac dfrac tfrac cfrac over cdot times ast div ldots dots cdots dotsc
dotsb overline underline bar hat widehat vec boxed fbox tag label item noindent par newline phantom hfill centering
displaylimits lbrace rbrace lparen rparen lbrack rbrack
"""
_LOOKS: Final = frozenset(_LOOK_COMMANDS.split())  # commands that say how, not what
_SAME: Final = {
    **dict.fromkeys(("leq", "le", "leqslant"), "<="),
    **dict.fromkeys(("geq", "ge", "geqslant"), ">="),
    **dict.fromkeys(("neq", "ne"), "!="),
    **{"lt": "<", "gt": ">", "degree": " circ ", "dbinom": " binom ", "tbinom": " binom "},
    **{"varepsilon": " epsilon ", "vartheta": " theta ", "varphi": " phi ", "rightarrow": " to ", "pmod": " mod "},
    **{"bmod": " mod ", "implies": " to ", "varnothing": " emptyset "},
}
# Scripts written without spaces: each character is a word, as nobody else's word segmentation is agreed upon.
_UNSPACED: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTERS: Final = rf"(?:(?![{_UNSPACED}])\p{{L}}\p{{M}}*+)"
# A sign belongs to a number or a single letter: in front of a word it is a dash.
_WORD: Final = regex.compile(
    rf"(?:[<>=!+\-]\s*+){{0,6}}+(?:\p{{Nd}}++(?:\.\p{{Nd}}++)?+|{_LETTERS}(?!{_LETTERS}))"
    rf"|{_LETTERS}++|(?=[{_UNSPACED}])\p{{L}}\p{{M}}*+"
)
_ASCII_WORD: Final = re.compile(  # the same, three times as fast
    r"(?:[<>=!+\-]\s*+){0,6}+(?:[0-9]++(?:\.[0-9]++)?+|[a-z](?![a-z]))|[a-z]++"
)
_NUMBER: Final = regex.compile(r"\p{Nd}[\p{Nd}.]*")


def words(text: str) -> list[str]:
    r"""
    The words of a text in one spelling.

    Args:
        text (`str`):
            Any text, LaTeX or not. Never an error; the time is linear in its length.

    Returns:
        `list[str]`: Letters, numbers and signed ones. Joined by spaces, they give the same words again.

    Example:

    ```python
    >>> words(r"Find $x$ if $\dfrac{x}{2} \leq -3$.")
    ['find', 'x', 'if', 'x', '2', '<=-3']
    ```
    """
    text = _one_unicode_form(text)
    text = _THOUSANDS.sub("", text)
    if "\\" in text:
        text = _COMMAND.sub(_command, _BARE_FRACTION.sub(r" \1 ", _ENVIRONMENT.sub(" ", text)))
    text = _LAYOUT.sub(" ", text).translate(_UNICODE_MATHS)
    found = (_ASCII_WORD if text.isascii() else _WORD).findall(text)
    return [word if word.isalnum() else "".join(word.split()) for word in found]


def normalise(text: str) -> str:
    """The words of a text, joined by single spaces: what two texts are compared by."""
    return " ".join(words(text))


def is_number(word: str) -> bool:
    """Whether a word is a number, signed or not."""
    return word[-1:].isdecimal()


def numbers(of: Iterable[str]) -> Counter[str]:
    """The numbers among words, with how often each occurs."""
    return Counter(word for word in of if is_number(word))


def mask_numbers(of: Sequence[str]) -> list[str]:
    """The words with `#` for each number, so that a renumbered problem reads as the original."""
    return [_NUMBER.sub("#", word) if is_number(word) else word for word in of]


def _one_unicode_form(text: str) -> str:
    if text.isascii():
        return text.lower()
    text = _VULGAR.sub(lambda match: " " + unicodedata.normalize("NFKC", match.group()), text)
    text = _RAISED.sub(lambda match: " " + unicodedata.normalize("NFKC", match.group()) + " ", text)
    text = _INVISIBLE.sub("", text)
    for _ in range(_ROUNDS):
        before, text = text, unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        if text == before:
            break
    return text


def _command(match: regex.Match[str]) -> str:
    name = match.group(1)
    return " " if name in _LOOKS else _SAME.get(name, f" {name} ")
