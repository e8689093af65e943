"""Printed and returned values against expected ones."""

import pytest

from trl_r1.verifiers.code_comparison import output_difference, values_equal


NAN = float("nan")


@pytest.mark.parametrize(
    ("printed", "expected", "difference"),
    [
        ("3\n7\n", "3\n7\n", None),
        ("3\n7", "3\n7\n\n", None),
        ("3 \r\n7\t\n", "3\n7\n", None),
        ("", "", None),
        ("\n\n", "", None),
        ("3\n", "3\n7\n", "the output has too few lines"),  # a comparison by zip would let it pass
        ("3\n7\n8\n", "3\n7\n", "the output has too many lines"),
        ("", "3\n", "the output has too few lines"),
        ("3\n8\n", "3\n7\n", "line 2 of the output differs"),
        (" 3\n", "3\n", "line 1 of the output differs"),
        ("3\n\n7\n", "3\n7\n", "line 2 of the output differs"),
        ("3 7\n", "3\n7\n", "line 1 of the output differs"),
        ("yes\n", "YES\n", "line 1 of the output differs"),
        ("1.0\n", "1\n", "line 1 of the output differs"),
        ("a\x0cb\n", "a\nb\n", "line 1 of the output differs"),
    ],
)
def test_output(printed, expected, difference):
    assert output_difference(printed, expected) == difference


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("0.3333333", "0.333333333", True),
        ("0.3334", "0.333333333", False),
        ("1.0 x 2", "1 x 2.0", True),
        ("1.0 y 2", "1 x 2.0", False),
        ("1.0 2", "1.0", False),
        ("nan", "NaN", True),
        ("inf", "1e300", False),
        ("1_0.0", "10.0", False),  # a number to Python, and to no checker
        ("１０", "10", False),
        ("1000000.5", "1000000", True),  # relative
        ("1000000008", "1000000007", False),  # integers are exact
        ("1000000008.0", "1000000007", False),
        ("+07", "7", True),
    ],
)
def test_output_with_tolerance(printed, expected, same):
    assert (output_difference(printed, expected, 1e-6) is None) is same


@pytest.mark.parametrize(
    ("value", "expected", "same"),
    [
        (4, 4, True),
        (4.0, 4, True),  # JSON writers do not agree on it
        (4, 4.0, True),
        (True, 1, False),
        (1, True, False),
        (True, True, True),
        (0, False, False),
        ("4", 4, False),
        (4, "4", False),
        (None, None, True),
        (None, 0, False),
        (None, False, False),
        (NAN, NAN, True),
        (NAN, 0.0, False),
        (0.1 + 0.2, 0.3, False),
        (10**30, 10**30, True),
        (10**30 + 1, float(10**30), False),
        (2**53 + 1, 2.0**53, False),
        ("", "", True),
        (b"a", "a", False),
        ([1, 2], [1, 2], True),
        ((1, 2), [1, 2], True),  # JSON has no tuples
        ([1, 2], (1, 2), False),  # a test that has them means them
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ([1, 2, 3], [1, 2], False),
        ([True], [1], False),
        ([], {}, False),
        ({1, 2}, [1, 2], False),
        ({1, 2}, {2, 1}, True),
        ({True, 2}, {1, 2}, False),
        (frozenset({1}), {1}, True),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({1: "x"}, {"1": "x"}, True),  # JSON has no other keys
        ({None: 0, True: 1, 1.5: 2}, {"null": 0, "true": 1, "1.5": 2}, True),
        ({1: "x", "1": "y"}, {"1": "y"}, False),
        ({"1": "x"}, {1: "x"}, False),
        ("ab", ["a", "b"], False),
        (10**400, 1j, False),
    ],
)
def test_values(value, expected, same):
    assert values_equal(value, expected) is same


@pytest.mark.parametrize(
    ("value", "expected", "same"),
    [
        (0.1 + 0.2, 0.3, True),
        (0.31, 0.3, False),
        ([0.1 + 0.2, "x"], [0.3, "x"], True),
        ({"a": (0.1 + 0.2,)}, {"a": [0.3]}, True),
        (1000001, 1000000, False),  # integers are exact
        (1000000.5, 1000000, True),
        (1000001.0, 1000000, False),  # though relatively near
        (1000001.0, 1000000.0, True),
        (True, 1.0, False),
        (10**400, 1.0, False),
        (float("inf"), 1.0, False),
        (NAN, NAN, True),
    ],
)
def test_values_with_tolerance(value, expected, same):
    assert values_equal(value, expected, 1e-6) is same


def test_integers_that_python_does_not_spell():
    huge = 10**5000
    assert not values_equal({huge: 1}, {"1": 1})
    assert not values_equal(huge, 1.5, 1e-6)
    assert values_equal(huge, 10**5000)
