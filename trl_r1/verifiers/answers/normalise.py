r"""Strip from an answer what LaTeX adds for looks, and split it into its parts.

Nothing here computes; see `formula.py` for values. Quoted text, such as the `"cm"` of `12"cm"`, is how a cleaned
answer remembers what stood in `\text{}`, which tells a unit from a product of variables.
"""

from __future__ import annotations

import re
from functools import lru_cache


TEXT_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mbox|hbox|operatorname\*?)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT = re.compile("[⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SYMBOLS = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width forms
    | {"−": "-", "–": "-", "‑": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "⁄": "/", "′": "'", "、": ",", "。": "."}
    | {"π": r"\pi ", "∞": r"\infty ", "°": r"^\circ ", "√": r"\sqrt ", "±": r"\pm ", "∓": r"\mp "}
    | {
        "≤": "<=",
        "≥": ">=",
        "≠": "!=",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "ℝ": r"\mathbb{R}",
    }
    | {"½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}"}
    | {"θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "φ": r"\phi "}
    | {"\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u200b": "", "\ufeff": ""}
)
_END = r"(?![A-Za-z])"
_SPACING = re.compile(
    r"(?:\\(?:left|right|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|displaystyle|textstyle|large|Large|LARGE|huge|Huge|limits|qquad|quad|enspace)"
    + _END
    + r"\.?|\\(?:text)?color\{[a-z]+\}|\\[;: ,]|\\$|~|\s)+"
)
_THIN_THOUSANDS = re.compile(r"(?<=\d)(?:\\[,!]|\{,\})(?=\d{3}(?!\d))")
_LOOSE_SPACE = re.compile(r"(?<![0-9A-Za-z}]) | (?![0-9A-Za-z])|(?<=\}) (?![A-Za-z])")
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"))
_CURRENCY = re.compile(r"(?:\\\$|(?<!\\)\$(?=[\d.,]+$))\s*([\d.,]*\d)")
_OTHER_CURRENCY = re.compile(r"([€£¥])\s*([\d.,]*\d)")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{(?:aligned|align\*?|equation\*?|gathered|gather\*?|split)\}")
_ALPHABET = re.compile(
    r"\\(?:mathbf|mathit|mathsf|mathcal|boldsymbol|bm)\s*\{([A-Za-z0-9])\}|\\(?:vec|mathrm)\{([ei])\}"
)
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\[dtc]frac" + _END, r"\\frac"),
        (r"\\dbinom" + _END, r"\\binom"),
        (r"\\(?:cdot|times|ast)" + _END, "*"),
        (r"\\div" + _END, "/"),
        (r"\\(?:geqslant|geq|ge)" + _END, ">="),
        (r"\\(?:leqslant|leq|le)" + _END, "<="),
        (r"\\(?:lt)" + _END, "<"),
        (r"\\(?:gt)" + _END, ">"),
        (r"\\(?:neq|ne)" + _END, "!="),
        (r"\\(?:lor|vee)" + _END, '"or"'),
        (r"\\(?:langle|lparen)" + _END, "("),
        (r"\\(?:rangle|rparen)" + _END, ")"),
        (r"\\lbrace" + _END, r"\\{"),
        (r"\\rbrace" + _END, r"\\}"),
        (r"\\[lr]?vert" + _END, "|"),
        (r"\\varnothing" + _END + r"|\\\{\s*\\\}", r"\\emptyset"),
        (r"\\degree" + _END, r"^\\circ"),
        (r"\\(?:mathbb\{R\}|mathbb R|R|reals)" + _END, r"(-\\infty,\\infty)"),
        (r"\^([0-9A-Za-z])(?!\d)", r"^{\1}"),
        (r"\\frac\s*(\d)", r"\\frac{\1}"),
        (r"(\\frac\s*\{[^{}]*\})\s*(\d)", r"\1{\2}"),
        (r"\\pmod\s*\{([^{}]*)\}|\(\s*\\?mod\s+([^(){}]*)\)", r"\\pmod{\1\2}"),
    )
)
_PERCENT = re.compile(r'\s*"\s*per ?cent\s*"| per ?cent$')
_CONNECTIVE = re.compile(
    r'\s*,?\s*"\s*(?:and|or)\s*"\s*|\s*,?\s*(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])\s*|\s*,?\s*[或和;]\s*|\\cr ?'
)
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")


def strip_delimiters(text: str) -> str:
    """Remove math delimiters and bold marks around the whole text, and a closing full stop."""
    text = text.strip()
    while True:
        text = text.removesuffix(".").rstrip() if not text.endswith((r"\.", "..")) else text
        for opening, closing in _DELIMITERS:
            inner = text[len(opening) : -len(closing)]
            if len(text) > len(opening + closing) and text.startswith(opening) and text.endswith(closing):
                if opening[0] == "$" and "$" in inner.replace(r"\$", ""):
                    continue  # `$1$ and $2$` opens and closes twice
                text = inner.strip()
                break
        else:
            return text


@lru_cache(maxsize=4_000)  # a gold answer comes once for every completion of its group
def clean(text: str) -> str:
    r"""
    The answer in one spelling: no spacing commands, `\frac{}{}` for all fractions, `"..."` for `\text{...}`.

    A space survives only between letters and digits, so that `2 1/2` does not become `21/2`.
    """
    text = _SUPERSCRIPT.sub(lambda match: f"^{{{match.group().translate(_SUPERSCRIPTS)}}}", text)
    text = strip_delimiters(text.translate(_SYMBOLS))
    # Rows of a matrix or of aligned equations; without an environment, backslashes that were escaped once too often.
    text = text.replace("\\\\", r"\cr " if r"\begin{" in text else "\\")
    text = _THIN_THOUSANDS.sub("", text).replace("{,}", ",")
    text = _CURRENCY.sub(r'\1"dollar"', text).replace("$", "")
    text = _OTHER_CURRENCY.sub(r'\2"\1"', text)
    if _ENVIRONMENT.search(text):
        text = _ENVIRONMENT.sub("", text).replace("&", "")
    text = text.replace(r"\!", "").replace(r"\%", "%")
    text = _ALPHABET.sub(r"\1\2", text)
    text = TEXT_COMMAND.sub(lambda match: f'"{match.group(1).strip()}"', text)
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = _PERCENT.sub("%", text)
    return strip_delimiters(_LOOSE_SPACE.sub("", _SPACING.sub(" ", text)))


def plain(cleaned: str) -> str:
    """A cleaned answer without quotes: what two answers are compared by, character for character."""
    letter = re.fullmatch(r'"?\(?([A-Z])[.)]?"?', cleaned)  # an option: B, (B), B.
    return letter.group(1) if letter else cleaned.replace('"', "")


def is_words(cleaned: str) -> bool:
    r"""
    Whether a cleaned answer is text (`"east"`, `Tuesday`, Chinese characters) and no formula.

    Computer algebra would read it as a product of letters, equal to any anagram.
    """
    if re.fullmatch(r'"[^"\d]*"', cleaned):
        return True
    bare = cleaned.replace('"', "")
    return re.fullmatch(r"[A-Za-z' -]*[A-Za-z]{4,}[A-Za-z' -]*|[\u4e00-\u9fff]+", bare) is not None


def list_connectives_as_commas(text: str) -> str:
    """The text with `and`, `or` and semicolons between its values written as commas."""
    return _CONNECTIVE.sub(",", text)


def has_and(cleaned: str) -> bool:
    """Whether values are joined by `and`, which between conditions means that both hold."""
    return any("and" in match.group() for match in _CONNECTIVE.finditer(cleaned))


def without_thousands_separators(cleaned: str) -> str:
    r"""The answer with `1,234,567` as one number, where that stands in no brackets but a fraction's."""
    if "," not in cleaned or cleaned[0] in "([" or cleaned.startswith(r"\{"):
        return cleaned
    return _THOUSANDS.sub(lambda match: match.group().replace(",", ""), cleaned)


def split_list(cleaned: str) -> list[str]:
    """The values of a list, parted by commas, semicolons, `and` or `or` outside all brackets."""
    return [item for part in _CONNECTIVE.split(cleaned) for item in split_top(part, ",")]


def split_top(text: str, separator: str) -> list[str]:
    """Split at a separator outside all brackets; parts are stripped, empty ones dropped."""
    items, depth, start, index = [], 0, 0, 0
    while index < len(text):
        character = text[index]
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and text.startswith(separator, index):
            items.append(text[start:index].strip())
            index += len(separator)
            start = index
        else:
            index += 1
    return [item for item in [*items, text[start:].strip()] if item]
