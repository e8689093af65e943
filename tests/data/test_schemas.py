"""Each schema becomes what a stage reads, by a mapping that is printed; two readings, or none, are an error."""

import logging

import pytest
import schema_rows as rows
from datasets import Dataset
from trl import DatasetMixtureConfig, SFTConfig
from trl.scripts.utils import DatasetConfig

from trl_r1.data import load_preferences, load_prompts, load_sft
from trl_r1.data.schemas import SCHEMAS, detect_schema
from trl_r1.data.schemas.answers import gsm_answer
from trl_r1.errors import DataError
from trl_r1.rewards import accuracy_reward, build_rewards
from trl_r1.script_arguments import R1ScriptArguments


def config(tmp_path):
    return SFTConfig(output_dir=str(tmp_path / "out"), bf16=False, use_cpu=True, report_to="none")


@pytest.mark.parametrize(
    ("given", "schema", "golds", "dropped"),
    [
        (rows.GSM8K, "gsm8k", ["12", "4012"], {"no_answer_after_mark": 1}),
        (rows.MATH, "worked_solution", ["12", r"\frac{1}{2}"], {}),
        (rows.NUMINA_COT, "worked_solution", ["12"], {}),
        (rows.NUMINA_15, "problem_answer", ["12"], {"gold_missing": 2}),
        (rows.DEEPSCALER, "problem_answer", ["12"], {}),
        (rows.AIME_HF, "problem_answer", ["012"], {}),
        (rows.AIME_CAPITALS, "problem_answer", ["12"], {}),
        (rows.OPENR1, "openr1_math", ["12"], {"gold_missing": 1}),
        (rows.DAPO, "dapo_math", ["12"], {"gold_missing": 1}),
        (rows.MMLU, "multiple_choice", ["B"], {}),
        (rows.ARC, "multiple_choice", ["C"], {"answer_is_no_option": 1}),
        (rows.OPTIONS, "multiple_choice", ["B"], {}),
        ([{"question": "2 + 2?", "answer": "4"}], "question_answer", ["4"], {}),
        ([{"problem": "2 + 2?", "solution": "4"}], "problem_solution", ["4"], {}),
        ([{"problem": "2 + 2?", "solution": r"\boxed{4}"}], "problem_solution", [r"\boxed{4}"], {}),
    ],
)
def test_prompts_and_golds(script_args, tokenizer, caplog, given, schema, golds, dropped):
    with caplog.at_level(logging.INFO, "trl_r1.data.schemas"):
        data = load_prompts(script_args(given), None, tokenizer)
    assert f"read as {schema}: {SCHEMAS[schema].feeds['prompts'].mapping}" in caplog.text
    assert data.dataset["solution"][:] == golds
    [source] = data.sources
    assert (source.rows_in, source.rows_kept, source.dropped) == (len(given), len(golds), dropped)
    explicit = load_prompts(script_args(given, dataset_schema=schema), None, tokenizer)
    assert explicit.dataset.to_list() == data.dataset.to_list()
    assert explicit.sources == data.sources  # the fingerprint among them: that of the rows as they were written


def test_what_else_a_row_says_is_kept_and_worked_solutions_stand_apart(script_args, tokenizer):
    [row, more] = load_prompts(script_args(rows.GSM8K), None, tokenizer).dataset.to_list()
    assert (row["problem"], row["worked_solution"]) == (rows.QUESTION, "Each has 4 legs.\n3 * 4 = 12 legs.")
    assert more["worked_solution"] == "4000 + 12 = 4012"
    assert {"question", "answer"}.isdisjoint(row)
    [row] = load_prompts(script_args(rows.OPENR1), None, tokenizer).dataset.to_list()
    assert (row["uuid"], row["worked_solution"]) == ("a", "4 each.")
    assert {"generations", "messages"}.isdisjoint(row)
    [row] = load_prompts(script_args(rows.DAPO), None, tokenizer).dataset.to_list()
    assert (row["problem"], row["prompt"]) == (rows.QUESTION, [{"role": "user", "content": rows.QUESTION}])
    assert row["data_source"] == "math_dapo"
    [row] = load_prompts(script_args(rows.AIME_CAPITALS), None, tokenizer).dataset.to_list()
    assert (row["problem"], row["ID"]) == (rows.QUESTION, "2024-I-1")


def test_golds_of_a_schema_are_what_the_rewards_take(script_args, tokenizer):
    for given in (rows.GSM8K, rows.MATH, rows.OPENR1):
        data = load_prompts(script_args(given), None, tokenizer)
        [score, *_] = accuracy_reward([rows.TRACE], solution=data.dataset["solution"][:1], response_format=["r1"])
        assert score == 1.0
    rewards = build_rewards([{"get_routed_reward": {"routes": {"choice": "get_choice_reward"}}}])
    data = load_prompts(script_args(rows.MMLU), None, tokenizer, rewards=rewards)
    [row] = data.dataset.to_list()
    assert row["problem"] == "Which is a dog?\n\n(A) cat\n(B) poodle\n(C) cow\n(D) hen"
    assert (row["choices"], row["reward_type"]) == (["cat", "poodle", "cow", "hen"], "choice")


def test_every_verified_generation_becomes_a_row(script_args, tokenizer, tmp_path):
    data = load_sft(script_args(rows.OPENR1, dataset_schema="openr1_math"), None, tokenizer, config(tmp_path))
    said = [row["completion"][0]["content"] for row in data.dataset]
    assert said == [rows.TRACE, rows.TRACE + " Indeed."]
    assert data.dataset[1]["prompt"] == [{"role": "user", "content": rows.QUESTION}]
    [source] = data.sources
    assert (source.rows_in, source.rows_kept) == (6, 2)  # generations, and one row without any
    left_out = ("generation_unverified", "generation_incomplete", "generation_empty", "generations_missing")
    assert source.dropped == dict.fromkeys(left_out, 1)


@pytest.mark.parametrize(
    ("given", "schema", "completion"),
    [
        (rows.MIXTURE_OF_THOUGHTS, "mixture_of_thoughts", rows.TRACE),
        (rows.NUMINA_COT, "messages", "12"),
        ([{"prompt": rows.chat("hi"), "completion": rows.chat("hi", "ho")[1:]}], "prompt_completion", "ho"),
        (rows.GSM8K, "gsm8k", "<think> Each has 4 legs.\n3 * 4 = 12 legs. </think> \\boxed{12}"),
        ([{"question": "hello ?", "answer": "hi"}], "question_answer", "hi"),
    ],
)
def test_sft_rows(script_args, tokenizer, tmp_path, caplog, given, schema, completion):
    with caplog.at_level(logging.INFO, "trl_r1.data.schemas"):
        data = load_sft(script_args(given), None, tokenizer, config(tmp_path))
    assert f"read as {schema}: " in caplog.text
    assert data.dataset[0]["completion"] == [{"role": "assistant", "content": completion}]
    assert data.dataset.column_names == ["prompt", "completion"]


def test_whole_chats_become_pairs(script_args, tokenizer, caplog):
    with caplog.at_level(logging.INFO, "trl_r1.data.schemas"):
        data = load_preferences(script_args(rows.ULTRAFEEDBACK), None, tokenizer)
    assert "read as preference_chats: prompt <- the turns chosen and rejected share" in caplog.text
    first, second = data.dataset.to_list()
    assert first == {
        "prompt": [{"role": "user", "content": "hello ?"}],
        "chosen": [{"role": "assistant", "content": "hello friend"}],
        "rejected": [{"role": "assistant", "content": "go away"}],
    }
    assert [turn["content"] for turn in second["prompt"]] == ["hello ?", "hi", "again ?"]
    bare = [{key: row[key] for key in ("chosen", "rejected")} for row in rows.ULTRAFEEDBACK]
    again = load_preferences(script_args(bare), None, tokenizer)
    assert again.dataset.to_list() == [first, second]


def test_orca_pairs_keep_their_system_prompt_unless_the_column_is_named(script_args, tokenizer):
    first, second = load_preferences(script_args(rows.ORCA), None, tokenizer).dataset.to_list()
    assert [turn["role"] for turn in first["prompt"]] == ["system", "user"]
    assert [turn["role"] for turn in second["prompt"]] == ["user"]
    named = load_preferences(script_args(rows.ORCA, dataset_prompt_column="question"), None, tokenizer)
    assert [[turn["role"] for turn in row["prompt"]] for row in named.dataset] == [["user"], ["user"]]


def test_pairs_that_cannot_be_told_apart_are_counted(script_args, tokenizer):
    broken = [
        {"chosen": rows.chat("a", "b"), "rejected": rows.chat("a", "b")},
        {"chosen": rows.chat("a", "b"), "rejected": rows.chat("c", "d")},
        {"chosen": rows.chat("a", "b"), "rejected": rows.chat("a")},
        {"chosen": rows.chat("a", "b"), "rejected": None},
        {"chosen": rows.chat("a", "b"), "rejected": rows.chat("a", " ")},
        {"chosen": rows.chat("a", "b"), "rejected": rows.chat("a", "c")},
    ]
    data = load_preferences(script_args(broken), None, tokenizer)
    reasons = {"responses_equal": 1, "prompts_differ": 1, "response_missing": 3}
    assert data.sources[0].dropped == reasons
    assert (data.sources[0].rows_in, len(data.dataset)) == (6, 1)


def test_two_readings_are_an_error_that_names_both(script_args, tokenizer, tmp_path):
    with pytest.raises(DataError, match=r"^dataset_schema: .* 2 ways; set it to one of messages \(.*openr1_math \("):
        load_sft(script_args(rows.OPENR1), None, tokenizer, config(tmp_path))
    chosen = load_sft(script_args(rows.OPENR1, dataset_schema="messages"), None, tokenizer, config(tmp_path))
    assert chosen.sources[0].rows_in == 2
    both = [{"problem": "p", "solution": "1", "question": "q", "answer": "2"}]
    with pytest.raises(DataError, match=r"2 ways; .*problem_answer .*question_answer"):
        load_prompts(script_args(both), None, tokenizer)
    assert load_prompts(script_args(both, dataset_schema="columns"), None, tokenizer).dataset["solution"] == ["1"]


def test_named_columns_are_read_as_they_are(script_args, tokenizer):
    given = [{"problem": "p", "answer": "12", "solution": "worked", "level": 1}]
    data = load_prompts(script_args(given, dataset_solution_column="answer"), None, tokenizer)
    [row] = data.dataset.to_list()
    assert (row["answer"], row["solution"]) == ("12", "12")
    assert "worked_solution" not in row


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            "openr1_math",
            r"^dataset_schema: 'openr1_math' needs a column problem, which .* has not; it has q",
        ),
        ("orca_pairs", r"^dataset_schema: 'orca_pairs' cannot feed prompts; use one of problem_solution, "),
        ("multiple_choice", r"needs a column choices or options"),
    ],
)
def test_a_schema_that_does_not_fit_is_an_error(script_args, tokenizer, schema, message):
    with pytest.raises(DataError, match=message):
        load_prompts(script_args(rows.GSM8K, dataset_schema=schema), None, tokenizer)


def test_no_row_that_can_be_read_is_an_error(script_args, tokenizer):
    unmarked = [{"question": "2 + 2?", "answer": "4"}]
    with pytest.raises(DataError, match=r"none of the 1 rows of .* can be read as gsm8k \(no_answer_after_mark 1\)"):
        load_prompts(script_args(unmarked, dataset_schema="gsm8k"), None, tokenizer)


def test_sources_of_a_mixture_may_differ_in_schema(make_data, tokenizer):
    folders = [make_data(rows.GSM8K, "gsm"), make_data(rows.MATH, "math"), make_data(rows.DEEPSCALER, "scaler")]
    args = R1ScriptArguments(dataset_mixture_weights=[1.0, 1.0, 1.0], dataset_mixture_seed=4)
    mixture = DatasetMixtureConfig(datasets=[DatasetConfig(path=folder) for folder in folders])
    data = load_prompts(args, mixture, tokenizer)
    assert sorted(data.dataset["solution"]) == sorted(["12", "4012", "12", r"\frac{1}{2}", "12"])
    assert [source.rows_kept for source in data.sources] == [2, 2, 1]
    assert "place_in_mixture" not in data.dataset.column_names


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        (0, "A"),
        ("C", "C"),
        ("(b)", "B"),
        ("cow", "C"),
        ("2", None),
        (3, None),
        (-1, None),
        (True, None),
        ("D", None),
        (None, None),
        ("twin", None),
    ],
)
def test_an_option_is_named_by_number_letter_or_text(script_args, tokenizer, answer, index):
    given = [
        {"question": "q", "choices": ["cat", "dog", "cow"], "answer": str(answer) if answer is not None else None},
        {"question": "kept", "choices": ["twin", "twin"], "answer": "A"},
    ]
    if isinstance(answer, int):
        given = [{**row, "answer": value} for row, value in zip(given, (answer, type(answer)(0)), strict=True)]
    if answer is True:
        given[1]["choices"] = None  # neither row can be read
        with pytest.raises(DataError, match=r"answer_is_no_option 1, options_missing 1|options_missing 1, answer_is"):
            load_prompts(script_args(given), None, tokenizer)
        return
    golds = load_prompts(script_args(given), None, tokenizer).dataset["solution"][:]
    assert golds == ([index] if index else []) + ["A"]


@pytest.mark.parametrize("name", ["reasoning_content", "thinking", "reasoning"])
def test_thoughts_beside_the_content_are_joined_to_it(script_args, tokenizer, tmp_path, name):
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one", name: "hm"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "two", name: "so"},
    ]
    plain = [{**turn, name: turn.get(name)} for turn in turns]
    data = load_sft(script_args([{"messages": plain}]), None, tokenizer, config(tmp_path))
    [row] = data.dataset.to_list()
    assert [turn["content"] for turn in row["prompt"]] == ["first", "<think>\nhm\n</think>\n\none", "second"]
    assert row["completion"] == [{"role": "assistant", "content": "<think>\nso\n</think>\n\ntwo"}]
    assert data.dataset.column_names == ["prompt", "completion"]
    whole = {**turns[1], "content": "<think> once </think> one"}
    kept = load_sft(script_args([{"messages": [turns[0], whole]}]), None, tokenizer, config(tmp_path)).dataset[0]
    assert kept["completion"][0]["content"] == "<think> once </think> one"


def test_a_heading_of_markdown_is_no_answer_of_gsm8k():
    rows = [{"question": "Explain", "answer": "Intro.\n#### First\nlong\ntext"}, {"question": "Hi", "answer": "Hello"}]
    assert detect_schema(Dataset.from_list(rows), "sft", "chats").name == "question_answer"
    assert gsm_answer("Intro.\n#### First\nlong text") is None
    assert gsm_answer("2 + 2 = 4\n#### 4\n") == ("2 + 2 = 4", "4")


@pytest.mark.parametrize(
    ("extra", "made"), [({"answer_index": 0}, "A"), ({}, "answer_is_no_option")], ids=["number decides", "unknown"]
)
def test_a_letter_that_is_also_another_options_text_is_not_guessed(extra, made):
    row = {"question": "Which group can give to all?", "options": ["O", "A", "B", "AB"], "answer": "A", **extra}
    [found] = SCHEMAS["multiple_choice"].feeds["prompts"].convert(row)
    assert (found if isinstance(found, str) else found["solution"]) == made


@pytest.mark.parametrize(
    ("truth", "gold"), [('["3"]', "3"), (["3"], "3"), ('["1", "2"]', None), ("[1, 2]", "[1, 2]"), ('["', '["')]
)
def test_a_gold_answer_in_a_list_of_one_is_unwrapped(truth, gold):
    row = {"prompt": [{"role": "user", "content": "q"}], "reward_model": {"ground_truth": truth}}
    [made] = SCHEMAS["dapo_math"].feeds["prompts"].convert(row)
    assert made == ("gold_missing" if gold is None else {"problem": "q", "solution": gold})
