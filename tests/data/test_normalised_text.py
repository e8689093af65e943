"""One spelling of a text: the same for every typesetting, never an error, however long."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trl_r1.data.normalised_text import is_number, mask_numbers, normalise, words


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (r"Find $x$ if $\dfrac{1}{2} \leq x$.", "find x if 1/2 ≤ x"),
        (r"\frac12", "½"),
        (r"\left( a + b \right)^{2}", "(a+b)²"),
        (r"$1{,}000\,\text{cm}$", "1,000 cm"),
        (r"$2 \cdot 3 \times y$", "2 3 y"),
        (r"\(x_{1}^{2} - x_2\)", "x₁² − x₂"),
        (r"50\%", "50 %"),
        (r"\sqrt{3} \pi", "√3π"),
        ("Ｘ＝３", "x = 3"),
        ("求函数 f(x) 的值。", "求函数f(x)的值"),
        ("non-negative", "non negative"),
        (r"\begin{align*} a &= b \\ c &= d \end{align*}", "a = b, c = d"),
        ("zero\u200bwidth soft\u00adhyphen", "zerowidth softhyphen"),
    ],
)
def test_one_spelling(first, second):
    assert normalise(first) == normalise(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [("3x + 4 = 7", "3x - 4 = 7"), ("x < 3", "x > 3"), ("1,000", "1,001"), ("2.5", "25"), ("10^2", "102")],
)
def test_what_tells_formulas_apart_is_kept(first, second):
    assert normalise(first) != normalise(second)


def test_scripts_without_spaces_are_single_characters():
    assert words("已知x=3") == ["已", "知", "x", "=3"]
    assert words("हिन्दी में") == ["हिन्दी", "में"]  # marks stay with their letters


def test_numbers_are_masked_with_their_signs():
    assert mask_numbers(words("x = -3.5 and 20 apples")) == ["x", "=-#", "and", "#", "apples"]
    assert [word for word in words("x = -3 a2") if is_number(word)] == ["=-3", "2"]


@settings(max_examples=100, deadline=None)
@example("\ud800\\frac")
@example("ǰ\u0327 ᾳ İ \u0345")
@example(r"\frac\frac12{3}{,}\begin{x}")
@given(st.text() | st.text(alphabet="\\{}$^_ab1,.+-=<! \n½²₃é漢่%"))
def test_normalising_twice_changes_nothing_more(text):
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize(
    ("piece", "number"),
    [
        *(("\\", 0), ("{", 0), ("+ ", 0), ("1,", 200_000), ("a", 1), ("漢", 400_000), ("1.1.", 100_000)),
        *(("\\begin{", 57_142), ("\\begin ", 57_142), ("\\frac", 1), ("+\n", 0), ("ab-", 133_333), ("é\u0301", 1)),
        *(("\\text{", 0), ("\u200b", 0), ("+ 漢", 133_333), (" ", 0)),
    ],
)
def test_a_long_text_of_anything_is_read(piece, number):
    """A pattern that goes back over the text would take hours: the suite's time limit finds it."""
    found = words(piece * (400_000 // len(piece)))
    assert abs(len(found) - number) <= max(1, number // 100)
