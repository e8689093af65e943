"""The wall's decoder: whatever the bytes say, plain data of bounded size, or one error."""

import json
import math
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trl_r1.verifiers.sandbox.inside.wire import MAX_DEPTH, WireError, decode, encode


HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner),
    max_leaves=10,
)
PLAIN = st.recursive(
    HASHABLE, lambda inner: st.lists(inner) | st.dictionaries(HASHABLE, inner) | st.sets(HASHABLE), max_leaves=20
)


@given(PLAIN)
@settings(max_examples=100, deadline=None)
def test_values_come_back_as_they_were(value):
    assert decode(encode(value)) == value
    assert type(decode(encode(value))) is type(value)


@given(st.binary() | st.text(alphabet='[]{}":,0123456789.eE-intsudcflaobyp').map(str.encode))
@settings(max_examples=500, deadline=None)
def test_junk_is_plain_data_or_an_error(data):
    try:
        value = decode(data)
    except WireError:
        return
    encode(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1",
        "{}",
        '{"int":"1","str":"2"}',
        '{"nothing":[]}',
        '{"int":5}',
        '{"int":"0xzz"}',
        '{"bytes":"é"}',
        '{"bytes":"a"}',
        '{"tuple":{"int":"0x1"}}',
        '{"complex":[1,2]}',
        '{"complex":[1.0]}',
        '{"dict":[[1]]}',
        '{"dict":[1]}',
        '{"dict":[[[],1]]}',
        '{"set":[[]]}',
        '{"set":[{"set":[]}]}',
        '{"__class__":["os.system"]}',
        "1" * 30,
        "[" * 100_000,
        "[" * 500 + "]" * 500,
        '{"tuple":[' * 400 + "]}" * 400,
    ],
)
def test_what_the_encoder_never_says_is_refused(text):
    with pytest.raises(WireError):
        decode(text.encode())


def test_long_numbers_cost_little():
    """Decimal digits cost quadratic time, so long integers come in hexadecimal."""
    value = 7**300_000
    assert decode(encode(value)) == value


@pytest.mark.parametrize("tag", ["set", "frozenset", "dict"])
def test_keys_made_to_collide_are_refused(tag):
    """-1 and -2 have one hash, and so have all tuples of them: 16 thousand such keys cost minutes, not a moment."""
    keys = [{"tuple": [-1 - (number >> bit & 1) for bit in range(14)]} for number in range(1 << 14)]
    items = [[key, 0] for key in keys] if tag == "dict" else keys
    started = time.monotonic()
    with pytest.raises(WireError, match="one hash"):
        decode(json.dumps({tag: items}).encode())
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 999_000,
        b'{"tuple":[' * 90_000,
        b"[" * 499_000 + b"]" * 499_000,
        b'"' + b'\\"' * 499_000,
        b'["\\\\",' * 100_000,
    ],
)
def test_brackets_end_no_process_whatever_the_recursion_limit(text):
    """In a process of its own, which JSON's reader would bring down."""
    code = (
        "import sys\nfrom trl_r1.verifiers.sandbox.inside import wire\nsys.setrecursionlimit(10**6)\n"
        "try: wire.decode(sys.stdin.buffer.read())\nexcept wire.WireError: print('refused')"
    )
    ended = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, timeout=120)
    assert ended.stdout == b"refused\n", ended.stderr


def test_brackets_in_strings_are_text():
    value = ["[" * 5000, '"]}{' * 5000, "\\" * 5001, {"[": "]" * 400}]
    assert decode(encode(value)) == value


def test_few_equal_hashes_are_fine():
    value = {-1, -2, 1, 1.5, 2**61, 2**61 - 1, *range(1000)}
    assert decode(encode(value)) == value


def test_depth_is_bounded_on_both_sides():
    value = []
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode(encode(value)) == value
    with pytest.raises(WireError, match="deep"):
        encode([value])


@pytest.mark.parametrize("value", [object(), lambda: 0, range(3), {1: object()}, ValueError(), int])
def test_other_objects_do_not_travel(value):
    with pytest.raises(WireError, match="no plain value"):
        encode(value)


def test_liars_travel_as_what_they_are():
    class Liar(str):
        __class__ = int

        def __eq__(self, other):
            return True

        __hash__ = str.__hash__

        def __str__(self):
            return "another"

    class Number(int):
        def __int__(self):
            return 5

        def __index__(self):
            return 5

    class Items(dict):
        def items(self):
            return [("fake", 1)]

    found = decode(encode([Liar("text"), Number(3), Items(a=2)]))
    assert found == ["text", 3, {"a": 2}]
    assert [type(item) for item in found] == [str, int, dict]


def test_special_floats():
    value = decode(encode([math.inf, -math.inf, -0.0, 1e-320]))
    assert repr(value) == "[inf, -inf, -0.0, 1e-320]"
    assert math.isnan(decode(encode(math.nan)))
