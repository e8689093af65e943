"""The numbers of a record, against references written with arrays, subsets and counters."""

import json
import logging
import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t

from trl_r1.data.judging import JudgedSample
from trl_r1.evaluation.harness import score_samples
from trl_r1.evaluation.metrics import MetricContext, SampleMetric, accuracy, chain_tokens, completion_tokens, truncated
from trl_r1.evaluation.scoring import sample_row, summarise
from trl_r1.generation import Completion
from trl_r1.rewards.completions import parse_completions
from trl_r1.verifiers import Judgement, Verdict


METRICS = [
    SampleMetric(name="accuracy", measure=accuracy),
    SampleMetric(name="completion_tokens", measure=completion_tokens),
    SampleMetric(name="truncated", measure=truncated),
]
VERDICTS = {1: Verdict.CORRECT, 0: Verdict.WRONG, None: Verdict.UNDECIDABLE}
NO_GOLD = "no gold"


def sample(question, index, right, answer="7", length=3, **row):
    text = f"<think> wait </think> <answer> {answer} </answer>"
    [parsed] = parse_completions([text], response_format=["r1_zero"])
    judgement = None if right is NO_GOLD else Judgement(VERDICTS[right], "by hand", "exact")
    reason = "length" if length > 90 else "stop"
    return JudgedSample(
        row={"problem": f"question {question}", "solution": "7", **row},
        sample_index=index,
        prefill="",
        text=text,
        parsed=parsed,
        judgement=judgement,
        completion=Completion(text=text, token_ids=tuple(range(length)), finish_reason=reason),
    )


def scored(rights, answers=None, lengths=None, columns=None):
    """Of nested lists, one a question."""
    samples = []
    for question, own in enumerate(rights):
        for index, right in enumerate(own):
            answer = answers[question][index] if answers else "7"
            length = lengths[question][index] if lengths else 3
            samples.append(sample(question, index, right, answer, length, **(columns[question] if columns else {})))
    return score_samples(samples, METRICS)


@pytest.fixture
def drawn():
    """Twelve questions in three families, eight answers each, some of them undecided."""
    rng = np.random.default_rng(3)
    rights = rng.binomial(1, rng.beta(0.5, 0.7, size=(12, 1)), size=(12, 8)).tolist()
    rights[2][5] = rights[7][0] = rights[7][1] = None
    answers = [["7" if right else str(rng.choice(["8", "9", "", "1/2", "0.5"])) for right in own] for own in rights]
    lengths = rng.integers(1, 99, size=(12, 8)).tolist()
    columns = [{"family": f"f{question % 3}", "level": question % 2} for question in range(12)]
    return rights, answers, lengths, columns


def decided(own):
    return [right for right in own if right is not None]


def majority(answers, rights):
    """Is the first in a count of votes right; ties share, and nothing is no vote."""
    votes = Counter(
        "right" if right else {"1/2": "half", "0.5": "half"}.get(answer, answer)
        for answer, right in zip(answers, rights, strict=True)
        if right or answer
    )
    first = [vote for vote, count in votes.items() if count == max(votes.values())]
    return first.count("right") / len(first) if first else 0.0


def test_pass_and_majority_are_those_of_all_subsets(drawn):
    rights, answers, *_ = drawn
    found = summarise(scored(*drawn), METRICS, pass_at=[1, 2, 7], cons_at=[3, 6], verifier="math")
    metrics = found["metrics"]
    assert "pass@1" not in metrics
    assert metrics["accuracy"]["value"] == pytest.approx(np.mean([np.mean(decided(own)) for own in rights]))
    assert metrics["accuracy"]["n"] == 12 * 8 - 3
    for k in (2, 7):
        enough = [decided(own) for own in rights if len(decided(own)) >= k]
        expected = [np.mean([any(pick) for pick in combinations(own, k)]) for own in enough]
        assert metrics[f"pass@{k}"]["value"] == pytest.approx(np.mean(expected))
        assert metrics[f"pass@{k}"]["n"] == sum(map(len, enough))
    for k in (3, 6):
        pairs = [
            [(answer, right) for answer, right in zip(*own, strict=True) if right is not None]
            for own in zip(answers, rights, strict=True)
        ]
        expected = [np.mean([majority(*zip(*pick, strict=True)) for pick in combinations(own, k)]) for own in pairs]
        assert metrics[f"cons@{k}"]["value"] == pytest.approx(np.mean(expected))


def test_questions_with_too_few_decided_answers_are_left_out_and_counted(drawn, caplog):
    with caplog.at_level(logging.WARNING):
        found = summarise(scored(*drawn), METRICS, pass_at=[7, 8], verifier="math")
    uncertainty = found["uncertainty"]
    assert (uncertainty["pass@7"]["num_questions"], uncertainty["pass@8"]["num_questions"]) == (11, 10)
    assert found["undecidable"] == 3
    assert "k = 8 leaves out 2 questions" in caplog.text
    assert "3 of 96 answers could not be judged" in caplog.text


def test_metrics_of_nothing_are_absent_not_zero():
    found = summarise(scored([[None, NO_GOLD]]), METRICS, pass_at=[2], cons_at=[1])
    assert set(found["metrics"]) == {"completion_tokens", "truncated"}
    assert (found["undecidable"], found["by_difficulty"]) == (1, {})
    wrong = summarise(scored([[0, 0], [0, 0]]), METRICS)
    assert wrong["metrics"]["accuracy"]["value"] == 0
    assert "tokens_per_correct" not in wrong["metrics"]


def test_tokens_of_wrong_answers_are_paid_by_right_ones(drawn):
    rights, _, lengths, _ = drawn
    found = summarise(scored(*drawn), METRICS)
    pairs = [
        np.array([(length, right) for length, right in zip(*own, strict=True) if right is not None], dtype=np.float64)
        for own in zip(lengths, rights, strict=True)
    ]
    tokens, right = np.array([own.mean(axis=0) for own in pairs]).T
    ratio = tokens.mean() / right.mean()
    cost = found["uncertainty"]["tokens_per_correct"]
    assert cost["value"] == pytest.approx(ratio)
    half = t.ppf(0.975, 11) * (tokens - ratio * right).std(ddof=1) / math.sqrt(12) / right.mean()
    assert (cost["low"], cost["high"]) == pytest.approx((ratio * np.exp(-half / ratio), ratio * np.exp(half / ratio)))
    within = [(own[:, 0] - ratio * own[:, 1]).var(ddof=1) / len(own) for own in pairs]
    half = 1.959963984540054 * math.sqrt(sum(within)) / 12 / right.mean()
    expected = (ratio * np.exp(-half / ratio), ratio * np.exp(half / ratio))
    assert (cost["sampling_low"], cost["sampling_high"]) == pytest.approx(expected)
    few = summarise(scored([[1]] + [[0]] * 9), METRICS)["metrics"]["tokens_per_correct"]
    assert 0 < few["low"] < few["value"] == 30 < few["high"]


def test_tokens_need_both_of_what_they_are_made_of():
    for kept in (METRICS[:1], METRICS[1:]):
        samples = score_samples([sample(0, 0, 1)], kept)
        assert "tokens_per_correct" not in summarise(samples, kept)["metrics"]


@pytest.mark.parametrize("name", ["accuracy", "pass@2", "cons@3", "tokens_per_correct", "completion_tokens"])
def test_clusters_widen_every_interval_over_questions_and_none_over_samples(name):
    rows = [[1, 1, 1, 0]] * 10 + [[0, 0, 1, 0]] * 10
    columns = [{"family": str(question // 5)} for question in range(20)]
    lengths = [[9 + 10 * (question // 5) + index for index in range(4)] for question in range(20)]
    items = scored(rows, None, lengths, columns)
    alone, grouped = (
        summarise(items, METRICS, cluster_by=by, pass_at=[2], cons_at=[3], verifier="math")["uncertainty"][name]
        for by in (None, "family")
    )
    assert (alone["num_clusters"], grouped["num_clusters"]) == (20, 4)
    assert alone["value"] == grouped["value"]
    assert grouped["high"] - grouped["low"] > 1.5 * (alone["high"] - alone["low"])
    for end in ("sampling_low", "sampling_high", "question_sd", "sampling_sd"):
        assert alone[end] == grouped[end]


def test_spreads_are_kept_apart(drawn):
    rights, *_ = drawn
    found = summarise(scored(*drawn), METRICS)["uncertainty"]["accuracy"]
    within = [np.var(decided(own), ddof=1) for own in rights]
    noise = np.mean([each / len(decided(own)) for each, own in zip(within, rights, strict=True)])
    means = [np.mean(decided(own)) for own in rights]
    assert found["sampling_sd"] == pytest.approx(math.sqrt(np.mean(within)))
    assert found["question_sd"] == pytest.approx(math.sqrt(np.var(means, ddof=1) - noise))
    assert found["sampling_high"] - found["sampling_low"] < found["high"] - found["low"]


def test_greedy_answers_tell_nothing_of_samples_or_difficulty():
    found = summarise(scored([[1], [0], [1]]), METRICS, pass_at=[1], cons_at=[1], verifier="math")
    assert found["by_difficulty"] == {}
    assert (found["metrics"]["cons@1"]["value"], found["metrics"]["accuracy"]["value"]) == (2 / 3, 2 / 3)
    assert found["uncertainty"]["accuracy"]["sampling_low"] is None
    assert found["uncertainty"]["accuracy"]["sampling_sd"] is None


def test_one_question_has_a_value_and_an_interval_over_its_samples_alone():
    found = summarise(scored([[1, 0, 1, 1]]), METRICS)
    own = found["uncertainty"]["accuracy"]
    assert (own["value"], own["low"], own["high"]) == (0.75, None, None)
    assert own["sampling_low"] < 0.75 < own["sampling_high"]
    assert found["metrics"]["accuracy"] == {"value": 0.75, "n": 4, "low": None, "high": None}


def test_lengths_by_how_hard_a_question_is():
    rights = [[1, 1, 1, None], [1, 0, 1, 0], [0, 0, 0, 1], [1, 1, 0, NO_GOLD]]
    lengths = [[1] * 4, [20] * 4, [50, 60, 70, 80], [5, 10, 15, 30]]
    found = summarise(scored(rights, None, lengths), METRICS)["by_difficulty"]
    # of decided answers 3/3, 2/4, 1/4 and 2/3; two thirds is the end of the middle
    assert list(found) == ["hard", "middle", "easy"]
    assert {name: own["completion_tokens"]["value"] for name, own in found.items()} == {
        "hard": 65.0,
        "middle": (20 + 15) / 2,
        "easy": 1.0,
    }
    assert found["middle"]["completion_tokens"]["n"] == 8


def test_groups_are_by_column_with_numbers_by_size():
    columns = [{"level": level} for level in (10, 2, "x", 2)]
    found = summarise(scored([[1, 0], [1, 1], [0, 0], [1, 0]], None, None, columns), METRICS, "level")
    assert list(found["groups"]) == ["2", "10", "x"]
    assert [own["accuracy"]["value"] for own in found["groups"].values()] == [0.75, 0.5, 0.0]


def test_a_record_is_json_whatever_was_measured(drawn):
    found = summarise(scored(*drawn), METRICS, "level", cluster_by="family", pass_at=[4], cons_at=[4], verifier="math")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["metrics"].keys() == found["uncertainty"].keys() == found["interval_methods"].keys()
    for name, own in found["metrics"].items():
        assert own["low"] <= own["value"] <= own["high"], name
        assert own["n"] == found["uncertainty"][name]["num_samples"]
    assert found["truncated"] == sum(length > 90 for own in drawn[2] for length in own)


def test_a_row_keeps_what_the_numbers_are_made_of():
    items = scored([[1, None]], [["14/2", "?"]], [[3, 95]], [{"family": 3, "level": 1, "question_id": "q"}])
    first, second = (sample_row(item, "level", "family", "zh", "math") for item in items)
    assert (first["question_id"], first["cluster"], first["group"], first["variant"]) == ("q", "3", "1", "zh")
    assert (first["answer"], first["answer_key"], first["verdict"], first["num_tokens"]) == ("14/2", "7", "correct", 3)
    assert (second["verdict"], second["finish_reason"], second["metrics"]["accuracy"]) == (
        "undecidable",
        "length",
        None,
    )


def test_chains_without_a_tokenizer_are_not_measured():
    assert chain_tokens(sample(0, 0, 1), MetricContext(tokenizer=None)) is None


@pytest.mark.parametrize("count", [False, True])
def test_the_interval_of_a_rare_count_does_not_reach_below_zero(count):
    def rare(sample):
        return float(sample.row["problem"] == "question 3" and sample.sample_index == 0)

    samples = [item.sample for item in scored([[1, 1]] * 20)]
    metric = SampleMetric(name="rare", measure=rare, count=count)
    found = summarise(score_samples(samples, [metric]), [metric])["uncertainty"]["rare"]
    assert found["value"] == pytest.approx(1 / 40)
    assert (found["low"] == 0 and found["sampling_low"] == 0) if count else found["low"] < 0
    assert found["high"] > 1 / 40
