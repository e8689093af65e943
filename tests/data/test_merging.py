"""Which samples become rows: against a reference in memory, written apart; counts that add up; a job that goes on."""

import random
import resource
import sys
from collections import Counter

import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_engine import ScriptedEngine

from trl_r1.data import RejectionFilters, rejection_sample
from trl_r1.data.rejection_sampling.merging import merge_outcomes
from trl_r1.data.rejection_sampling.steps import OUTCOMES, key_of
from trl_r1.errors import DataError, RecipeError
from trl_r1.generation import SamplingParameters


REASONS = [None, None, None, "wrong", "truncated"]


def outcome(prompt, sample, reason, problem, text, domain):
    empty = dict.fromkeys(OUTCOMES.names)
    keys = {"problem_key": key_of(problem), "text_key": key_of(problem, text) if reason is None else None}
    return {**empty, "prompt": prompt, "sample": sample, "reason": reason, "domain": domain, **keys, "text": text}


def reference(rows, filters, seed):
    """The same choice with plain lists: what is kept as (prompt, sample), and the counts."""
    counts = Counter(row["reason"] for row in rows if row["reason"])
    rows = sorted((row for row in rows if not row["reason"]), key=lambda row: (row["prompt"], row["sample"]))
    first = [
        row for place, row in enumerate(rows) if all(row["text_key"] != other["text_key"] for other in rows[:place])
    ]
    counts["duplicate"] = len(rows) - len(first)
    few = []
    for row in first:
        same = sum(other["problem_key"] == row["problem_key"] for other in few)
        if filters.max_kept_per_prompt is None or same < filters.max_kept_per_prompt:
            few.append(row)
    kept = list(few)
    for domain in {row["domain"] for row in few}:
        limit = (filters.domain_max_rows or {}).get(domain, filters.max_rows_per_domain)
        places = [place for place, row in enumerate(few) if row["domain"] == domain]
        if limit is not None and len(places) > limit:
            chosen = random.Random(f"{seed}:{domain}").sample(range(len(places)), limit)
            gone = {places[index] for index in set(range(len(places))) - set(chosen)}
            kept = [row for row in kept if row not in [few[place] for place in gone]]
    counts["over_domain_limit"] = len(few) - len(kept)
    rows = kept
    if filters.max_rows is not None and len(kept) > filters.max_rows:
        rows = [kept[index] for index in sorted(random.Random(seed).sample(range(len(kept)), filters.max_rows))]
    counts["over_limit"] = len(first) - len(few) + len(kept) - len(rows)
    return [(row["prompt"], row["sample"]) for row in rows], {name: n for name, n in counts.items() if n}


limit = st.none() | st.integers(1, 4)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(REASONS), st.integers(0, 2), st.integers(0, 2), st.sampled_from("ab") | st.none()),
        min_size=1,
        max_size=24,
    ),
    *(limit, limit, limit, limit),
    *(st.integers(0, 3), st.randoms(use_true_random=False)),
)
def test_the_choice_is_that_of_a_plain_reference(drawn, each, rows, domain, named, seed, shuffler):
    filters = RejectionFilters(
        max_kept_per_prompt=each,
        max_rows=rows,
        max_rows_per_domain=domain,
        domain_max_rows=None if named is None else {"a": named},
    )
    outcomes = [
        outcome(number // 2, number % 2, reason, f"problem {problem}", f"text {text}", domain)
        for number, (reason, problem, text, domain) in enumerate(drawn)
    ]
    shuffler.shuffle(outcomes)
    merged = merge_outcomes(Dataset(pa.Table.from_pylist(outcomes, schema=OUTCOMES)), filters, seed)
    kept, counts = reference(outcomes, filters, seed)
    assert [(outcomes[row]["prompt"], outcomes[row]["sample"]) for row in merged.rows] == kept
    assert dict(merged.dropped) == counts
    assert len(merged.rows) + merged.dropped.total() == len(outcomes)
    assert merged.num_solved == len({outcomes[row]["problem_key"] for row in merged.rows})


def question(number, **columns):
    return {
        "prompt": f"user : what is {number} plus 1 ? assistant :",
        "problem": f"what is {number} plus 1 ?",
        "solution": str(number + 1),
        "prompt_tail": "",
        "response_format": "r1",
        "language": "en",
        **columns,
    }


def answer(number, sample):
    value = number + 1 + (sample == 1)
    return f"<think> so {number} plus 1 is {value} </think> the answer is \\boxed{{ {value} }}"


class Arithmetic(ScriptedEngine):
    """Answers every question without a list of answers; every second sample is wrong."""

    @property
    def identity(self):
        return {"engine": "arithmetic"}

    def __init__(self, tokenizer):
        super().__init__(tokenizer, [])
        self.batches, self.fails_at = [], None

    def generate_batch(self, prompts, rows, params, seed):
        if self.fails_at is not None and len(self.batches) >= self.fails_at:
            raise KeyboardInterrupt
        self.batches.append(seed)
        return [self._completion(answer(int(prompts[row.prompt].split()[4]), row.sample)) for row in rows]


def test_an_interrupted_job_goes_on_and_gives_the_same(tokenizer, tmp_path):
    rows, params = [question(number) for number in range(40)], SamplingParameters(num_samples=2, batch_size=8)
    whole = rejection_sample(Arithmetic(tokenizer), rows, params, sources=[("a", 30), ("b", 10)])
    engine = Arithmetic(tokenizer)
    for stop in (3, 7):
        engine.fails_at = stop
        with pytest.raises(KeyboardInterrupt):
            rejection_sample(engine, rows, params, folder=tmp_path, sources=[("a", 30), ("b", 10)])
    engine.fails_at = None
    resumed = rejection_sample(engine, rows, params, folder=tmp_path, sources=[("a", 30), ("b", 10)])
    assert len(engine.batches) == len(set(engine.batches)) == 10
    assert resumed.rows == whole.rows
    assert resumed.dropped == whole.dropped == {"wrong": 40}
    assert [row["question_source"] for row in resumed.rows] == ["a"] * 30 + ["b"] * 10


def test_other_filters_use_the_same_samples(tokenizer, tmp_path):
    rows, params = [question(number) for number in range(4)], SamplingParameters(num_samples=2)
    engine = Arithmetic(tokenizer)
    strict = rejection_sample(engine, rows, params, folder=tmp_path)
    loose = rejection_sample(
        engine, rows, params, RejectionFilters(keep_correct=False, max_kept_per_prompt=None), folder=tmp_path
    )
    assert (len(strict.rows), len(loose.rows), len(engine.batches)) == (4, 8, 1)


def test_rows_are_a_sequence(tokenizer):
    rows = rejection_sample(
        Arithmetic(tokenizer), [question(number) for number in range(4)], SamplingParameters()
    ).rows
    assert [row["solution"] for row in rows[1:3]] == ["2", "3"]
    assert rows[-1] == list(rows)[3]
    assert rows == list(rows)
    assert rows != list(rows)[:3]
    with pytest.raises(IndexError):
        rows[4]


def test_domains_are_balanced(tokenizer):
    rows = [question(number, domain="ab"[number % 4 == 0]) for number in range(40)]
    filters = RejectionFilters(max_rows_per_domain=7, domain_max_rows={"a": 12})
    result = rejection_sample(Arithmetic(tokenizer), rows, SamplingParameters(), filters)
    assert Counter(row["domain"] for row in result.rows) == {"a": 12, "b": 7}
    assert result.dropped == {"over_domain_limit": 21}
    assert [int(row["solution"]) for row in result.rows] == sorted(int(row["solution"]) for row in result.rows)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"max_rows_per_domain": 3, "domain_column": "field"}, "the rows have no column 'field' to balance by"),
        ({"domain_max_rows": {"c": 3}}, r"^domain_max_rows: no row is of domain 'c'; there are a$"),
    ],
)
def test_domains_that_are_none_are_named_before_sampling(tokenizer, filters, message):
    engine = Arithmetic(tokenizer)
    with pytest.raises(DataError, match=message):
        rejection_sample(engine, [question(1, domain="a")], SamplingParameters(), RejectionFilters(**filters))
    assert engine.batches == []


@pytest.mark.parametrize("limits", [{"a": 0}, {"a": True}, {"a": "3"}, 3])
def test_limits_of_domains_are_whole_numbers(limits):
    with pytest.raises(RecipeError, match=r"^domain_max_rows: "):
        RejectionFilters(domain_max_rows=limits)


def test_odd_texts_survive(tokenizer, tmp_path):
    odd = 'quote " tab \t line\u2028 \u0000 🎲 ' + "x" * 2000
    rows = [question(1, problem=odd, note=odd, **{"a name.with / signs": odd})]
    result = rejection_sample(Arithmetic(tokenizer), rows, SamplingParameters(), folder=tmp_path / "ünïcode dir")
    assert result.rows[0]["problem"] == result.rows[0]["a name.with / signs"] == odd
    assert result.write(tmp_path / "out").read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.slow
def test_twenty_thousand_samples_take_little_memory(tokenizer, tmp_path):
    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)

    def run(number):
        long = "what is it all about ? " * 200  # 4.6 kB a question, and again in each row
        path = tmp_path / f"{number}.jsonl"
        Dataset.from_generator(lambda: ({**question(n), "story": long} for n in range(number))).to_json(path)
        rows = Dataset.from_json(str(path), cache_dir=str(tmp_path / "cache"))
        result = rejection_sample(
            Arithmetic(tokenizer), rows, SamplingParameters(num_samples=2), folder=tmp_path / str(number)
        )
        result.write(tmp_path / f"out{number}")
        return len(result.rows) + sum(result.dropped.values())

    assert run(500) == 1000
    before = peak()
    assert run(10_000) == 20_000
    assert peak() - before < 120  # MB; the rows alone are 100 MB, their outcomes as objects as much again
