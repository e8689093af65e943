"""`trl-r1 score`: completions scored offline with reasons, malformed rows named, and the bench."""

import json

import pandas
import pytest
import yaml

from trl_r1.bench.offline import weighted_sum
from trl_r1.cli import main


ROWS = [
    {"prompt": "3 + 4 ?", "completion": "<think> add </think> \\boxed{7}", "solution": "7"},
    {"prompt": "3 + 4 ?", "completion": "<think> \\boxed{7} </think> no idea", "solution": "7"},
    {"prompt": "1 + 1 ?", "completion": "2", "solution": "2"},
    {"prompt": "hello", "completion": "<think> hi </think> hello", "solution": None},
]
REWARDS = ["--reward", "accuracy_reward", "format_reward"]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def score(tmp_path, capsys):
    """Run `trl-r1 score` on rows; returns exit code, what was shown, errors, and the output's lines."""

    def run(rows, *arguments, name="completions.jsonl"):
        file, output = tmp_path / name, tmp_path / "scores.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        file.write_text("\n".join(lines) + "\n")
        code = main(["score", str(file), "--output", str(output), *arguments])
        shown = capsys.readouterr()
        written = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
        return code, shown.out, shown.err, written

    return run


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    values = {
        "model_name_or_path": "nowhere",
        "dataset_name": "nowhere",
        "output_dir": "nowhere",
        "prompt_template": "r1_zero",
        "dataset_solution_column": "gold",
        "reward_funcs": ["accuracy_reward", "format_reward"],
        "reward_weights": [1.0, 0.25],
        "use_cpu": True,
        "bf16": False,
    }
    path.write_text(yaml.safe_dump(values))
    return str(path)


def test_every_row_gets_its_rewards_sum_and_reason(score):
    code, shown, _, written = score(ROWS, *REWARDS, "--weights", "1", "0.5")
    assert code == 0
    assert [list(row["rewards"].values()) for row in written] == [[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [None, 1.0]]
    assert [row["reward"] for row in written] == [1.5, 0.5, 0.0, 0.5]
    assert written[0]["why"]["verdict"] == "7 is the gold answer"
    assert "missing_open" in str(written[2]["why"])
    assert "7 is the gold answer" in shown
    assert "4 completions of 3 prompts, 1 that some reward did not judge" in shown


def test_malformed_rows_are_named_and_the_others_scored(score):
    rows = [ROWS[0], "{not json", '"text"', {"prompt": "x"}, {"completion": 3}, ROWS[1]]
    code, shown, _, written = score(rows, *REWARDS)
    assert code == 1
    assert [row["row"] for row in written] == ["line 1", "line 6", "line 2", "line 3", "line 4", "line 5"]
    assert ["error" in row for row in written] == [False, False, True, True, True, True]
    for line in (2, 3, 4, 5):
        assert f"malformed: line {line}: " in shown
    assert "4 malformed rows left out" in shown


def test_a_file_of_malformed_rows_is_no_crash(score):
    code, shown, _, written = score(["{", "[]"], *REWARDS)
    assert code == 1
    assert [row["row"] for row in written] == ["line 1", "line 2"]
    assert "0 completions of 0 prompts, 2 malformed rows left out" in shown


def test_a_recipe_gives_rewards_weights_names_and_format(score, recipe):
    rows = [
        {"problem": "1 + 1 ?", "completion": "<think> a </think> <answer> 2 </answer>", "gold": "2"},
        {"problem": "1 + 1 ?", "completion": "<think> a </think> \\boxed{2}", "gold": "2"},
    ]
    code, _, _, written = score(rows, "--recipe", recipe)
    assert code == 0
    assert [row["reward"] for row in written] == [1.25, 1.0]
    assert "answer_missing" in written[1]["why"]["format_defects"]


def test_samples_of_an_evaluation_and_chats_are_read(score):
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "<think> a </think> \\boxed{3}"}]
    rows = [
        {"problem": "1 + 1 ?", "text": "<think> a </think> \\boxed{2}", "solution": "2", "verdict": "correct"},
        {"messages": chat, "solution": "2"},
        {"prompt": "1 + 1 ? <think>", "completion": "a </think> \\boxed{2}", "solution": "2"},
    ]
    code, _, _, written = score(rows, *REWARDS)
    assert code == 0
    assert [list(row["rewards"].values()) for row in written] == [[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]


def test_trl_logs_are_read_joined_with_their_questions_and_compared(tmp_path, capsys):
    folder = tmp_path / "run" / "completions"
    folder.mkdir(parents=True)
    texts = ["<think> a </think> \\boxed{7}", "<think> a </think> \\boxed{8}"]
    table = {"step": [1, 1], "prompt": ["user: 3 + 4 ? assistant:"] * 2, "completion": texts,
             "accuracy_reward": [1.0, 1.0], "advantage": [0.7, -0.7]}  # fmt: skip
    pandas.DataFrame(table).to_parquet(folder / "completions_00001.parquet")
    questions = tmp_path / "questions"
    questions.mkdir()
    (questions / "train.jsonl").write_text(
        json.dumps({"problem": "3 + 4 ?", "solution": "7"})
        + "\n"
        + json.dumps({"problem": "+ 4 ?", "solution": "1"})
        + "\n"
    )
    code = main(["score", str(tmp_path / "run"), "--reward", "accuracy_reward", "--dataset", str(questions)])
    shown = capsys.readouterr().out
    assert code == 0
    assert "completions_00001.parquet row 2" in shown
    assert "1 of 2" in shown  # differs from what was logged


def test_a_question_is_not_found_inside_a_number(tmp_path, score):
    (tmp_path / "train.jsonl").write_text(json.dumps({"problem": "1 + 1 ?", "solution": "2"}) + "\n")
    rows = [
        {"prompt": prompt, "completion": "<think> a </think> \\boxed{2}"} for prompt in ("Q: 1 + 1 ?", "Q: 11 + 1 ?")
    ]
    _, _, _, written = score(rows, "--reward", "accuracy_reward", "--dataset", str(tmp_path))
    assert [row["reward"] for row in written] == [1.0, None]


def test_token_ids_come_from_the_file_the_tokenizer_or_words(score, tmp_path, checkpoint):
    (tmp_path / "mine.py").write_text(
        "def tokens(completion_ids, **kwargs):\n    return [len(ids) for ids in completion_ids]\n"
    )
    rows = [{"prompt": "x", "completion": "<think> hello friend </think>"},
            {"prompt": "x", "completion": "hello", "completion_ids": [1, 2, 3]}]  # fmt: skip
    reward = ["--reward", f"{tmp_path / 'mine.py'}:tokens"]
    assert [row["reward"] for row in score(rows, *reward, "--tokenizer", checkpoint)[3]] == [4.0, 3.0]
    assert [row["reward"] for row in score(rows, *reward)[3]] == [9.0, 3.0]  # words and signs
    code, _, errors, _ = score(rows, *reward, "--tokenizer", str(tmp_path / "nowhere"))
    assert code == 2
    assert "tokenizer: " in errors


def test_many_rows_are_cut_and_groups_stay_whole(score, monkeypatch):
    monkeypatch.setattr("trl_r1.bench.offline.BATCH_ROWS", 5)
    batches = []
    monkeypatch.setattr(
        "trl_r1.rewards.format_reward",
        lambda completions, prompts, **kwargs: batches.append(list(prompts)) or [1.0] * len(completions),
    )
    rows = [{"prompt": f"{n // 4}", "completion": "x"} for n in range(16)]
    code, shown, _, written = score(rows, "--reward", "format_reward", "--rows", "2")
    assert code == 0
    assert "14 more rows" in shown
    assert len(written) == 16
    assert [len(batch) for batch in batches] == [4, 4, 4, 4]


def test_a_sum_is_as_trl_makes_it():
    torch = pytest.importorskip("torch")
    values = torch.tensor([[1.0, torch.nan], [0.5, 0.25], [torch.nan, -1.0]])
    weights = [0.5, 2.0]
    expected = (values * torch.tensor(weights)).nansum(dim=1).tolist()
    given = [[None if number != number else number for number in row] for row in values.tolist()]
    assert [weighted_sum(row, weights) for row in given] == expected
    assert weighted_sum([None, None], weights) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a file of completions, or --bench"),
        (["x.jsonl", "--bench"], "one of the two"),
        (["x.jsonl"], "no rewards; give --recipe FILE or --reward NAME"),
        (["x.jsonl", *REWARDS], "there is no such file"),
        (["x.jsonl", *REWARDS, "--recipe", "y.yaml"], "leave --reward or --recipe out"),
        (["x.jsonl", *REWARDS, "--weights", "1"], "weights: 1 for 2 rewards"),
        (["x.jsonl", "--reward", "{a: "], "is no YAML"),
        (["x.jsonl", "--reward", "y.py:x"], "y.py:x: there is no file"),  # `:x:` is an emoji to rich
        (["--bench", "--reward", "acuracy_reward"], "did you mean accuracy_reward"),
        (["--bench", "--reward", "format_reward", "--kind", "taste"], "kind: 'taste' is unknown"),
        (["--bench", "--reward", "format_reward", "--without", "format/none"], "there is no case 'format/none'"),
    ],
)
def test_wrong_input_is_one_line(arguments, message, capsys):
    assert main(["score", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("error: ")]) == 1
    assert message in lines[-1]


def test_no_text_and_no_name_of_a_column_stops_it(score):
    odd = {"prompt": "\ud800", "completion": "<think> \ud800 </think> 7", "solution": "7", "log_extra": "x", "self": 1}
    code, _, errors, written = score([odd, odd | {"solution": ["7"]}], *REWARDS)
    assert (code, errors) == (0, "")
    assert [row["rewards"]["accuracy_reward"] for row in written] == [1.0, None]  # a list is no gold answer


def test_a_missing_column_is_named(score):
    code, _, errors, _ = score([{"prompt": "x", "completion": "y"}], "--reward", "accuracy_reward")
    assert code == 2
    assert "accuracy_reward needs the column 'solution'; the rows have problem" in errors


def test_the_bench_of_a_recipe_says_what_passed_and_what_failed(recipe, capsys, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def kind_reward(completions, **kwargs):\n    return [1.0] * len(completions)\n")
    assert main(["score", "--bench", "--reward", "get_language_consistency_reward"]) == 0
    assert "language_consistency_reward (language): " in capsys.readouterr().out
    assert main(["score", "--bench", "--reward", f"{file}:kind_reward"]) == 0
    assert main(["score", "--bench", "--reward", f"{file}:kind_reward", "--kind", "language"]) == 1
    shown = capsys.readouterr().out
    assert "false positive" in shown
    assert "bench: 1 of 1 rewards failed" in shown


def test_the_bench_of_a_reward_with_limits_goes_by_them(capsys):
    overlong = "{get_soft_overlong_punishment: {max_completion_len: 4096, soft_punish_cache: 512}}"
    assert main(["score", "--bench", "--all", "--reward", overlong]) == 0
    shown = capsys.readouterr().out
    assert "soft_overlong_punishment_reward (overlong): " in shown
    assert "-0.00195" in shown  # 1 / 512


def test_the_parts_of_a_routed_reward_are_benched_and_what_cannot_be_is_said(capsys):
    helpful = "{get_preference_reward: {model_name_or_path: x}}"
    routes = f"{{get_routed_reward: {{routes: {{maths: format_reward, other: {helpful}}}}}}}"
    foreign = "{get_language_consistency_reward: {target_language: ru}}"
    assert main(["score", "--bench", "--reward", routes, foreign]) == 0
    shown = capsys.readouterr().out
    assert "format_reward (format): " in shown
    assert "not benched: helpful_preference_reward: it asks a model" in shown
    assert "not benched: language_consistency_reward: no case holds for its parameters" in shown
    assert "bench: all as wanted" in shown
