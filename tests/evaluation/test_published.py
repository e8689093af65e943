"""Published numbers: what is there, and whether a measurement agrees with them."""

import math
import random

import pytest

from trl_r1.errors import DataError, R1Error
from trl_r1.evaluation.published import (
    Measured,
    compare_numbers,
    compare_with_published,
    largest_sampling_error,
    list_published,
    published_numbers,
)


STUDENTS = ("qwen-1.5b", "qwen-7b", "qwen-14b", "qwen-32b", "llama-8b", "llama-70b")
REPRODUCED = {  # lighteval less the paper's tables, points, in the order of STUDENTS
    "aime_2024": (1.8, -4.7, -3.8, -2.9, -6.5, -7.0),
    "math_500": (-0.8, 1.7, 0.2, 1.3, -0.5, 0.6),
    "gpqa_diamond": (2.0, 1.4, 2.4, 1.0, -2.3, 2.2),
    "live_code_bench": (-0.8, -0.2, -1.8, -1.2, -2.2, -1.6),
}
ACCURACY = {"value": 0.555, "num_questions": 30, "num_samples": 1920, "sampling_sd": 0.3}


def record(**fields):
    """A record of a run of AIME by the paper's protocol."""
    return {
        "suite": "aime",
        "benchmark": {"name": "aime_2024", "instruction": "{problem} Think."},
        "instruction": "{problem} Think.",
        "system_prompt": None,
        "examples": [],
        "n": 1920,
        "num_questions": 30,
        "sampling": {"temperature": 0.6, "top_p": 0.95, "max_new_tokens": 32768, "num_samples": 64},
        "metrics": {},
        "uncertainty": {"accuracy": ACCURACY},
        **fields,
    }


def pair(student, benchmark):
    """DeepSeek's number, and lighteval's as a measurement."""
    name = f"deepseek-r1-distill-{student}"
    [printed] = [
        number for number in published_numbers(name, benchmark, ("distilled_students",)) if number.metric == "accuracy"
    ]
    [again] = published_numbers(name, benchmark, ("open_r1_lighteval",))
    measured = Measured(
        value=again.share, num_questions=again.num_questions, num_samples=again.num_samples, rounded=True
    )
    return measured, printed


@pytest.mark.parametrize("benchmark", REPRODUCED)
def test_the_numbers_of_two_sources_differ_as_reported(benchmark):
    differences = []
    for student in STUDENTS:
        measured, printed = pair(student, benchmark)
        differences.append(round(100 * measured.value - printed.value, 1))
    assert tuple(differences) == REPRODUCED[benchmark]


def test_the_seven_points_of_the_largest_student_are_no_noise():
    assert 100 * largest_sampling_error(30, 64) == pytest.approx(1.14, abs=0.005)
    found = compare_numbers(*pair("llama-70b", "aime_2024"))
    assert found.difference == pytest.approx(-7.0)
    assert found.sigmas_worst_case == pytest.approx(4.34, abs=0.01)
    assert found.sigmas > found.sigmas_worst_case
    assert found.verdict == f"differs by {found.sigmas:.1f} sigma: look at the protocol"


def test_what_is_within_two_sigma_agrees():
    found = compare_numbers(*pair("qwen-1.5b", "aime_2024"))
    assert found.sigmas < 2
    assert found.verdict == "agrees"


def test_the_bound_holds_whatever_the_rates_of_the_questions():
    rng = random.Random(0)
    for _ in range(200):
        rates = [rng.random() ** rng.choice((0.2, 1, 5)) for _ in range(rng.randint(1, 40))]
        samples = rng.randint(1, 64)
        error = math.sqrt(sum(p * (1 - p) for p in rates) / samples) / len(rates)
        mean = sum(rates) / len(rates)
        assert error <= largest_sampling_error(len(rates), samples, mean) * (1 + 1e-9)
        assert error <= largest_sampling_error(len(rates), samples) * (1 + 1e-9)


def test_two_runs_of_one_protocol_agree_nineteen_times_of_twenty_or_more():
    rng = random.Random(1)
    rates = [0.1, 0.3, 0.5, 0.9, 0.95] * 6
    number = pair("qwen-7b", "aime_2024")[1]
    far = 0
    for _ in range(400):
        scores = [sum(rng.random() < p for p in rates for _ in range(8)) / (8 * len(rates)) for _ in range(2)]
        printed = type(number)(
            **{
                name: getattr(number, name)
                for name in ("model", "benchmark", "metric", "source", "version", "collection")
            },
            value=round(100 * scores[0], 1),
            num_questions=30,
            num_samples=8,
        )
        ours = Measured(value=scores[1], num_questions=30, num_samples=8)
        far += compare_numbers(ours, printed).verdict != "agrees"
    assert far <= 32  # 8 %: the expected 5 % and three standard errors, were the bound exact


def test_a_record_of_the_same_protocol_is_compared():
    rows = {row.number.metric: row for row in compare_with_published(record(), "DeepSeek-R1-Distill-Qwen-7B")}
    assert rows["cons@64"].verdict == "not comparable: cons@64 was not measured"
    [own] = [
        row
        for row in compare_with_published(record(), "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", ("distilled_students",))
        if row.number.metric == "accuracy"
    ]
    assert (round(own.ours, 9), own.published, own.verdict) == (55.5, 55.5, "agrees")
    expected = math.hypot(0.3 / math.sqrt(1920), largest_sampling_error(30, 64, 0.555), 0.001 / math.sqrt(12))
    assert own.error == pytest.approx(100 * expected, rel=1e-3)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"sampling": {**record()["sampling"], "temperature": 1.0}}, "temperature 1.0 against 0.6"),
        ({"sampling": {**record()["sampling"], "max_new_tokens": 4096}}, "max_completion_length 4096 against 32768"),
        ({"instruction": "{problem}"}, "prompt '{problem}' against the benchmark's own"),
        ({"system_prompt": "Be kind."}, "a system prompt against none"),
        ({"examples": [["a", "b"]]}, "1 examples against none"),
        ({"num_questions": 10}, "10 questions against 30"),
    ],
)
def test_another_protocol_is_named_and_not_compared(fields, said):
    row = compare_with_published(record(**fields), "deepseek-r1-distill-qwen-7b", ("open_r1_lighteval",))[0]
    assert row.verdict == f"not comparable: {said}"
    assert row.sigmas is None


def test_fewer_answers_a_question_change_the_error_alone():
    sampling = {**record()["sampling"], "num_samples": 4}
    few = record(sampling=sampling, n=120, uncertainty={"accuracy": {**ACCURACY, "num_samples": 120}})
    [row] = compare_with_published(few, "deepseek-r1-distill-qwen-7b", ("open_r1_lighteval",))
    [usual] = compare_with_published(record(), "deepseek-r1-distill-qwen-7b", ("open_r1_lighteval",))
    assert row.protocol_differences == ("4 answers a question against 64",)
    assert row.error > usual.error


def test_a_rating_is_no_share():
    rows = compare_with_published(
        record(benchmark={"name": "codeforces"}, metrics={"rating": {"value": 0.5}}), "deepseek-r1-zero"
    )
    assert all(row.verdict.startswith("not comparable: ") for row in rows)


def test_every_collection_reads_and_names_its_source():
    assert {"deepseek_r1", "distilled_students", "open_r1_lighteval", "r1_zero", "r1_zero_v1"} <= {*list_published()}
    for number in published_numbers():
        assert number.source
        assert number.version
        assert number.share is None or 0 <= number.share <= 1
    headline = published_numbers("deepseek-r1", collections=("deepseek_r1",))
    assert len(headline) == 23  # 20 rows of the table, of which one is two, and cons@64 and pass@64


def test_unknown_names_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(R1Error, match="did you mean 'deepseek-r1-distill-qwen-7b'"):
        published_numbers("deepseek-r1-distil-qwen-7b")
    with pytest.raises(R1Error, match="did you mean 'deepseek_r1'"):
        published_numbers(collections=("deepsek_r1",))
    with pytest.raises(R1Error, match="it names no benchmark"):
        compare_with_published(record(benchmark=None), "deepseek-r1")
    broken = tmp_path / "mine.yaml"
    broken.write_text("results: {m: {b: 1}}\n", encoding="utf-8")
    with pytest.raises(DataError, match="benchmarks"):
        published_numbers(collections=(str(broken),))


def test_impossible_counts_are_refused():
    for counts in ((0, 1), (1, 0)):
        with pytest.raises(R1Error, match="at least 1"):
            largest_sampling_error(*counts)
    with pytest.raises(R1Error, match="no share"):
        largest_sampling_error(1, 1, 1.5)
