"""What must hold for all numbers and formulas: equal under reformatting, different once a digit changes."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from trl_r1.verifiers import Verdict, verify_math


settings.register_profile("verifiers", deadline=None, derandomize=True, max_examples=150)
settings.load_profile("verifiers")

CORRECT, WRONG = Verdict.CORRECT, Verdict.WRONG
WHOLE = st.integers(-(10**9), 10**9)
FRACTIONS = st.builds(Fraction, st.integers(-9999, 9999), st.integers(1, 999))
SMALL = st.integers(-40, 40)
LOOKS = st.sampled_from(
    [
        r"\boxed{%s}",
        r"<think> a </think> \boxed{ %s }",
        r"<think> a </think> <answer> %s </answer>",
        r"The answer is $%s$.",
        r"$\boxed{\displaystyle %s}$",
        r"\[\boxed{\left(%s\right)}\]",
        r"\boxed{3}, no: \boxed{x = %s}",
        "#### %s",
        "答案是 %s。",
    ]
)


def decimal(value):
    """A fraction over a power of ten, written as a decimal."""
    return f"{value.numerator / value.denominator:.6f}"


def latex(value):
    """A fraction in LaTeX, with the sign where a writer puts it."""
    sign = "-" if value < 0 else ""
    return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def change_a_digit(text, position, shift):
    """The text with one of its digits replaced by another one."""
    places = [index for index, character in enumerate(text) if character.isdigit()]
    index = places[position % len(places)]
    return text[:index] + str((int(text[index]) + shift) % 10) + text[index + 1 :]


@given(WHOLE, LOOKS)
def test_a_whole_number_in_any_look(value, look):
    assert verify_math(look % value, str(value)).verdict is CORRECT
    if "(" not in look:  # (1,000) is a pair
        assert verify_math(look % f"{value:,}", str(value)).verdict is CORRECT
    assert verify_math(look % f"{value}.0", str(value)).verdict is CORRECT


@given(WHOLE, LOOKS, st.integers(0, 30), st.integers(1, 9))
def test_a_changed_digit_of_a_whole_number(value, look, position, shift):
    changed = change_a_digit(str(value), position, shift)
    assert verify_math(look % changed, str(value)).verdict is WRONG


@given(FRACTIONS, st.integers(2, 30), LOOKS)
def test_a_fraction_in_any_look(value, scale, look):
    scaled = rf"\frac{{{value.numerator * scale}}}{{{value.denominator * scale}}}"
    assert verify_math(look % scaled, latex(value)).verdict is CORRECT
    assert verify_math(look % f"{value.numerator}/{value.denominator}", latex(value)).verdict is CORRECT


@given(st.integers(-(10**8), 10**8), LOOKS, st.integers(0, 30), st.integers(1, 9))
def test_a_decimal_and_its_fraction(millionths, look, position, shift):
    value = Fraction(millionths, 10**6)
    assert verify_math(look % decimal(value), latex(value)).verdict is CORRECT
    changed = change_a_digit(decimal(value), position, shift)
    if Fraction(changed) != value:
        assert verify_math(look % changed, latex(value)).verdict is WRONG


@given(FRACTIONS, LOOKS, st.integers(0, 30), st.integers(1, 9))
def test_a_changed_digit_of_a_fraction(value, look, position, shift):
    changed = change_a_digit(f"{value.numerator}/{value.denominator}", position, shift)
    numerator, denominator = map(int, changed.split("/"))
    if denominator and Fraction(numerator, denominator) != value:
        assert verify_math(look % changed, latex(value)).verdict is WRONG


@given(st.lists(SMALL, min_size=2, max_size=6, unique=True), st.randoms(), st.integers(1, 5))
def test_a_set_in_any_order_and_with_one_member_changed(items, draw, shift):
    shuffled = draw.sample(items, len(items))
    gold = rf"\{{{', '.join(map(str, items))}\}}"
    assert verify_math(rf"\boxed{{{', '.join(map(str, shuffled))}}}", gold).verdict is CORRECT
    shuffled[0] = max(items) + shift
    assert verify_math(rf"\boxed{{{', '.join(map(str, shuffled))}}}", gold).verdict is WRONG
    assert verify_math(rf"\boxed{{{', '.join(map(str, items[1:]))}}}", gold).verdict is WRONG


@given(st.lists(SMALL, min_size=2, max_size=5), st.integers(0, 4), st.integers(1, 9))
def test_a_tuple_with_one_part_changed(items, position, shift):
    gold = f"({','.join(map(str, items))})"
    assert verify_math(rf"\boxed{{\left( {' , '.join(map(str, items))} \right)}}", gold).verdict is CORRECT
    items[position % len(items)] += shift
    assert verify_math(rf"\boxed{{({','.join(map(str, items))})}}", gold).verdict is WRONG


@given(SMALL, SMALL, SMALL, st.integers(1, 9))
def test_a_quadratic_expanded(first, second, third, shift):
    gold = f"(x+{first})(x+{second})+{third}".replace("+-", "-")
    expanded = rf"\boxed{{x^2+{first + second}x+{first * second + third}}}".replace("+-", "-")
    assert verify_math(expanded, gold).verdict is CORRECT
    other = rf"\boxed{{x^2+{first + second}x+{first * second + third + shift}}}".replace("+-", "-")
    assert verify_math(other, gold).verdict is WRONG


@given(st.integers(1, 40), st.integers(1, 12), st.sampled_from([2, 3, 5, 6, 7, 10]), st.integers(1, 9))
def test_a_radical_rewritten(whole, factor, radicand, shift):
    gold = rf"\frac{{{whole}+{factor}\sqrt{{{radicand}}}}}{{2}}"
    same = rf"\boxed{{\frac{{\sqrt{{{radicand * factor * factor}}}}}{{2}}+{Fraction(whole, 2)}}}"
    assert verify_math(same, gold).verdict is CORRECT
    other = rf"\boxed{{\frac{{\sqrt{{{radicand * factor * factor + shift}}}}}{{2}}+{Fraction(whole, 2)}}}"
    assert verify_math(other, gold).verdict is WRONG


@given(st.text(max_size=60), st.sampled_from(["7", r"\frac12", r"\{1,2\}", "x^2-1", "(0,1)", "Tuesday"]))
def test_any_text_is_judged(text, gold):
    for answer in (text, rf"\boxed{{{text}}}", rf"<think> a </think> {text}"):
        assert verify_math(answer, gold).verdict in (CORRECT, WRONG)


@given(st.lists(st.sampled_from([*r"\{}()[]^_*+-/=<>,.!|&%$x12 ", r"\frac", r"\sqrt", r"\pm", r"\cup"]), max_size=25))
def test_any_formula_is_judged(parts):
    verdicts = [verify_math(rf"\boxed{{{''.join(parts)}}}", gold).verdict for gold in ("7", "(0,1)", r"\sqrt2")]
    assert all(verdict in (CORRECT, WRONG) for verdict in verdicts)
