"""Untrusted text in Markdown, and that a reader sees all of it."""

import re

import pytest

from trl_r1.hub.cards.markdown import cut_middle, fenced, inline_code, plain, visible
from trl_r1.hub.cards.tables import cell


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "# heading\n\n---\nlicense: mit\n---",
    "a | b | c",
    "```\nout\n```",
    "[link](javascript:alert(1)) ![i](http://x/y.png) <http://x>",
    "*bold* _em_ ~~no~~ $$x$$",
    "\u202eevil\u202c \x1b[31m \x00 \ud800 \u2028",
    "שלום עולם مرحبا 思考 👩‍👩‍👧",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_is_one_line_without_marks(text):
    shown = plain(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert not re.search(r"(?<!\\)[|`*\[\]#$~]", re.sub(r"&#?\w+;", "", shown))
    assert "://" not in shown
    shown.encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_leaves_a_fence(text):
    first, *_, last = fenced(text, "text").split("\n")
    assert first == last + "text"
    assert last not in fenced(text).split("\n")[1:-1]
    fenced(text).encode("utf-8")


def test_nothing_leaves_inline_code():
    assert inline_code("a`b``c") == "```a`b``c```"
    assert inline_code("`a`") == "`` `a` ``"
    assert inline_code("a\nb") == "`a b`"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1_027_000.0, "1,027,000"),
        (0.123456, "0.1235"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_written_for_readers(value, shown):
    assert cell(value) == shown


def test_names_stay_readable():
    assert plain("r1_zero 2 to 5") == "r1_zero 2 to 5"
    assert plain("_r1_") == r"\_r1\_"
    assert visible("שלום 思考 👩‍👩‍👧") == "שלום 思考 👩‍👩‍👧"
    assert visible("a\u202eb\r\nc") == "a\\u202eb\nc"


def test_a_long_text_says_what_is_left_out():
    assert cut_middle("short", 10) == "short"
    cut = cut_middle("a" * 100 + "b" * 1000 + "c" * 100, 30)
    assert cut.startswith("a" * 20 + "\n[... 1,170 characters left out ...]\n")
    assert cut.endswith("c" * 10)
