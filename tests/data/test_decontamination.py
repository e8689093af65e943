"""What counts as a benchmark's question in a row, what does not, and what is told of it."""

import json
import sys

import pytest
from datasets import Dataset

from trl_r1.data.decontamination import (
    KINDS,
    Benchmark,
    BenchmarkSpec,
    SearchSettings,
    decontaminate,
    load_benchmark,
    load_benchmarks,
)
from trl_r1.data.decontamination.benchmarks import answer_key
from trl_r1.data.decontamination.markdown import report_markdown
from trl_r1.data.decontamination.scores import difference_without, find_sample_files, score_change
from trl_r1.errors import DataError


LONG = (
    r"Let $m$ be the number of apples that John has, and suppose that $\dfrac{m}{2} = 17$ while he eats 3 of them "
    "each day. For how many days do they last?"
)
SHORT = "What is $17+25$?"
CHINESE = r"已知函数 $f(x)=x^2+3x+2$ 在区间 $[0,5]$ 上，求其最大值与最小值之差。"
BENCHMARK = Benchmark.from_texts("bench", [LONG, SHORT, CHINESE], ["11", "42", r"\boxed{40}"])


def kinds_of(rows, **options):
    """Why each row is dropped: `None` where it is kept."""
    numbered = [{"number": number, "problem": "Who are you?", **row} for number, row in enumerate(rows)]
    settings = SearchSettings(**options.pop("settings", {}))
    clean, report = decontaminate(Dataset.from_list(numbered), [BENCHMARK], settings, **options)
    left = set(clean["number"])
    assert sum(report.rows.values()) >= len(rows) - len(left)
    return [row["number"] in left for row in numbered], report


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"problem": LONG}, "verbatim"),
        (
            {"problem": "Q: " + LONG.replace(r"\dfrac{m}{2}", "m/2").upper() + "\nThink step by step."},
            "verbatim",
        ),
        ({"problem": LONG.replace("17", "19").replace("3", "4")}, "renumbered"),
        ({"problem": LONG.replace("John", "Anna")}, "ngram"),
        ({"problem": LONG.split("For how")[0] + "What is the smallest number of hours?"}, "ngram"),
        ({"problem": "Compute 17 + 25.", "solution": "42"}, "short"),
        ({"problem": "What is 17 + 25?"}, "short"),
        ({"problem": "Look:\nWhat is 17+25?\nThink well.", "solution": "42"}, "short"),
        ({"problem": CHINESE.replace("$", "").replace("x^2", "x²").replace(" ", "")}, "verbatim"),
        ({"problem": CHINESE.replace("5", "6")}, "renumbered"),
        ({"completion": f"<think>This is known: {LONG} So 11.</think> 11"}, "verbatim"),
        ({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": LONG}]}, "verbatim"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": LONG}]}]}, "verbatim"),
        ({"messages": [{"role": "assistant", "content": "ok", "reasoning_content": LONG}]}, "verbatim"),
        ({"generations": ["no", LONG]}, "verbatim"),
    ],
)
def test_what_is_found(row, kind):
    kept, report = kinds_of([row])
    assert (kept, report.rows) == ([False], {kind: 1})


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "What is 17 + 26?", "solution": "43"},
        {"problem": "What is 17 + 25?", "solution": "43"},  # the same words, but its answer says another problem
        {"problem": "Compute 17 + 25.", "solution": "43"},
        {"problem": "Let $m$ be the number of apples that John has. How old is he?"},
        {"completion": "First, what is 17+25? It is 42."},  # every chain of thought adds numbers
        {"problem": "", "solution": None},
        {"problem": "已知函数 f(x)=x²-x，求其零点。"},
        {"problem": "word " * 20_000},
    ],
)
def test_what_is_kept(row):
    kept, report = kinds_of([row])
    assert (kept, report.dropped) == ([True], 0)


def test_the_papers_rule_takes_any_shared_ngram():
    row = {"problem": "Let $m$ be the number of apples that John has and suppose that nobody knows it. Guess it."}
    assert kinds_of([row])[0] == [True]
    kept, report = kinds_of([row], settings={"min_coverage": 0})
    assert (kept, report.rows) == ([False], {"ngram": 1})
    assert report.to_dict()["benchmarks"][0]["rows_sharing_an_ngram"] == 1


def test_what_several_questions_share_says_nothing_of_one():
    shared = "where m and n are relatively prime positive integers find the sum of m and n and write it down at once"
    stories = [" ".join(name + letter for letter in "abcdefghijkl") for name in ("alpha", "beta", "gamma")]
    benchmark = Benchmark.from_texts("shared", [f"{story} {shared}" for story in stories[:2]])
    rows = Dataset.from_list([{"problem": f"{stories[2]}, {shared}"}, {"problem": f"{stories[0]}: {shared}"}])
    clean, report = decontaminate(rows, [benchmark])
    assert clean["problem"] == [rows[0]["problem"]]
    assert report.rows == {"verbatim": 1}


def test_renumbered_problems_can_be_kept_and_are_still_told():
    rows = [{"problem": LONG.replace("17", "19")}, {"problem": LONG}]
    kept, report = kinds_of(rows, keep_renumbered=True)
    assert kept == [True, False]
    assert (report.rows, report.dropped) == ({"verbatim": 1, "renumbered": 1}, 1)
    (check,) = [check for check in report.checks() if "masked" in check.method]
    assert (check.removed, check.notes) == (0, "1 rows kept: keep_renumbered")


def test_a_few_changed_words_are_a_near_duplicate():
    question = "The old tailor of the town sews coats from the wool that farmers bring him in spring and autumn. Why?"
    row = {"problem": question.replace("sews", "makes").replace("town", "city").replace("bring", "give")}
    options = {"min_coverage": 1, "near_duplicate_threshold": 0.4}
    rows, benchmark = Dataset.from_list([row]), Benchmark.from_texts("b", [question])
    assert decontaminate(rows, [benchmark], SearchSettings(**options))[1].rows == {"near_duplicate": 1}
    assert decontaminate(rows, [benchmark])[1].rows == {}


def test_without_minhash_the_rest_still_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "rensa", None)
    assert kinds_of([{"problem": LONG}], settings={"near_duplicate_threshold": 1})[0] == [False]
    with pytest.raises(DataError, match=r"trl_r1\[dedup\]"):
        kinds_of([{"problem": LONG}])


def test_a_question_in_two_benchmarks_counts_in_both_and_the_row_once():
    other = Benchmark.from_texts("other", [LONG.replace("$", "")])
    clean, report = decontaminate(Dataset.from_list([{"problem": LONG}]), [BENCHMARK, other])
    assert (len(clean), report.dropped) == (0, 1)
    assert (report.hits(0), report.hits(1)) == ({"verbatim": 1}, {"verbatim": 1})
    assert [check.removed for check in report.checks() if check.hits] == [1, 0]
    assert {check.benchmark for check in report.checks()} == {"bench", "other"}
    assert len(report.checks()) == 2 * len(KINDS)


def test_thousands_of_questions_from_one_template_are_one_look_up():
    template = "A farmer has {} sheep and buys {} more from his neighbour in the village, then sells half of them all."
    benchmark = Benchmark.from_texts("made", [template.format(a, a + 1) for a in range(3000)])
    rows = [{"problem": template.format(a, 7)} for a in range(5000, 5200)] + [{"problem": template.format(9, 10)}]
    clean, report = decontaminate(Dataset.from_list(rows), [benchmark])
    assert len(clean) == 0
    assert report.rows == {"renumbered": 200, "verbatim": 1}


def test_the_report_can_be_read_and_no_text_breaks_out_of_its_table():
    nasty = LONG + " | <script>alert(1)</script> `code` **bold**\n\n# heading"
    _, report = kinds_of([{"problem": nasty}])
    text = report_markdown(json.loads(json.dumps(report.to_dict())))
    assert "<script>" not in text
    assert "\n# heading" not in text
    assert "| bench | 3 | 1 | 33.3% (6.1% to 79.2%) |" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b", {"path": "a/b"}),
        ("a:b:c:d:e", {"path": "a", "config": "b", "split": "c", "question_column": "d", "answer_column": "e"}),
        ("a::train", {"path": "a", "split": "train"}),
        ("openai/gsm8k", {"path": "openai/gsm8k", "config": "main", "split": "test", "question_column": "question"}),
        ("HuggingFaceH4/aime_2024", {"split": "train", "question_column": "problem"}),
    ],
)
def test_benchmarks_are_named_in_a_line(text, expected):
    spec = BenchmarkSpec.parse(text)
    assert {name: getattr(spec, name) for name in expected} == expected


@pytest.mark.parametrize("text", ["", ":a", "a:b:c:d:e:f"])
def test_a_name_that_cannot_be_read_is_refused(text):
    with pytest.raises(DataError, match="path:config:split"):
        BenchmarkSpec.parse(text)


def test_benchmarks_are_read_from_folders_and_files(make_data, tmp_path):
    rows = [{"question": LONG, "answer": "so it is\n#### 11"}, {"question": "  ", "answer": "1"}]
    folder = make_data(rows, "folder", "test")
    (benchmark,) = load_benchmarks([folder])
    assert [(each.text, each.answer) for each in benchmark.questions] == [(LONG, "11")]
    path = tmp_path / "odd name.jsonl"
    path.write_text(json.dumps({"ask": [{"role": "user", "content": SHORT}]}) + "\n")
    assert load_benchmark(BenchmarkSpec.parse(f"{path}:::ask")).questions[0].text == SHORT
    for wrong, match in [(f"{path}", "no column"), (folder + ":::nothing", "no column"), (folder + "::dev", "split")]:
        with pytest.raises(DataError, match=match):
            load_benchmarks([wrong])


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (7, "7"),
        ("$7$.", "7"),
        (r"so \boxed{\dfrac12}", r"\frac{1}{2}"),
        ("x #### 1,000", "1,000"),
        (None, None),
        ("", None),
    ],
)
def test_answers_have_one_spelling(value, key):
    assert answer_key(value) == key
    assert answer_key("a long derivation " * 20) is None


def sample(problem, right, number=0):
    return {"question": number, "problem": problem, "metrics": {"accuracy": right}}


def test_scores_without_the_questions_found(make_data):
    rows = [sample(LONG, True), sample(SHORT, True), sample(CHINESE, False), sample("another suite", True)]
    path = make_data(rows, "evaluation", "samples-a")
    _, report = kinds_of([{"problem": LONG}])
    report.add_scores(find_sample_files([path]))
    (score,) = report.scores
    assert (score.questions, score.contaminated) == (3, 1)
    assert score.accuracy == pytest.approx(2 / 3)
    assert (score.clean_accuracy, score.contaminated_accuracy) == (0.5, 1.0)
    assert score.change == pytest.approx(0.5 - 2 / 3)
    assert score.low < score.change < score.high
    assert "-0.167" in report_markdown(report.to_dict())


def test_the_interval_of_a_change_is_that_of_the_difference_times_the_share():
    dirty, clean = [1.0] * 18 + [0.0] * 2, [1.0] * 40 + [0.0] * 40
    change, low, high = difference_without(dirty, clean)
    assert change == pytest.approx(0.2 * (0.5 - 0.9))
    # Newcombe (1998), method 10, by hand from Wilson's intervals .393-.607 and .699-.972.
    assert (low, high) == (pytest.approx(0.2 * -0.5288, abs=2e-4), pytest.approx(0.2 * -0.1726, abs=2e-4))
    assert difference_without([], clean) is None
    assert difference_without([0.5], clean)[1:] == (None, None)
    change, low, high = difference_without([0.5, 0.75, 1.0], [0.25, 0.5, 0.0])
    assert low < change < high


def test_samples_of_other_questions_say_nothing(make_data):
    _, report = kinds_of([{"problem": LONG}])
    other = make_data([sample("nothing of it", True)], "other", "samples-b")
    with pytest.raises(DataError, match="none of 1 files"):
        report.add_scores(find_sample_files([other]))
    with pytest.raises(DataError, match="holds no samples"):
        find_sample_files([make_data([{"a": 1}], "empty")])
    broken = make_data([{"problem": LONG}], "broken", "samples-c")
    with pytest.raises(DataError, match="no evaluation sample"):
        score_change(f"{broken}/samples-c.jsonl", {"x"}, set())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"settings": {"ngram_size": 1}}, "ngram_size"),
        ({"settings": {"min_coverage": 2}}, "min_coverage"),
        ({"settings": {"near_duplicate_threshold": 0}}, "near_duplicate_threshold"),
        ({"trace_columns": ["nothing"]}, "trace_columns"),
    ],
)
def test_wrong_options_are_named(options, match):
    with pytest.raises(DataError, match=match):
        kinds_of([{"problem": LONG}], **options)


def test_nothing_to_search_or_to_look_for_is_an_error():
    with pytest.raises(DataError, match="no question"):
        decontaminate(Dataset.from_list([{"problem": LONG}]), [])
    with pytest.raises(DataError, match="dataset_prompt_column"):
        decontaminate(Dataset.from_list([{"number": 1}]), [BENCHMARK])


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "human", "value": LONG}], "solution": "1"},
        {"instruction": "Answer the question.", "input": LONG},
        {"Problem": LONG, "solution": "1"},
        {"messages": [{"role": "assistant", "content": "I know.", "reasoning": LONG}]},
        {"problem": "Other", "response": {"best": [LONG]}},
    ],
    ids=["ShareGPT", "Alpaca", "capitals", "reasoning", "struct"],
)
def test_a_question_is_found_wherever_the_usual_sets_have_it(row):
    clean, report = decontaminate(Dataset.from_list([row]), [BENCHMARK])
    assert len(clean) == 0
    assert report.rows == {"verbatim": 1}
