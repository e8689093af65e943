"""Which values computer algebra can be asked about: it drops words, and commands that it does not know, in silence."""

from __future__ import annotations

import re

from trl_r1.verifiers.answers.formula_reader import FUNCTIONS, GREEK


_WORDS = re.compile(
    r'["?:]|\\(?:l?dots|cdots|approx|sim|text|emptyset|infty|pmod|equiv|pm|mp)(?![A-Za-z])|\.\.|[-+]{2}|!='
    r"|!!|'|(?<![A-Za-z])[f-h]\^\{?-1\}?\("  # a double factorial; minutes of arc and derivatives; inverse functions
    r"|\[[^\]]*(?:/|\\frac)"  # the floor, for some
)
_COMMAND = re.compile(r"\\[A-Za-z]+")
_KNOWN = """
    frac sqrt binom ln log lg exp lfloor rfloor lceil rceil pi sum prod int iint oint lim infty to cdot times bmod mod
    max min begin end cr mathbb cup cap setminus in circ le ge arccot arcsec arccsc arcsinh arccosh arctanh
"""
_KNOWN_COMMANDS = frozenset(_KNOWN.split())


DERIVATIVE = re.compile(r"\\frac\{d(?:\^\{?\d\}?)?\s?[A-Za-z]?\}\{d\s?[A-Za-z]")  # a quotient, to algebra


def can_be_compared(gold: str, answer: str) -> bool:
    """Whether computer algebra sees all of two cleaned values. A gold answer that it cannot read, it says so of."""
    if any(_WORDS.search(text) for text in (gold, answer)):
        return False
    return all(_is_known(command) for command in _COMMAND.findall(answer))


def _is_known(command: str) -> bool:
    return command[1:] in _KNOWN_COMMANDS or any(names.fullmatch(command) for names in (GREEK, FUNCTIONS))
