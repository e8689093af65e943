"""The metrics as evaluate loads them, each against a reference of its own in float64."""

import itertools
import math
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import evaluate
import numpy as np
import pytest
from scripted_engine import ScriptedEngine

from trl_r1.data import write_jsonl
from trl_r1.errors import R1Error
from trl_r1.evaluation import (
    Checkpoint,
    EvaluationSuite,
    Mode,
    estimate_score,
    evaluate_policy,
    load_metric,
    metric_path,
)
from trl_r1.evaluation.evaluate_metrics import METRIC_NAMES
from trl_r1.evaluation.evaluate_metrics.base import COLUMNS
from trl_r1.evaluation.sample_files import read_samples


QUESTIONS = ["a"] * 4 + ["b"] * 4 + ["c"] * 3 + ["d"] * 4
CORRECT = [1, 0, 1, None, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0]
ANSWERS = ["1", "2", "1.0", None, None, "5", "5", "6", "9", "9", "9", "4", "3", "4", "2"]
THOUGHTS = [
    "Wait, that is wrong. We check it again, but slowly",
    "two and two are four",
    "我们 先 算 一下 two plus two",
    "",
    "x = 4",
]
PREDICTIONS = [
    f"<think> {THOUGHTS[index % 5]} </think> 4" if index % 7 else "no tag at all" for index in range(len(QUESTIONS))
]
ALL = {
    "questions": QUESTIONS,
    "correct": CORRECT,
    "answers": ANSWERS,
    "predictions": PREDICTIONS,
    "problems": ["what is two plus two ?"] * len(QUESTIONS),
    "completion_tokens": [10 + 3 * index for index in range(len(QUESTIONS))],
    "think_tokens": [5.0 * index for index in range(len(QUESTIONS))],
}
OPTIONS = {"pass_at": [2, 3], "cons_at": [1, 3]}


@pytest.fixture(scope="module", autouse=True)
def caches(tmp_path_factory):
    """A cache of modules and metrics of our own, so that no earlier copy of a script is what is tested."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("cache")
    patch.setattr(evaluate.config, "HF_METRICS_CACHE", folder / "metrics")
    patch.setattr(evaluate.config, "HF_MODULES_CACHE", str(folder / "modules"))
    patch.setattr(sys, "path", [*sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "evaluate_modules"]:
        patch.delitem(sys.modules, name)  # of another test's cache, where else scripts would be looked for
    yield folder
    patch.undo()


def columns_of(name):
    return {column: ALL[column] for column in load_metric(name).features}


def of_question(values):
    """Values of the decided answers, by question."""
    found = defaultdict(list)
    for question, value, verdict in zip(QUESTIONS, values, CORRECT, strict=True):
        if verdict is not None:
            found[question].append(value)
    return found


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_each_metric_loads_by_path_says_what_it_takes_and_comes_from_one_folder(name):
    metric = evaluate.load(metric_path(name))
    assert Path(metric_path(name)).is_dir()
    assert (metric.name, metric.module_type) == (name, "metric")
    assert len(metric.description) > 50
    assert "year" in metric.citation
    assert metric.info.reference_urls
    assert all(COLUMNS[column][1] in metric.inputs_description for column in metric.features)
    assert "clusters" in metric.inputs_description


def test_accuracy_is_the_mean_of_the_questions_shares():
    found = load_metric("accuracy").compute(**columns_of("accuracy"))
    shares = [np.mean(own, dtype=np.float64) for own in of_question(CORRECT).values()]
    assert found["accuracy"] == pytest.approx(np.mean(shares))
    decided = [(q, v) for q, v in zip(QUESTIONS, CORRECT, strict=True) if v is not None]
    expected = estimate_score([v for _, v in decided], [q for q, _ in decided])
    for field in ("low", "high", "sampling_low", "sampling_high", "question_sd", "sampling_sd"):
        assert found[f"accuracy_{field}"] == getattr(expected, field)
    assert (found["accuracy_num_samples"], found["accuracy_undecided"]) == (14, 1)


def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer():
    found = load_metric("pass_at_k").compute(**columns_of("pass_at_k"), pass_at=[1, 2, 3])
    for k in (1, 2, 3):
        shares = [
            np.mean([any(subset) for subset in itertools.combinations(own, k)])
            for own in of_question(CORRECT).values()
        ]
        assert found[f"pass@{k}"] == pytest.approx(np.mean(shares))
        assert found[f"pass@{k}_low"] < found[f"pass@{k}"] < found[f"pass@{k}_high"]


def vote(answers, rights):
    """Chance of a right answer in a fair draw among the most frequent ones."""
    named = ["gold" if right else answer for answer, right in zip(answers, rights, strict=True)]
    counts = Counter(name for name in named if name is not None)
    first = [name for name, count in counts.items() if count == max(counts.values())]
    return first.count("gold") / len(first) if first else 0.0


def test_cons_at_k_is_the_vote_of_every_subset():
    found = load_metric("cons_at_k").compute(**columns_of("cons_at_k"), cons_at=[1, 3])
    answers, rights = of_question(ANSWERS), of_question(CORRECT)
    for k in (1, 3):
        votes = [
            np.mean(
                [
                    vote([answers[name][i] for i in chosen], [rights[name][i] for i in chosen])
                    for chosen in itertools.combinations(range(len(rights[name])), k)
                ]
            )
            for name in rights
        ]
        assert found[f"cons@{k}"] == pytest.approx(np.mean(votes))
    every = load_metric("cons_at_k").compute(**columns_of("cons_at_k"))
    assert every["cons"] == pytest.approx(np.mean([vote(answers[name], rights[name]) for name in rights]))


def test_a_right_answer_of_no_readable_value_votes_for_the_gold_one():
    found = load_metric("cons_at_k").compute(questions=["a"] * 3, correct=[1, 1, 0], answers=[None, "7", "8"])
    assert found["cons"] == 1


def test_tokens_per_correct_counts_wrong_answers_too():
    found = load_metric("tokens_per_correct").compute(**columns_of("tokens_per_correct"))
    tokens, rights = of_question(ALL["completion_tokens"]), of_question(CORRECT)
    ratio = np.mean([np.mean(own) for own in tokens.values()]) / np.mean([np.mean(own) for own in rights.values()])
    assert found["tokens_per_correct"] == pytest.approx(ratio)
    assert 0 < found["tokens_per_correct_low"] < ratio < found["tokens_per_correct_high"]


def test_no_right_answer_costs_no_number():
    found = load_metric("tokens_per_correct").compute(questions=["a", "b"], correct=[0, 0], completion_tokens=[5, 6])
    assert found == {"tokens_per_correct": None, "tokens_per_correct_undecided": 0}


def test_think_length_by_difficulty():
    found = load_metric("think_length").compute(**columns_of("think_length"))
    lengths = dict.fromkeys(QUESTIONS, ())
    for question, length in zip(QUESTIONS, ALL["think_tokens"], strict=True):
        lengths[question] += (length,)
    assert found["think_length"] == pytest.approx(np.mean([np.mean(own) for own in lengths.values()]))
    # right: a 2 of 3, b 0 of 4, c 3 of 3, d 1 of 4
    assert found["think_length_hard"] == pytest.approx((np.mean(lengths["b"]) + np.mean(lengths["d"])) / 2)
    assert found["think_length_middle"] == pytest.approx(np.mean(lengths["a"]))
    assert found["think_length_easy"] == pytest.approx(np.mean(lengths["c"]))
    single = load_metric("think_length").compute(questions=["a", "b"], correct=[0, 1], think_tokens=[4, None])
    assert single["think_length"] == 4
    assert single["think_length_hard"] is single["think_length_easy"] is None


def mean_over_questions(values):
    own = defaultdict(list)
    for question, value in zip(QUESTIONS, values, strict=True):
        if value is not None:
            own[question].append(value)
    return np.mean([np.mean(each, dtype=np.float64) for each in own.values()])


def by_thought(of_thoughts, without):
    return [of_thoughts[index % 5] if index % 7 else without for index in range(len(QUESTIONS))]


def test_metrics_of_the_text_of_responses():
    reflection = load_metric("self_reflection").compute(questions=QUESTIONS, predictions=PREDICTIONS)
    assert reflection["reflections"] == pytest.approx(mean_over_questions(by_thought([4, 0, 0, 0, 0], 0)))
    assert reflection["reflective"] == pytest.approx(mean_over_questions(by_thought([1, 0, 0, 0, 0], 0)))
    rates = mean_over_questions(by_thought([100 * 4 / 10, 0, 0, None, 0], None))
    assert reflection["reflections_per_100_words"] == pytest.approx(rates)

    form = load_metric("response_format").compute(questions=QUESTIONS, predictions=PREDICTIONS)
    assert form["well_formed"] == pytest.approx(mean_over_questions(by_thought([1, 1, 1, 0, 1], 0)))
    assert form["format/missing_open"] == pytest.approx(np.mean(by_thought([0, 0, 0, 0, 0], 1)))

    language = load_metric("language_consistency").compute(**columns_of("language_consistency"))
    chinese = 6 / 1.5  # characters a word
    shares = by_thought([1, 1, 3 / (3 + chinese), None, None], None)
    assert language["language_consistency"] == pytest.approx(mean_over_questions(shares))
    assert language["mixed"] == pytest.approx(mean_over_questions(by_thought([0, 0, 1, None, None], None)))
    as_chinese = load_metric("language_consistency").compute(**columns_of("language_consistency"), language="zh")
    assert as_chinese["language_consistency"] < language["language_consistency"]


def test_the_prompts_tail_and_format_reach_the_parser():
    metric = load_metric("response_format")
    told = metric.compute(questions=["a"], predictions=["I think </think> 4"], prompt_tail="<think>")
    assert told["well_formed"] == 1
    zero = metric.compute(
        questions=["a"], predictions=["<think> I </think> <answer> 4 </answer>"], response_format="r1_zero"
    )
    assert zero["well_formed"] == 1
    with pytest.raises(ValueError, match="r2"):
        metric.compute(questions=["a"], predictions=["4"], response_format="r2")


def test_all_combine_in_one_call_and_in_batches():
    both = evaluate.combine([metric_path(name) for name in METRIC_NAMES])
    at_once = both.compute(**ALL, **OPTIONS)
    for half in (slice(0, 7), slice(7, None)):
        both.add_batch(**{name: values[half] for name, values in ALL.items()})
    assert both.compute(**OPTIONS) == at_once
    for index in range(len(QUESTIONS)):
        both.add(
            prediction=ALL["predictions"][index],
            **{name: values[index] for name, values in ALL.items() if name != "predictions"},
        )
    assert both.compute(**OPTIONS) == at_once
    alone = {}
    for name in METRIC_NAMES:
        alone |= load_metric(name, keep_in_memory=True).compute(**columns_of(name), **OPTIONS)
    assert alone == at_once


def test_a_file_of_answers_scores_as_its_record_says(tokenizer, tmp_path):
    rows = [{"problem": f"what is {index} plus 1 ?", "solution": str(index + 1)} for index in range(3)]
    write_jsonl(tmp_path / "questions" / "test.jsonl", rows)
    said = ["1", "1", "2", "9", "2", "3", "4", "4", "5", "3", "3", "7"]
    texts = [f"<think> wait {'加' * (index % 3)} plus </think> {number}" for index, number in enumerate(said)]
    suite = EvaluationSuite(
        name="sums",
        dataset_name=str(tmp_path / "questions"),
        modes={"sampled": Mode(num_samples=4)},
        pass_at=(2,),
        cons_at=(4,),
    )
    checkpoint = Checkpoint(name="r1", path="no/where", prompt_template="r1_zero", response_format="r1")
    [record] = evaluate_policy(ScriptedEngine(tokenizer, texts), suite, checkpoint, tmp_path)
    answers = list(read_samples(tmp_path / record["samples"]))
    verdicts = {"correct": 1, "wrong": 0}
    columns = {
        "questions": [row["question_id"] for row in answers],
        "correct": [verdicts[row["verdict"]] for row in answers],
        "answers": [row["answer_key"] for row in answers],
        "predictions": [row["text"] for row in answers],
        "problems": [row["problem"] for row in answers],
        "completion_tokens": [row["num_tokens"] for row in answers],
        "think_tokens": [row["metrics"]["chain_tokens"] for row in answers],
    }
    both = evaluate.combine([metric_path(name) for name in METRIC_NAMES])
    found = both.compute(**columns, pass_at=2, cons_at=4)
    assert 0 < record["metrics"]["accuracy"]["value"] < 1
    for name, expected in record["uncertainty"].items():
        own = {"chain_tokens": "think_length"}.get(name, name)
        if own not in {"completion_tokens", "truncated"}:
            assert found[own] == expected["value"]
            assert {field: found[f"{own}_{field}"] for field in expected if field != "value"} == {
                field: value for field, value in expected.items() if field != "value"
            }
    for difficulty, metrics in record["by_difficulty"].items():
        assert found[f"think_length_{difficulty}"] == metrics["chain_tokens"]["value"]


def test_questions_may_be_numbers_and_clusters_widen_the_interval():
    numbers = [ord(name) for name in QUESTIONS]
    metric = load_metric("accuracy")
    free = metric.compute(questions=numbers, correct=CORRECT)
    assert free["accuracy"] == metric.compute(questions=QUESTIONS, correct=CORRECT)["accuracy"]
    halves = {ord("a"): 0, ord("b"): 1, ord("c"): 0, ord("d"): 1}
    clustered = metric.compute(questions=numbers, correct=CORRECT, clusters=halves)
    assert clustered["accuracy_num_clusters"] == 2
    assert clustered["accuracy_high"] - clustered["accuracy_low"] > free["accuracy_high"] - free["accuracy_low"]
    with pytest.raises(R1Error, match=r"clusters: 3 questions are in none, such as '98'"):
        metric.compute(questions=numbers, correct=CORRECT, clusters={97: 0})


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("accuracy", {"correct": [0.5, 1]}, "correct: 0.5 is no verdict"),
        ("accuracy", {"correct": [math.nan, 1]}, "correct: nan is no verdict"),
        ("accuracy", {"correct": ["wrong", "right"]}, "could not convert"),
        ("accuracy", {"correct": [None, None]}, "no answer is decided"),
        ("accuracy", {"correct": []}, "columns of different lengths"),
        ("accuracy", {"correct": [], "questions": []}, "empty; give at least one"),
        ("accuracy", {"correct": None}, "correct: missing"),
        ("accuracy", {"questions": [None, "b"]}, "questions: 1 of 2 are None"),
        ("accuracy", {"pas_at": 2}, "pas_at: accuracy has no such column or option"),
        ("pass_at_k", {}, "pass_at: missing"),
        ("pass_at_k", {"pass_at": 2}, "more than the 1 samples"),
        ("pass_at_k", {"pass_at": 0}, "must be at least 1"),
        ("pass_at_k", {"pass_at": "8"}, "no whole number"),
        ("pass_at_k", {"pass_at": 1.5}, "no whole number"),
        ("cons_at_k", {"cons_at": 3}, "more than the 1 samples"),
        ("cons_at_k", {"answers": [None, None], "correct": [1, 0]}, "right ones have no value"),
        ("tokens_per_correct", {"completion_tokens": [-1, 3]}, "-1.0 is impossible"),
        ("tokens_per_correct", {"completion_tokens": [math.nan, 3]}, "not finite"),
        ("tokens_per_correct", {"completion_tokens": [None, 3]}, "completion_tokens: 1 of 2 are None"),
        ("think_length", {"think_tokens": [math.inf, 3]}, "not finite"),
        ("self_reflection", {"predictions": ["x", None]}, "predictions: 1 of 2 are None"),
    ],
)
def test_what_no_score_can_be_made_of_is_refused(name, changed, message):
    metric = load_metric(name, keep_in_memory=True)  # evaluate leaves a file locked where a metric raises
    given = {"questions": ["a", "b"], "correct": [1, 0], "answers": ["1", "2"]}
    given |= {"completion_tokens": [1, 2], "think_tokens": [1, 2], "predictions": ["x", "y"]}
    given = {column: values for column, values in given.items() if column in metric.features} | changed
    with pytest.raises(ValueError, match=message) as caught:
        metric.compute(**given)
    assert isinstance(caught.value, R1Error) or "convert" in message


@pytest.mark.parametrize("keep_in_memory", [True, False])
def test_a_refused_batch_leaves_nothing_behind(keep_in_memory):
    metric = load_metric("accuracy", keep_in_memory=keep_in_memory)
    with pytest.raises(R1Error, match="no verdict"):
        metric.compute(questions=["a", "b"], correct=[1, 2])
    with pytest.raises(R1Error, match="missing"):
        metric.add_batch(questions=["a", "b"])
    found = metric.compute(questions=["a"], correct=[0])
    assert (found["accuracy"], found["accuracy_num_samples"]) == (0, 1)


def test_an_unknown_metric_and_a_cache_that_cannot_be_written_say_what_to_do(tmp_path):
    with pytest.raises(R1Error, match="did you mean 'accuracy'"):
        metric_path("acuracy")
    (tmp_path / "file").write_text("")
    with pytest.raises(R1Error, match="give cache_dir"):
        load_metric("accuracy", cache_dir=str(tmp_path / "file"))


def test_nothing_is_asked_of_the_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load_metric("accuracy").compute(questions=["a"], correct=[True])["accuracy"] == 1


PROCESS = """
import sys
from trl_r1.evaluation import load_metric
rank = int(sys.argv[1])
metric = load_metric("accuracy", num_process=2, process_id=rank, experiment_id="both", cache_dir=sys.argv[2])
metric.add_batch(questions=[f"{rank} {index}" for index in range(3)], correct=[rank, 1, 0])
found = metric.compute()
print(found and (found["accuracy"], found["accuracy_num_questions"]))
"""


@pytest.mark.slow
def test_processes_share_one_metric(tmp_path):
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(rank), str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=250)[0].strip() for process in started]
    assert said == ["(0.5, 6)", "None"]
