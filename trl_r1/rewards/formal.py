r"""What is in no language: code, mathematics, quantities in formulas, URLs and tags, with or without delimiters.

Every pattern has a bounded reach, so a text of any shape takes time in proportion to its length.
"""

from __future__ import annotations

import re
import string


# What begins a delimited part, and what ends it. Where the end is missing a fence runs to the end of the text, and
# anything else is left alone.
_OPENINGS = re.compile(r"```|\$\$|\\\(|\\\[|\\begin\{(\w{1,20}\*?)\}")
_CLOSINGS = {"```": "```", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
_REACH = 20_000  # characters of the longest formula

_MARKED = re.compile(r"`[^`\n]*`|\$(?=[^\s$])[^$\n]*(?<=\S)\$(?!\d)|\$\s[^$\n]*\s\$(?!\w)|https?://\S+|</?\w{1,40}/?>")
_QUERY = re.compile(r"(?:SELECT|INSERT INTO|UPDATE|DELETE FROM) [^;\n]{0,300}(?:;|$)", re.MULTILINE)

# Signs that make code of the letters they touch: a call, an index, an attribute, an underscore.
_ARGUMENTS = r"\((?!s\))(?:[^()\n]|\((?:[^()\n]|\([^()\n]{0,80}\)){0,80}\)){0,200}\)"
_CALL = re.compile(rf"(?<=[A-Za-z0-9_])(?:{_ARGUMENTS}|\[[^\]\n]{{0,60}}\]|\.[a-z_]\w+)", re.ASCII)
_UNDERSCORE = re.compile(r"(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])")
_CAMEL_CASE = re.compile(r"(?<![A-Za-z])[a-z]{1,60}(?:[A-Z][a-z0-9]{1,60}){1,8}(?![A-Za-z])")
_HUMP = re.compile(r"[a-z][A-Z][a-z]")
# Signs that make a quantity of the word beside them.
_OPERATOR = re.compile(r" ?[=+<>^×÷·≤≥≠≈±∈] ?|(?<=[A-Za-z0-9_)]) [*/-] ")
_IDENTIFIER = string.ascii_letters + string.digits + "_"

_PROSE_COMMAND = re.compile(r"\\(?:textbf|textit|emph|underline|(?:sub)*section\*?|paragraph|title|item)\b")
_RELATION = re.compile(r"\\(?:cdot|times|div|pm|le|leq|ge|geq|ne|neq|approx|equiv|in)(?![A-Za-z])")
_BRACES = r"\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]{0,80}\}){0,80}\}){0,200}\}"
_COMMAND = re.compile(
    r"\\boxed(?:\{[^{}]*\})?"  # what is boxed is an answer, unless something stands in braces within it
    rf"|\\[A-Za-z]{{1,40}}\*?(?:\[[^\]\n]{{0,60}}\])?(?:{_BRACES}){{0,4}}|[_^](?:{_BRACES}|[A-Za-z0-9]{{1,20}})"
)
_ARROW = re.compile(r"[-=]{1,3}>|<[-=]{1,3}>?|(?m:^[ \t]*[>+=]+ )")
_NAME = r"[A-Za-z_][\w.]{0,60}(?:\[[^\]\n]{0,60}\])?"
# Statements that no sentence looks like.
_STATEMENT = re.compile(
    r"(?:def|class|function|fn|func) \w{1,60} ?[(:{].{0,200}$(?<=[:{])|def \w{1,60}\("
    rf"|(?:async )?for \w{{1,60}}(?:, ?\w{{1,60}}){{0,4}} in {_NAME}(?:\(.{{0,80}})?:$"
    rf"|(?:if|elif|while|switch|for) ?\(.{{1,120}}\) ?\{{?$"
    rf"|(?:if|elif|while) (?:not )?{_NAME}(?: ?[<>=!%]=? ?[^:\n]{{1,80}})?:$"
    r"|(?:with|except) [^:\n]{1,80} as \w{1,60}:$|from [\w.]{1,60} import |import [\w.]{1,60}(?: as \w{1,60})?$"
    r"|return(?: [\w.'\"-]{1,60})?;?$|(?:else|try|finally):$|(?:break|continue|pass);?$|#include|\} else\b"
)
# Statements if no prose is in them.
_LIKELY_STATEMENT = re.compile(
    rf"{_NAME}(?:, ?{_NAME}){{0,8}} ?(?:[-+*/%&|]|//|\*\*)?=(?!=) ?\S"  # an assignment
    r"|(?:public|private|static|const|let|var|void|int|float|double|char|bool|auto|unsigned) [\w<>\[\]*& ]{1,60}[=({;]"
    r"|return [^\n]{0,80}[-+*/%(\[]"
    rf"|{_NAME}\(.{{0,200}}\);?$"
)
_BLOCK_END = re.compile(r"[;{}]$")
_CODE_SIGN = re.compile(r"[=;{\[]|(?<=\w)\(|\+\+|--")
# Four words in a row, or a letter of another script.
_PROSE = re.compile(r"(?<![^\W\d_])[^\W\d_]{1,30}(?:[ '’-][^\W\d_]{1,30}){3}|[^\x00-ɏ]")


def strip_formal(text: str) -> str:
    """
    A text without what is in no language; each part leaves a space.

    Args:
        text (`str`):
            Any text.

    Returns:
        `str`: its prose. A quantity beside an operator (`speed = distance`) leaves the operator.
    """
    text = _without_delimited(text)
    text = "\n".join("" if _is_code(line) else line for line in text.split("\n"))
    text = _MARKED.sub(" ", text)
    if "SELECT" in text or "INSERT" in text or "UPDATE" in text or "DELETE" in text:
        text = _QUERY.sub(" ", text)
    if "\\" in text or "^" in text or "_" in text:
        text = _without_words_beside(_UNDERSCORE, text, _IDENTIFIER, _IDENTIFIER)
        text = _COMMAND.sub(" ", _RELATION.sub(" · ", _PROSE_COMMAND.sub(" ", text)))
    text = _without_words_beside(_CALL, text, _IDENTIFIER, "")
    if _HUMP.search(text):
        text = _CAMEL_CASE.sub(" ", text)
    return _without_words_beside(_OPERATOR, _ARROW.sub(" ", text), string.ascii_letters, string.ascii_letters)


def _without_words_beside(sign: re.Pattern[str], text: str, before: str, after: str) -> str:
    """The text without a sign and the letters that touch it: of `before` on its left, of `after` on its right."""
    parts = sign.split(text)
    for index in range(len(parts) - 1):
        parts[index] = parts[index].rstrip(before)
        parts[index + 1] = parts[index + 1].lstrip(after)
    return " ".join(parts)


def _without_delimited(text: str) -> str:
    parts: list[str] = []
    position, searched = 0, dict[str, int]()  # how far an ending is known not to occur
    while opening := _OPENINGS.search(text, position):
        parts += text[position : opening.start()], " "
        closing = _CLOSINGS.get(opening[0]) or rf"\end{{{opening[1]}}}"
        reach = len(text) if closing == "```" else opening.end() + _REACH
        end = text.find(closing, max(opening.end(), searched.get(closing, 0)), reach)
        if end >= 0:
            position = end + len(closing)
        else:
            searched[closing] = max(opening.end(), reach - len(closing))
            position = len(text) if closing == "```" else opening.end()
    return "".join(parts) + text[position:]


def _is_code(line: str) -> bool:
    """Whether a line is a statement of a programming language and not a sentence."""
    line = line.strip()
    if _STATEMENT.match(line):
        return True
    if not line or "\\" in line or _PROSE.search(line):  # LaTeX ends in braces too, and is seen to later
        return False
    return bool(_LIKELY_STATEMENT.match(line)) or (
        bool(_BLOCK_END.search(line)) and len(_CODE_SIGN.findall(line)) >= 2
    )
