import itertools
import json

import pytest
from scripted_engine import ScriptedEngine

from trl_r1.data import read_jsonl, write_jsonl
from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.errors import DataError, R1Error, RecipeError
from trl_r1.evaluation import Checkpoint, EvaluationSuite, Mode, compare, evaluate_policy, metrics, wilson_interval
from trl_r1.evaluation.benchmarks import get_benchmark
from trl_r1.evaluation.protocols import protocol_differences
from trl_r1.evaluation.questions import fit_prefill, join_prefill, load_questions
from trl_r1.evaluation.records import own_metrics
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.generation import TransformersEngine
from trl_r1.stage_record import Measurement, hash_file, hash_weights


QUESTIONS = [
    {"problem": "what is a 4 plus b 5 ?", "solution": "9", "language": "en", "num_operations": 10},
    {"problem": "a 1 加 b 2 得 几 ?", "solution": "3", "language": "zh", "num_operations": 2},
    {"problem": "what is b 3 minus a 1 ?", "solution": "2", "language": "en", "num_operations": 2},
    {"problem": "hello ?", "solution": None, "language": "en", "num_operations": 0, "reward_type": "helpful"},
]
ANSWERS = [
    "<think> b 4 plus c 5 9 </think> <answer> 9 </answer>",
    "<think> b 加 2 so 3 </think> <answer> 3 </answer>",
    "<think> </think> <answer> 1 </answer>",
    "<think> c </think> <answer> go away </answer>",
]


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.txt"
    path.write_text("user : {prompt} assistant :")
    return str(path)


@pytest.fixture
def questions(tmp_path):
    folder = tmp_path / "questions"
    folder.mkdir()
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in QUESTIONS)
    (folder / "test.jsonl").write_text(text, encoding="utf-8")
    return str(folder)


def answers_of(path):
    return list(read_samples(path))


def without_cost(records):
    return [{name: value for name, value in record.items() if name != "cost"} for record in records]


def evaluate(tokenizer, questions, plain, out, answers=ANSWERS, **fields):
    given = {"modes": {"sampled": Mode()}, "group_by": "num_operations", **fields}
    suite = EvaluationSuite(name="short", dataset_name=questions, **given)
    engine = ScriptedEngine(tokenizer, answers)
    records = evaluate_policy(engine, suite, Checkpoint(name="zero", path="no/where", prompt_template=plain), out)
    return records, engine


def test_the_record_holds_hand_computed_values(tokenizer, questions, plain, tmp_path):
    [record], engine = evaluate(tokenizer, questions, plain, tmp_path)
    assert engine.prompts[0] == "user : what is a 4 plus b 5 ? assistant :"
    metrics = {name: Measurement(**values) for name, values in record["metrics"].items()}
    assert (metrics["accuracy"].value, metrics["accuracy"].n) == (2 / 3, 3)
    assert (metrics["accuracy"].low, metrics["accuracy"].high) == pytest.approx(wilson_interval(2, 3))
    assert (metrics["well_formed"].value, metrics["well_formed"].n) == (0.75, 4)
    # Chains with words: "plus" (en), and "加" and "so" in a Chinese question; single letters are no words.
    assert (metrics["mixed"].value, metrics["mixed"].n) == (0.5, 2)
    assert metrics["language_consistency"].n == 2
    assert metrics["language_consistency"].value == pytest.approx((1 + (1 / 1.5) / (1 / 1.5 + 1)) / 2)
    assert metrics["chain_tokens"].value == (6 + 5 + 0 + 1) / 4
    assert record["n"] == record["num_questions"] == 4
    assert (record["undecidable"], record["truncated"]) == (0, 0)
    assert record["interval_methods"]["accuracy"] == "wilson"


def test_groups_are_in_order_and_leave_out_what_does_not_apply(tokenizer, questions, plain, tmp_path):
    [record], _ = evaluate(tokenizer, questions, plain, tmp_path)
    assert list(record["groups"]) == ["0", "2", "10"]
    assert [record["groups"][value]["chain_tokens"]["value"] for value in ("0", "2", "10")] == [1.0, 2.5, 6.0]
    assert "accuracy" not in record["groups"]["0"]
    assert record["groups"]["2"]["accuracy"]["value"] == 0.5


def test_the_record_freezes_the_protocol(tokenizer, questions, plain, tmp_path):
    [record], _ = evaluate(tokenizer, questions, plain, tmp_path)
    json.dumps(record)
    assert (record["checkpoint"], record["path"], record["weights_sha256"]) == ("zero", "no/where", None)
    assert (record["suite"], record["mode"], record["prompt_kind"], record["seed"]) == (
        "short",
        "sampled",
        "plain",
        42,
    )
    assert record["response_format"] == "r1_zero"
    assert record["sampling"] == {
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new_tokens": 256,
        "num_samples": 1,
        "seed": 42,
        "batch_size": 256,
        "logprobs": False,
    }
    assert record["data"]["rows_kept"] == 4
    assert {"trl", "transformers", "torch"} <= record["versions"].keys()
    [changed], _ = evaluate(tokenizer, questions, "r1_zero", tmp_path)
    assert changed["template_sha256"] != record["template_sha256"]
    assert changed["data"]["fingerprint"] == record["data"]["fingerprint"]


def test_every_answer_is_kept_with_its_verdict(tokenizer, questions, plain, tmp_path):
    [record], _ = evaluate(tokenizer, questions, plain, tmp_path)
    rows = answers_of(tmp_path / record["samples"])
    assert [row["verdict"] for row in rows] == ["correct", "correct", "wrong", None]
    assert [row["defects"] for row in rows] == [[], [], ["empty_reasoning"], []]
    assert (rows[0]["reasoning"], rows[0]["answer"], rows[0]["group"]) == ("b 4 plus c 5 9", "9", "10")
    assert "1 is not 2" in rows[2]["reason"]
    assert rows[3]["metrics"]["accuracy"] is None


def test_a_forced_chain_is_part_of_the_response(tokenizer, questions, plain, tmp_path):
    modes = {"forced_chain": Mode(temperature=0, prefill="<think> b")}
    answers = ["4 plus c 5 9 </think> <answer> 9 </answer>"] * 4
    [record], engine = evaluate(tokenizer, questions, plain, tmp_path, answers, modes=modes)
    assert engine.prompts[0].endswith("? assistant : <think> b")
    row = answers_of(tmp_path / record["samples"])[0]
    assert row["text"] == "<think> b 4 plus c 5 9 </think> <answer> 9 </answer>"
    assert (row["defects"], row["prefill"]) == ([], "<think> b")
    assert record["metrics"]["chain_tokens"]["value"] == 6
    assert record["metrics"]["well_formed"]["value"] == 1.0


def test_a_prefill_does_not_open_a_second_think_block(tokenizer, questions, tmp_path):
    template = tmp_path / "prefilled.txt"
    template.write_text("user : {prompt} assistant : <think>")
    modes = {"forced_chain": Mode(temperature=0, prefill="<think> b")}
    answers = ["4 plus c 5 9 </think> <answer> 9 </answer>"] * 4
    [record], engine = evaluate(tokenizer, questions, str(template), tmp_path, answers, modes=modes)
    assert engine.prompts[0].endswith("assistant : <think> b")
    assert answers_of(tmp_path / record["samples"])[0]["defects"] == []


def test_each_question_can_have_a_beginning_of_its_own(tokenizer, questions, plain, tmp_path):
    rows = read_jsonl(f"{questions}/test.jsonl")
    beginnings = [f"<think> {index}" for index in range(len(rows))]
    slips = tmp_path / "slips"
    write_jsonl(slips / "test.jsonl", [{**row, "begun": text} for row, text in zip(rows, beginnings, strict=True)])
    modes = {"slips": Mode(temperature=0, prefill_column="begun")}
    answers = ["</think> <answer> 9 </answer>"] * len(rows)
    [record], engine = evaluate(tokenizer, str(slips), plain, tmp_path, answers, modes=modes)
    assert [prompt[-9:] for prompt in engine.prompts] == beginnings
    assert [row["prefill"] for row in answers_of(tmp_path / record["samples"])] == beginnings
    with pytest.raises(DataError, match=r"modes\.slips\.prefill_column"):
        evaluate(tokenizer, questions, plain, tmp_path, answers, modes=modes)


def test_own_metrics_read_the_answer_alone(tokenizer, questions, plain, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "def is_rude(answer):\n    return 'go away' in answer\n\n"
        "def words(answer):\n    return len(answer.split())\n\n"
        "def broken(answer):\n    return 'yes'\n"
    )
    metrics = ("accuracy", f"{file}:is_rude", f"{file}:words")
    [record], _ = evaluate(tokenizer, questions, plain, tmp_path, metrics=metrics)
    assert list(record["metrics"]) == ["accuracy", "is_rude", "words"]
    assert (record["metrics"]["is_rude"]["value"], record["metrics"]["is_rude"]["n"]) == (0.25, 4)
    assert record["metrics"]["words"]["value"] == (1 + 1 + 1 + 2) / 4
    silent = [*ANSWERS[:3], "<think> c"]
    [record], _ = evaluate(tokenizer, questions, plain, tmp_path, silent, metrics=metrics)
    assert record["metrics"]["is_rude"]["n"] == 3
    with pytest.raises(R1Error, match="broken returned 'yes'; it must return a bool"):
        evaluate(tokenizer, questions, plain, tmp_path, metrics=(f"{file}:broken",))


def test_missing_samples_refuse_the_score(tokenizer, questions, plain, tmp_path):
    with pytest.raises(R1Error, match="samples: 1 of 4 could not be had"):
        evaluate(tokenizer, questions, plain, tmp_path, ANSWERS[:3])
    assert not list(tmp_path.glob("samples-*"))


def test_a_missing_group_column_is_named(tokenizer, questions, plain, tmp_path):
    suite = EvaluationSuite(name="short", dataset_name=questions, group_by="num_operation")
    checkpoint = Checkpoint(name="zero", path="no/where", prompt_template=plain)
    with pytest.raises(DataError, match=r"group_by: .*did you mean 'num_operations'"):
        evaluate_policy(ScriptedEngine(tokenizer, ANSWERS), suite, checkpoint, tmp_path)


def test_max_rows_asks_the_first(tokenizer, questions, plain, tmp_path):
    [record], engine = evaluate(tokenizer, questions, plain, tmp_path, max_rows=2)
    assert len(engine.prompts) == record["n"] == 2
    assert record["data"]["dropped"] == {"beyond_max_rows": 2}


def test_a_real_checkpoint_gives_the_same_record_twice(checkpoint, questions, tmp_path):
    suite = EvaluationSuite(
        name="short",
        dataset_name=questions,
        modes={"sampled": Mode(num_samples=3), "greedy": Mode(temperature=0), "forced": Mode(prefill="<think> b")},
    )
    described = Checkpoint(name="base", path=checkpoint)
    runs = []
    for name in ("first", "second"):
        engine = described.load()
        assert isinstance(engine, TransformersEngine)
        runs.append(evaluate_policy(engine, suite, described, tmp_path / name, max_completion_length=8))
    assert without_cost(runs[0]) == without_cost(runs[1])
    for record in runs[0]:
        files = [(tmp_path / name / record["samples"]).read_bytes() for name in ("first", "second")]
        assert files[0] == files[1]
    assert [record["n"] for record in runs[0]] == [12, 4, 4]
    assert runs[0][0]["num_questions"] == 4
    assert runs[0][0]["weights_sha256"] == hash_weights(checkpoint)


def test_two_checkpoints_are_compared_question_by_question(tokenizer, questions, plain, tmp_path):
    better = [*ANSWERS[:2], "<think> b 3 minus 1 2 </think> <answer> 2 </answer>", ANSWERS[3]]
    [before], _ = evaluate(tokenizer, questions, plain, tmp_path / "before")
    [after], _ = evaluate(tokenizer, questions, plain, tmp_path / "after", better)
    paths = [tmp_path / name / record["samples"] for name, record in (("before", before), ("after", after))]
    result = compare(*paths)
    accuracy = result["metrics"]["accuracy"]
    assert (accuracy["first"], accuracy["second"]) == (2 / 3, 1.0)
    assert (accuracy["difference"]["value"], accuracy["difference"]["n"]) == (pytest.approx(1 / 3), 3)
    same = compare(paths[0], paths[0], ["accuracy"])["metrics"]["accuracy"]["difference"]
    assert same["value"] == 0.0
    assert same["low"] == -same["high"] < 0


def test_different_questions_do_not_compare(tokenizer, questions, plain, tmp_path):
    [all_of_them], _ = evaluate(tokenizer, questions, plain, tmp_path / "all")
    [fewer], _ = evaluate(tokenizer, questions, plain, tmp_path / "fewer", max_rows=2)
    with pytest.raises(DataError, match="2 questions are not in both"):
        compare(tmp_path / "all" / all_of_them["samples"], tmp_path / "fewer" / fewer["samples"])
    [other], _ = evaluate(tokenizer, questions, plain, tmp_path / "other", metrics=("mixed",))
    [one], _ = evaluate(tokenizer, questions, plain, tmp_path / "one", metrics=("accuracy",))
    with pytest.raises(DataError, match="shares no metric"):
        compare(tmp_path / "one" / one["samples"], tmp_path / "other" / other["samples"])


@pytest.mark.parametrize(("fields", "task"), [({}, "default"), ({"task_id": "gsm8k"}, "gsm8k")])
def test_the_record_says_what_a_benchmark_calls_the_task(tokenizer, questions, plain, tmp_path, fields, task):
    [record], _ = evaluate(tokenizer, questions, plain, tmp_path, **fields)
    assert record["task_id"] == task


def test_questions_have_names_that_no_two_share(tokenizer, plain, tmp_path):
    rows = [{**QUESTIONS[0], "question_id": name} for name in ("x", "x (2)", "x", "", None, "ü/é\n")]
    write_jsonl(tmp_path / "named" / "test.jsonl", rows)
    [record], _ = evaluate(tokenizer, str(tmp_path / "named"), plain, tmp_path, ANSWERS[:1] * 6)
    names = [row["question_id"] for row in answers_of(tmp_path / record["samples"])]
    assert names[:3] == ["x", "x (2)", "x (3)"]
    assert (len(set(names)), len(names[3]), names[4], names[5]) == (6, 16, f"{names[3]} (2)", "ü/é\n")


def test_words_around_a_question_are_part_of_the_prompt(tokenizer, questions, plain, tmp_path):
    fields = {"instruction": "so {problem} ?", "system_prompt": "hello friend"}
    [record], engine = evaluate(tokenizer, questions, plain, tmp_path, **fields)
    assert engine.prompts[0] == "hello friend\n\nuser : so what is a 4 plus b 5 ? ? assistant :"
    assert (record["instruction"], record["system_prompt"]) == ("so {problem} ?", "hello friend")
    ready = tmp_path / "ready"
    write_jsonl(ready / "test.jsonl", [{"prompt": "a b c", "solution": "9", "num_operations": 1}])
    with pytest.raises(DataError, match=r"instruction: .* cannot be put around the ready-made prompt"):
        evaluate(tokenizer, str(ready), plain, tmp_path, **fields)
    [record], engine = evaluate(tokenizer, str(ready), plain, tmp_path, ANSWERS[:1])
    assert engine.prompts == ["a b c"]


@pytest.mark.parametrize("name", ["a/b", "..", "数学", "🙂", "x" * 300, "数" * 300, "a\nb"])
def test_any_name_makes_a_file(tokenizer, questions, plain, tmp_path, name):
    suite = EvaluationSuite(name=name, dataset_name=questions, modes={name: Mode()})
    checkpoint = Checkpoint(name=name, path="no/where", prompt_template=plain)
    [record] = evaluate_policy(ScriptedEngine(tokenizer, ANSWERS), suite, checkpoint, tmp_path / "out")
    assert (tmp_path / "out" / record["samples"]).is_file()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [record["samples"]]


def test_a_benchmark_says_what_the_suite_leaves_open(tokenizer, plain, tmp_path):
    rows = [{"question": f"what is {n} plus 1 ?", "answer": f"so\n#### {n + 1}"} for n in range(3)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    entry = {"benchmark": "gsm8k", "data_files": str(tmp_path / "rows.jsonl"), "num_samples": 2}
    suite = EvaluationSuite.from_mapping({**entry, "max_completion_length": 64})
    answers = [f"<think> so </think> <answer> {n} </answer>" for n in (1, 0, 2, 2, 0, 3)]
    checkpoint = Checkpoint(name="zero", path="no/where", prompt_template=plain)
    engine = ScriptedEngine(tokenizer, answers)
    [record] = evaluate_policy(engine, suite, checkpoint, tmp_path / "out")
    benchmark = get_benchmark("gsm8k")
    asked = benchmark.instruction.replace("{problem}", "what is 0 plus 1 ?")
    assert engine.prompts[0] == f"user : {asked} assistant :"
    assert (record["suite"], record["mode"], record["verifier"]) == ("gsm8k", "sampled", benchmark.verifier)
    assert record["instruction"] == benchmark.instruction
    assert (record["sampling"]["temperature"], record["sampling"]["top_p"]) == (0.6, 0.95)
    assert (record["sampling"]["num_samples"], record["sampling"]["max_new_tokens"]) == (2, 64)
    assert (record["benchmark"]["hub_id"], len(record["benchmark"]["sha256"])) == ("openai/gsm8k", 64)
    assert (record["metrics"]["accuracy"]["value"], record["num_questions"]) == (4 / 6, 3)


def test_a_mode_takes_from_its_benchmark_what_it_leaves_open():
    modes = {"more": {"num_samples": 3}, "greedy": {"temperature": 0}, "hot": {"temperature": 1.0}}
    suite = EvaluationSuite.from_mapping({"benchmark": "gsm8k", "modes": modes})
    found = {name: (mode.num_samples, mode.temperature, mode.top_p) for name, mode in suite.modes.items()}
    assert found == {"more": (3, 0.6, 0.95), "greedy": (1, 0, 1.0), "hot": (4, 1.0, 0.95)}
    assert max(suite.pass_at) <= 4
    with pytest.raises(RecipeError, match="num_samples: it has no effect beside modes"):
        EvaluationSuite.from_mapping({"benchmark": "gsm8k", "modes": modes, "num_samples": 2})


def test_a_reference_answer_that_cannot_be_confirmed_is_counted(tokenizer, plain, tmp_path):
    rows = [{"question": "what is 1 ?", "answer": f"so\n#### {gold}"} for gold in ("1", "\\frac{")]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    entry = {"benchmark": "gsm8k", "data_files": str(tmp_path / "rows.jsonl"), "num_samples": 1}
    suite = EvaluationSuite.from_mapping({**entry, "max_completion_length": 64})
    checkpoint = Checkpoint(name="zero", path="no/where", prompt_template=plain)
    questions = load_questions(tokenizer, suite, checkpoint)
    assert len(questions.rows) == questions.source.rows_kept == 1
    assert sum(questions.source.dropped.values()) == 1


def test_a_k_is_reported_of_the_modes_that_draw_as_many(tokenizer, questions, plain, tmp_path, caplog):
    modes = {"sampled": Mode(num_samples=2), "greedy": Mode(temperature=0)}
    answers = [text for text in ANSWERS for _ in range(2)]
    suite = EvaluationSuite(name="short", dataset_name=questions, modes=modes, pass_at=(1, 2), cons_at=(2,))
    checkpoint = Checkpoint(name="zero", path="no/where", prompt_template=plain)
    sampled, greedy = evaluate_policy(ScriptedEngine(tokenizer, answers), suite, checkpoint, tmp_path / "out")
    assert {"pass@2", "cons@2"} <= sampled["metrics"].keys()
    assert not {"pass@2", "cons@2"} & greedy["metrics"].keys()
    assert "fewer decided" not in caplog.text
    assert sampled["uncertainty"]["accuracy"]["num_questions"] == 3


def write(folder, rows):
    write_jsonl(folder / "test.jsonl", rows)
    return str(folder)


def test_the_record_freezes_what_a_right_answer_is(tokenizer, plain, tmp_path):
    rows = [{"problem": "what is a 4 plus b 5 ?", "solution": "9", "other": "8"}] * 3
    data = write(tmp_path / "rows", rows)
    records = []
    for number, column in enumerate(("solution", "other", "solution")):
        fields = {"group_by": None, "dataset_solution_column": column}
        [record], _ = evaluate(tokenizer, data, plain, tmp_path / str(number), ANSWERS[:1] * 3, **fields)
        records.append(record)
    first, other, again = records
    assert (first["metrics"]["accuracy"]["value"], other["metrics"]["accuracy"]["value"]) == (1.0, 0.0)
    assert first["data"]["fingerprint"] == other["data"]["fingerprint"]
    assert first["references_sha256"] == again["references_sha256"] != other["references_sha256"]
    [difference] = protocol_differences(first, other)
    assert "references_sha256" in difference
    assert list(protocol_differences(first, again)) == []


def test_the_record_freezes_own_metrics_and_what_is_no_word(tokenizer, questions, plain, tmp_path):
    records = []
    for number, (value, ignored) in enumerate((("True", ()), ("False", ()), ("True", ("plus",)))):
        own = tmp_path / "own.py"
        own.write_text(f"def rude(answer):\n    return {value}\n")
        fields = {"metrics": ("mixed", f"{own}:rude"), "language_ignored_tokens": ignored}
        [record], _ = evaluate(tokenizer, questions, plain, tmp_path / str(number), **fields)
        records.append(record)
    assert ["own_metrics" in text for text in protocol_differences(records[0], records[1])] == [True]
    assert ["language_ignored_tokens" in text for text in protocol_differences(records[0], records[2])] == [True]
    assert records[0]["own_metrics"] == {"rude": records[2]["own_metrics"]["rude"]}
    assert own_metrics(["accuracy", "trl_r1.evaluation.metrics.truncated"]) == {
        "truncated": hash_file(metrics.__file__)
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verifier": "repair"}, "none of the 2 questions has what verifier 'repair' judges by"),
        ({"metrics": ("accuracy",)}, "none of the 2 questions has what verifier 'math' judges by"),
        ({"verifier": "auto", "pass_at": (1,)}, "none of the 2 questions has what verifier 'auto' judges by"),
    ],
)
def test_questions_that_nothing_can_judge_are_refused_before_they_are_asked(tokenizer, plain, tmp_path, fields, said):
    rows = [{"problem": f"hello {n} ?", "solution": None, "reward_type": "helpful"} for n in range(2)]
    engine = ScriptedEngine(tokenizer, ANSWERS)
    suite = EvaluationSuite(
        name="short", dataset_name=write(tmp_path / "rows", rows), modes={"sampled": Mode()}, **fields
    )
    with pytest.raises(DataError, match=said):
        evaluate_policy(engine, suite, Checkpoint(name="zero", path="no/where", prompt_template=plain), tmp_path / "o")
    assert engine.prompts == []


def test_lengths_of_questions_without_an_answer_are_measured_and_that_is_said(tokenizer, plain, tmp_path, caplog):
    rows = [{"problem": f"hello {n} ?", "solution": None, "reward_type": "helpful"} for n in range(2)]
    data = write(tmp_path / "rows", rows)
    [record], _ = evaluate(tokenizer, data, plain, tmp_path / "out", ANSWERS[:2], group_by=None)
    assert "accuracy" not in record["metrics"]
    assert "chain_tokens" in record["metrics"]
    assert "2 of 2 questions have nothing to judge by" in caplog.text


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "1 of 2 questions have no value in 'family'"), (["a"], r"2 of 2 questions have \['b'\]")],
)
def test_a_cluster_is_text_or_a_number_of_every_question(tokenizer, plain, tmp_path, value, said):
    rows = [
        {"problem": "what is 1 ?", "solution": "1", "family": ["b"] if isinstance(value, list) else "b"},
        {"problem": "what is 2 ?", "solution": "2", "family": value},
    ]
    with pytest.raises(DataError, match=rf"suites\.short\.cluster_by: .*{said}"):
        evaluate(
            tokenizer, write(tmp_path / "rows", rows), plain, tmp_path / "out", group_by=None, cluster_by="family"
        )


@pytest.mark.parametrize(
    ("prompt", "prefill", "chat", "whole"),
    [
        ("<|User|>q<|Assistant|>", "<think>\n", True, "<|User|>q<|Assistant|><think>\n"),
        ("user : q assistant :", "<think> a", False, "user : q assistant : <think> a"),
        ("user : q assistant : ", "<think>", False, "user : q assistant : <think>"),
        ("user : q assistant :", "\n<think>", False, "user : q assistant :\n<think>"),
        ("user : q", "", False, "user : q"),
    ],
)
def test_nothing_stands_between_a_chats_mark_and_the_beginning_of_the_response(prompt, prefill, chat, whole):
    assert join_prefill(prompt, fit_prefill(prefill, ""), chat=chat) == whole


def test_many_questions_of_one_name_are_numbered(tokenizer, plain, tmp_path):
    rows = [{"problem": "what is 1 ?", "solution": "1", "question_id": "x"} for _ in range(3000)]
    rows[1]["question_id"] = "x (3)"
    suite = EvaluationSuite(name="short", dataset_name=write(tmp_path / "rows", rows), modes={"sampled": Mode()})
    found = load_questions(tokenizer, suite, Checkpoint(name="zero", path="no/where", prompt_template=plain)).rows
    assert [row["question_id"] for row in found[:5]] == ["x", "x (3)", "x (2)", "x (4)", "x (5)"]
    assert len({row["question_id"] for row in found}) == 3000


def test_a_way_to_ask_does_not_depend_on_those_before_it(tokenizer, questions, plain, tmp_path):
    ways = [
        PromptVariant(name="bare"),
        PromptVariant(name="so", instruction="so {problem}"),
        PromptVariant(name="now", instruction="{problem} now"),
    ]
    for index, order in enumerate(itertools.permutations(ways)):
        _, engine = evaluate(tokenizer, questions, plain, tmp_path / str(index), prompt_variants=tuple(order))
        shown = {prompt for prompt in engine.prompts if "4 plus" in prompt}
        assert shown == {f"user : {way.ask('what is a 4 plus b 5 ?')} assistant :" for way in ways}


@pytest.mark.parametrize("fields", [{"pass_at": (1, 4)}, {"cons_at": (3,)}, {"pass_at": (0, 2)}])
def test_a_k_without_answers_for_it_is_refused_before_any_is_drawn(tokenizer, questions, plain, tmp_path, fields):
    modes = {"sampled": Mode(num_samples=2), "greedy": Mode(temperature=0)}
    with pytest.raises(R1Error, match=rf"suites\.short\.{next(iter(fields))}: [034] must lie in 1 to 2"):
        evaluate(tokenizer, questions, plain, tmp_path / "out", modes=modes, **fields)
    assert not list((tmp_path / "out").rglob("*.parquet"))
