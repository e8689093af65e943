"""Texts that repeat an earlier one: found exactly, with MinHash only as a sieve."""

import random
import sys

import pytest
from datasets import Dataset

from trl_r1.data.near_duplicates import bands_for, jaccard, near_duplicates, shingles
from trl_r1.data.normalised_text import words
from trl_r1.errors import DataError


def text(draw, length=60):
    return [draw.choice(VOCABULARY) for _ in range(length)]


VOCABULARY = ["".join(random.Random(number).choices("abcdefgh", k=5)) for number in range(500)]


def test_equal_after_normalising_is_found_without_minhash(monkeypatch):
    monkeypatch.setitem(sys.modules, "rensa", None)
    texts = ["What is $1+1$?", "other", "what is 1 + 1", "", " ", "OTHER."]
    assert list(near_duplicates(texts, threshold=1)) == [(2, 0), (4, 3), (5, 1)]
    with pytest.raises(DataError, match=r"trl_r1\[dedup\]"):
        list(near_duplicates(texts))


@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.9])
def test_all_pairs_above_the_threshold_and_no_other(threshold):
    draw = random.Random(5)
    texts = []
    for _ in range(150):
        own = text(draw)
        changed = list(own)
        for _ in range(draw.randrange(1, 5)):
            changed[draw.randrange(len(changed))] = draw.choice(VOCABULARY)
        texts += [" ".join(own), " ".join(changed)]
    found = dict(near_duplicates(texts, threshold))
    expected = {}
    for index in range(1, len(texts), 2):
        similarity = jaccard(shingles(words(texts[index])), shingles(words(texts[index - 1])))
        if similarity >= threshold:
            expected[index] = index - 1
    assert found == expected
    assert 0 < len(expected) < 150


def test_the_first_is_kept_and_named():
    draw = random.Random(1)
    own = " ".join(text(draw, 200))
    assert list(near_duplicates([own, own + " more", own + " and more"])) == [(1, 0), (2, 0)]


def test_another_number_is_another_problem():
    own = " ".join(text(random.Random(2), 80))
    texts = [f"{own} 3 apples", f"{own} 4 apples"]
    assert list(near_duplicates(texts)) == []
    assert list(near_duplicates(texts, same_numbers=False)) == [(1, 0)]


def test_a_column_of_a_data_set_is_read_as_it_lies():
    rows = Dataset.from_list([{"text": "the same text"}, {"text": "The same text!"}])
    assert list(near_duplicates(rows["text"])) == [(1, 0)]


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"threshold": 1.1}, {"shingle": 0}])
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        list(near_duplicates(["a"], **wrong))


def test_bands_find_pairs_at_the_threshold():
    assert bands_for(0.9) < bands_for(0.7) < bands_for(0.3)


def test_texts_of_any_kind():
    texts = ["\ud800", "\x00", "a" * 300_000, "漢" * 50_000, "🙂", "🙂🙂", "🙂 ", "\ud800"]
    assert list(near_duplicates(texts)) == [(6, 4), (7, 0)]  # of signs alone, those that are the same
