import pytest
from trl import DatasetMixtureConfig
from trl.scripts.utils import DatasetConfig

from trl_r1.chat_template import ThinkParser
from trl_r1.data import PromptRenderer, first_of_each_type, load_prompts
from trl_r1.errors import DataError, RewardError, TemplateError
from trl_r1.rewards import build_rewards
from trl_r1.script_arguments import R1ScriptArguments


ROWS = [
    {"problem": "what is a 4 plus b 5 ?", "solution": "9", "language": "en", "reward_type": "reasoning"},
    {"problem": "a 1 加 b 2 得 几 ?", "solution": "3", "language": "zh", "reward_type": "reasoning"},
    {"problem": "hello ?", "solution": None, "language": "en", "reward_type": "helpful"},
]
UNUSABLE = "word " * 200  # no verifier could ever confirm it


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "plain.txt"
    path.write_text("user : {prompt} assistant :")
    return str(path)


def test_chat_prompts_keep_the_rows_own_columns(script_args, tokenizer):
    data = load_prompts(script_args(ROWS), None, tokenizer)
    row = data.dataset[0]
    assert row["prompt"] == [{"role": "user", "content": ROWS[0]["problem"]}]
    assert (row["solution"], row["language"], row["response_format"], row["prompt_tail"]) == ("9", "en", "r1", "")
    assert data.dataset["solution"] == ["9", "3", None]
    [source] = data.sources
    assert (source.rows_in, source.rows_kept, source.dropped, source.split) == (3, 3, {}, "train")


def test_plain_prompts_are_filled_templates(script_args, tokenizer, template):
    data = load_prompts(script_args(ROWS, prompt_template=template), None, tokenizer)
    assert data.dataset[0]["prompt"] == "user : what is a 4 plus b 5 ? assistant :"
    assert data.dataset[0]["response_format"] == "r1_zero"


def test_a_prefilled_think_tag_is_handed_to_the_parser(script_args, tokenizer):
    kwargs = {"prefill_think": True}
    data = load_prompts(script_args(ROWS), None, tokenizer, chat_template_kwargs=kwargs, system_prompt="be brief")
    row = data.dataset[0]
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    assert row["prompt_tail"] == "<think>\n"
    assert ThinkParser("r1").parse("a 4 </think> 4", row["prompt_tail"]).well_formed
    text = PromptRenderer(tokenizer, chat_template_kwargs=kwargs).to_text(row["prompt"])
    assert text.endswith("<|im_start|>assistant\n<think>\n")


def test_a_plain_template_may_prefill_too(tokenizer, tmp_path):
    path = tmp_path / "prefilled.txt"
    path.write_text("think between <think> and </think> . user : {prompt} assistant : <think>")
    assert PromptRenderer(tokenizer, str(path)).prompt_tail == "<think>"
    assert PromptRenderer(tokenizer, "r1_zero").prompt_tail == ""


def test_ready_prompts_in_trls_formats_pass(script_args, tokenizer):
    rows = [{"prompt": "2 + 2 = <think>", "solution": 4}, {"prompt": "3 + 3 =", "solution": 6}]
    data = load_prompts(script_args(rows), None, tokenizer)
    assert data.dataset["prompt"] == [row["prompt"] for row in rows]
    assert data.dataset["prompt_tail"] == ["<think>", ""]
    assert data.dataset["solution"] == ["4", "6"]

    chat = [{"role": "user", "content": "hi"}]
    data = load_prompts(script_args([{"prompt": chat, "solution": "4"}]), None, tokenizer)
    assert (data.dataset[0]["prompt"], data.dataset[0]["problem"]) == (chat, "hi")


def test_unusable_rows_are_dropped_and_counted(script_args, tokenizer, caplog):
    rows = [
        *ROWS,
        {"problem": None, "solution": "1"},
        {"problem": "  ", "solution": "1"},
        {"problem": "x", "solution": None},
        {"problem": "x", "solution": " ", "reward_type": "reasoning"},
        {"problem": "y", "solution": UNUSABLE},
        {"problem": "z", "solution": UNUSABLE},
    ]
    data = load_prompts(script_args(rows), None, tokenizer)
    [source] = data.sources
    assert source.dropped == {"prompt_missing": 2, "gold_missing": 2, "gold_unusable": 2}
    assert (source.rows_in, source.rows_kept, len(data.dataset)) == (9, 3, 3)
    assert "dropped 6 of 9 rows" in caplog.text
    assert f"1 gold answers are unusable, such as {UNUSABLE!r}" in caplog.text


def test_rows_a_reward_cannot_score_are_dropped_counted_and_named(script_args, tokenizer, caplog):
    routes = {"choice": "get_choice_reward", "reasoning": "accuracy_reward"}
    rewards = build_rewards(["format_reward", {"get_routed_reward": {"routes": routes}}])
    rows = [
        {"problem": "which?", "solution": "B", "reward_type": "choice", "choices": ["x", "y"]},
        {"problem": "which one?", "solution": "C", "reward_type": "choice", "choices": ["x", "y"]},
        {"problem": "1 + 1", "solution": "2", "reward_type": None, "choices": None},
    ]
    data = load_prompts(script_args(rows), None, tokenizer, rewards=rewards)
    assert data.dataset["problem"] == ["which?", "1 + 1"]
    assert data.sources[0].dropped == {"unusable_for_routed_reward": 1}
    assert "routed_reward cannot score 'which one?': 'C' is not one of 2 choices" in caplog.text
    assert [row["problem"] for row in first_of_each_type(data.dataset)] == ["which?", "1 + 1"]
    rows[0]["reward_type"] = "choise"
    with pytest.raises(RewardError, match="did you mean 'choice'"):
        load_prompts(script_args(rows), None, tokenizer, rewards=rewards)


def test_no_usable_row_is_an_error(script_args, tokenizer):
    with pytest.raises(DataError, match=r"none of the 1 rows .*gold_missing 1"):
        load_prompts(script_args([{"problem": "x", "solution": None}]), None, tokenizer)


def test_a_missing_column_suggests_the_nearest(script_args, tokenizer):
    with pytest.raises(DataError, match=r"^dataset_prompt_column: .*no column 'problem'; did you mean 'problems'"):
        load_prompts(script_args([{"problems": "x", "solution": "1"}]), None, tokenizer)
    with pytest.raises(DataError, match=r"^dataset_solution_column: .*no column 'solution'"):
        load_prompts(script_args([{"problem": "x", "result": "1"}]), None, tokenizer)


def test_a_named_solution_column_becomes_solution(script_args, tokenizer):
    args = script_args([{"problem": "x", "answer": "1"}], dataset_solution_column="answer")
    assert load_prompts(args, None, tokenizer).dataset["solution"] == ["1"]


def test_rows_that_no_gold_decides_need_no_solution_column(script_args, tokenizer):
    data = load_prompts(script_args([{"problem": "hello ?", "reward_type": "helpful"}]), None, tokenizer)
    assert data.dataset["solution"] == [None]


def test_a_column_name_that_trl_gives_to_rewards_is_refused(script_args, tokenizer):
    with pytest.raises(DataError, match="'completions'"):
        load_prompts(script_args([{"problem": "x", "solution": "1", "completions": "y"}]), None, tokenizer)


def test_max_train_rows_takes_the_first_and_counts_the_rest(script_args, tokenizer):
    data = load_prompts(script_args(ROWS, max_train_rows=2), None, tokenizer)
    assert data.dataset["solution"] == ["9", "3"]
    assert data.sources[0].dropped == {"beyond_max_train_rows": 1}
    assert data.sources[0].rows_kept == 2


def test_a_mixture_counts_each_source(make_data, tokenizer):
    first, second = make_data(ROWS[:2], "first"), make_data([ROWS[2], {"problem": None, "solution": "1"}], "second")
    mixture = DatasetMixtureConfig(datasets=[DatasetConfig(path=first), DatasetConfig(path=second)])
    data = load_prompts(R1ScriptArguments(), mixture, tokenizer)
    assert [(source.source, source.rows_kept) for source in data.sources] == [(first, 2), (second, 1)]
    assert data.dataset["solution"] == ["9", "3", None]


def test_fractions_are_trls(make_data, tokenizer):
    first, second = make_data(ROWS[:2] * 4, "first"), make_data(ROWS[:2], "second")
    shares = [DatasetConfig(path=first, fraction=0.5), DatasetConfig(path=second, fraction=0.5)]
    data = load_prompts(R1ScriptArguments(), DatasetMixtureConfig(datasets=shares), tokenizer)
    assert len(data.dataset) == 4
    assert [(source.source, source.rows_in, source.rows_kept) for source in data.sources] == [
        (first, 8, 2),
        (second, 2, 2),
    ]
    assert data.sources[0].dropped == {"not_drawn": 6}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset_name": None}, "^dataset_name: no data given"),
        ({"dataset_name": "./not_there"}, "'./not_there' cannot be read"),
        ({"dataset_train_split": "other"}, "split 'other' of .* cannot be read"),
        ({"dataset_train_split": "validation"}, "^dataset_train_split: 'validation' is held out"),
        ({"dataset_streaming": True}, "^streaming: true"),
    ],
)
def test_data_that_cannot_be_read_is_one_line(script_args, tokenizer, fields, message):
    args = script_args(ROWS)
    for name, value in fields.items():
        setattr(args, name, value)
    with pytest.raises(DataError, match=message) as caught:
        load_prompts(args, None, tokenizer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("not json\n", "cannot be read")])
def test_an_empty_or_damaged_file_is_one_line(tmp_path, tokenizer, text, message):
    (tmp_path / "train.jsonl").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load_prompts(R1ScriptArguments(dataset_name=str(tmp_path)), None, tokenizer)
    assert "\n" not in str(caught.value)


def test_chats_need_a_chat_template(script_args, tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(TemplateError, match="set `chat_template: r1`"):
        load_prompts(script_args(ROWS), None, tokenizer)
