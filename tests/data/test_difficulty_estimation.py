"""Pass rates of questions: counted once, kept, and drawn only where they are missing."""

import json

import pytest
from datasets import Dataset
from generation.seeded_engine import SeededEngine

from trl_r1.data.difficulty import PassCount
from trl_r1.data.difficulty_estimation import (
    BANDS,
    DifficultyEstimate,
    DifficultyJob,
    band_of,
    estimate_difficulty,
    later_seed,
    measured_columns,
    measured_rows,
)
from trl_r1.data.verdict_cache import VerdictCache
from trl_r1.errors import DataError, GenerationError
from trl_r1.evaluation.intervals import wilson_interval
from trl_r1.generation import SamplingParameters
from trl_r1.generation.types import Completion


class CoinEngine(SeededEngine):
    """Answers 7 or 8 by the toss of each sample's own seed."""

    def _complete(self, seed, params):
        text = f"<think> so </think> {7 + seed % 2}"
        return Completion(text=text, token_ids=(seed % 2,), finish_reason="stop", seed=seed)


def questions(number, **columns):
    rows = [
        {"prompt": f"question {n} ?", "problem": f"question {n} ?", "solution": "7", **columns} for n in range(number)
    ]
    return Dataset.from_list([{**row, "prompt_tail": "", "response_format": "r1"} for row in rows])


def sampling(number, **fields):
    return SamplingParameters(num_samples=number, batch_size=3, seed=5, **fields)


def test_counts_are_what_the_verifier_says(tmp_path):
    rows = questions(6)
    found = estimate_difficulty(CoinEngine(), rows, sampling(8), folder=tmp_path)
    drawn = CoinEngine().generate(rows["prompt"], sampling(8))
    expected = [sum(made.text.endswith("7") for made in group) for group in drawn]
    assert [count.num_correct for count in found.counts] == expected
    assert len(set(expected)) > 1
    assert all(count.num_samples == 8 for count in found.counts)
    assert (found.drawn, found.reused, found.undecided, found.num_questions) == (48, 0, 0, 6)


def test_asking_again_draws_nothing(tmp_path):
    first = estimate_difficulty(CoinEngine(), questions(6), sampling(4), folder=tmp_path / "a", cache=tmp_path / "c")
    engine = CoinEngine()
    again = estimate_difficulty(engine, questions(6), sampling(4), folder=tmp_path / "b", cache=tmp_path / "c")
    assert (engine.drawn, again.drawn, again.reused) == (0, 0, 24)
    assert again.counts == first.counts


def test_more_questions_and_more_samples_draw_what_is_missing(tmp_path):
    cache = tmp_path / "c"
    few = estimate_difficulty(CoinEngine(), questions(4), sampling(4), folder=tmp_path / "a", cache=cache)
    more = estimate_difficulty(CoinEngine(), questions(6), sampling(4), folder=tmp_path / "b", cache=cache)
    assert (more.drawn, more.counts[:4]) == (8, few.counts)
    longer = estimate_difficulty(CoinEngine(), questions(6), sampling(10), folder=tmp_path / "d", cache=cache)
    assert (longer.drawn, longer.reused) == (36, 24)
    assert all(count.num_samples == 10 for count in longer.counts)
    fewer = estimate_difficulty(CoinEngine(), questions(6), sampling(4), folder=tmp_path / "e", cache=cache)
    assert fewer.counts == more.counts


def test_samples_of_different_lengths_of_series_are_topped_up_apart(tmp_path):
    cache = tmp_path / "c"
    estimate_difficulty(CoinEngine(), questions(2), sampling(6), folder=tmp_path / "a", cache=cache)
    estimate_difficulty(CoinEngine(), questions(4), sampling(3), folder=tmp_path / "b", cache=cache)
    found = estimate_difficulty(CoinEngine(), questions(5), sampling(8), folder=tmp_path / "d", cache=cache)
    assert found.drawn == 2 * 2 + 2 * 5 + 8
    assert {count.num_samples for count in found.counts} == {8}


@pytest.mark.parametrize(
    "changed",
    [
        {"engine": CoinEngine("another")},
        {"params": sampling(4, temperature=0.5)},
        {"params": sampling(4, max_new_tokens=9)},
        {"rows": questions(3, solution="8")},
    ],
)
def test_what_would_change_a_verdict_is_not_taken_from_the_cache(tmp_path, changed):
    call = {"engine": CoinEngine(), "rows": questions(3), "params": sampling(4)}
    estimate_difficulty(**call, folder=tmp_path / "a", cache=tmp_path / "c")
    found = estimate_difficulty(**call | changed, folder=tmp_path / "b", cache=tmp_path / "c")
    assert (found.drawn, found.reused) == (12, 0)


def test_the_size_of_a_batch_changes_no_distribution(tmp_path):
    estimate_difficulty(CoinEngine(), questions(3), sampling(4), folder=tmp_path / "a", cache=tmp_path / "c")
    params = SamplingParameters(num_samples=4, batch_size=7, seed=5)
    found = estimate_difficulty(CoinEngine(), questions(3), params, folder=tmp_path / "b", cache=tmp_path / "c")
    assert found.drawn == 0


def test_equal_questions_are_asked_once(tmp_path):
    rows = Dataset.from_list([*questions(2), *questions(2)])
    found = estimate_difficulty(CoinEngine(), rows, sampling(4), folder=tmp_path)
    assert (found.drawn, found.num_questions) == (8, 2)
    assert found.counts[:2] == found.counts[2:]


def test_what_nobody_can_judge_is_no_sample(tmp_path):
    rows = Dataset.from_list([*questions(2), *questions(3, solution=None)])
    found = estimate_difficulty(CoinEngine(), rows, sampling(4), folder=tmp_path)
    assert [count.num_samples for count in found.counts] == [4, 4, 0, 0, 0]
    assert found.undecided == 12
    assert found.outside(0, 1)[2:] == ["not_judged"] * 3
    assert found.histogram()["none"] == 3
    with pytest.raises(DataError, match="none of 12 samples could be judged"):
        estimate_difficulty(CoinEngine(), questions(3, solution=None), sampling(4), folder=tmp_path / "b")


def test_a_job_that_failed_goes_on_and_gives_the_same(tmp_path):
    whole = estimate_difficulty(CoinEngine(), questions(6), sampling(4), folder=tmp_path / "whole")
    broken = CoinEngine(failing=[2])
    with pytest.raises(GenerationError):
        estimate_difficulty(broken, questions(6), sampling(4), folder=tmp_path / "a", cache=tmp_path / "c")
    assert not (tmp_path / "c").exists()
    engine = CoinEngine()
    found = estimate_difficulty(engine, questions(6), sampling(4), folder=tmp_path / "a", cache=tmp_path / "c")
    assert found.counts == whole.counts
    assert 0 < engine.drawn < broken.drawn


def test_two_processes_share_the_work(tmp_path):
    rows = questions(6)
    alone = estimate_difficulty(CoinEngine(), rows, sampling(4), folder=tmp_path / "alone")
    engines = [CoinEngine(), CoinEngine()]
    jobs = [
        DifficultyJob(engines[rank], rows, rows["prompt"], sampling(4), folder=tmp_path / "b", rank=rank, world_size=2)
        for rank in (0, 1)
    ]
    jobs[1].run()
    jobs[0].run()
    assert jobs[0].result().counts == alone.counts
    assert [engine.drawn for engine in engines] == [4, 4]


def test_runs_that_share_a_cache_lose_nothing_of_each_other(tmp_path):
    caches = [VerdictCache(tmp_path, {"model": 1}) for _ in range(2)]
    assert all(not cache.read() for cache in caches)
    caches[0].add({"a": "10", "b": "1"})
    caches[1].add({"b": "0?1", "c": "0"})
    assert caches[0].read() == {"a": "10", "b": "0?1", "c": "0"}
    assert VerdictCache(tmp_path, {"model": 2}).read() == {}


@pytest.mark.parametrize("line", ['{"key": "a", "verdicts": "12"}', '{"key": 1, "verdicts": "1"}', "{", "{}"])
def test_a_damaged_cache_is_named(tmp_path, line):
    cache = VerdictCache(tmp_path, {"model": 1})
    cache.add({"a": "1"})
    (cache.folder / "x.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=r"x\.jsonl"):
        cache.read()


@pytest.mark.parametrize(
    ("rate", "band"),
    [(None, "none"), (0.0, "0"), (0.01, "0-0.25"), (0.25, "0-0.25"), (0.26, "0.25-0.5"), (0.99, "0.75-1"), (1.0, "1")],
)
def test_bands_cover_all_rates(rate, band):
    assert band_of(rate) == band


def test_a_histogram_counts_every_row():
    counts = [PassCount(n, 8) for n in range(9)]
    found = DifficultyEstimate(counts=counts, num_questions=9, drawn=72, reused=0, undecided=0)
    assert sum(found.histogram().values()) == 9
    assert list(found.histogram()) == [*BANDS, "none"]
    assert found.outside(0.25, 0.75) == ["too_hard"] * 2 + [None] * 5 + ["too_easy"] * 2


def test_measured_rows_keep_the_question_and_say_how_sure_the_rate_is():
    rows = questions(2, level=3)
    estimate = DifficultyEstimate(
        counts=[PassCount(1, 4), PassCount(0, 0)], num_questions=2, drawn=8, reused=0, undecided=4
    )
    first, second = measured_rows(rows, estimate, wilson_interval, [0, 1])
    low, high = wilson_interval(1, 4)
    assert first["pass_rate"] == 0.25
    assert (first["num_samples"], first["pass_rate_low"], first["pass_rate_high"]) == (4, low, high)
    assert (first["level"], first["solution"]) == (3, "7")
    assert measured_columns(PassCount(0, 0), wilson_interval)["pass_rate"] is second["pass_rate"] is None
    json.dumps([first, second])


def test_only_what_says_more_than_the_question_is_kept_as_a_prompt():
    chat = [{"role": "user", "content": "question 0 ?"}]
    estimate = DifficultyEstimate(counts=[PassCount(1, 4)], num_questions=1, drawn=4, reused=0, undecided=0)

    def columns(prompt):
        row = {**questions(1)[0], "prompt": prompt}
        [made] = measured_rows(Dataset.from_list([row]), estimate, wilson_interval, [0])
        return made.keys() & {"prompt", "problem", "prompt_tail"}

    assert columns(chat) == {"problem"}
    assert columns([{"role": "system", "content": "be brief"}, *chat]) == {"prompt"}
    assert columns("user: question 0 ? assistant:") == {"problem"}
    assert columns("question 0 ?") == {"prompt"}


def test_later_samples_have_seeds_of_their_own():
    seeds = [later_seed(5, known) for known in range(50)]
    assert seeds[0] == 5
    assert len(set(seeds)) == 50
