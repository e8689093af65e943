"""The scripts end to end on a tiny random policy: what each leaves behind, and how each refuses."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

import trl_r1.recipe
from trl_r1.cli import main
from trl_r1.errors import RewardError
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.scripts.common import run_script
from trl_r1.scripts.training import train_and_record
from trl_r1.stage_record import read_stage_record


TRAINING = {
    "use_cpu": True,
    "bf16": False,
    "activation_checkpointing": False,
    "report_to": "none",
    "logging_steps": 1,
    "save_strategy": "no",
    "max_steps": 2,
    "seed": 0,
}
QUESTIONS = [
    {"problem": f"what is {a} plus {b} ?", "solution": str(a + b), "language": "en", "reward_type": "reasoning"}
    for a in range(4)
    for b in range(4)
]
CHATS = [
    {"messages": [{"role": "user", "content": row["problem"]}, {"role": "assistant", "content": content}]}
    for row in QUESTIONS
    for content in [f"<think> so {row['solution']} </think> the answer is {row['solution']}"]
]
PAIRS = [
    {
        "prompt": [{"role": "user", "content": "hello ?"}],
        "chosen": [{"role": "assistant", "content": "hello friend"}],
        "rejected": [{"role": "assistant", "content": "go away"}],
    }
] * 8


def write_rows(folder, rows, split="train"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


@pytest.fixture
def launch(tmp_path, checkpoint):
    """Run a verb on a recipe made of keyword arguments; returns exit code and output folder."""

    def run(verb, **values):
        output = tmp_path / verb
        given = {} if verb == "evaluate" else {"model_name_or_path": checkpoint}
        recipe = tmp_path / f"{verb}.yaml"
        recipe.write_text(yaml.safe_dump({**given, "output_dir": str(output), **values}, sort_keys=False))
        return main([verb, "--config", str(recipe)]), output

    return run


def assert_loads_everywhere(folder):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": "hello ?"}]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert tokenizer.decode(inputs["input_ids"][0]) == ("<|im_start|> user hello ? <|im_end|> <|im_start|> assistant")
    assert model.generate(**inputs, max_new_tokens=2).shape[1] > inputs["input_ids"].shape[1]


def test_grpo_leaves_a_checkpoint_a_record_and_a_card(launch, tmp_path, checkpoint):
    code, folder = launch(
        "grpo",
        **TRAINING,
        dataset_name=write_rows(tmp_path / "questions", QUESTIONS),
        prompt_template=str(Path("recipes/tiny/prompt.txt").resolve()),
        reward_funcs=["accuracy_reward", "format_reward"],
        reward_weights=[1.0, 0.5],
        num_generations=4,
        prompts_per_step=2,
        max_completion_length=8,
    )
    assert code == 0
    assert_loads_everywhere(folder)
    record = read_stage_record(folder)
    assert (record.kind, record.stage) == ("grpo", "grpo")
    assert [(reward.name, reward.weight) for reward in record.rewards] == [
        ("accuracy_reward", 1.0),
        ("format_reward", 0.5),
    ]
    assert [(source.rows_in, source.rows_kept) for source in record.data] == [(16, 16)]
    assert [(parent.name_or_path, parent.role) for parent in record.parents] == [(checkpoint, "base")]
    assert record.parents[0].weights_sha256
    assert len(record.history) == 2
    assert record.hardware["world_size"] == 1
    assert set(record.template) == {"prompt_template", "chat_template"}
    card = (folder / "README.md").read_text()
    assert "licence" not in card.split("---")[1]
    assert "accuracy_reward" in card
    assert (
        main(["grpo", "--config", str(folder / "resolved_config.yaml"), "--output_dir", str(tmp_path / "again")]) == 0
    )
    again = read_stage_record(tmp_path / "again")
    weights = {item.path: item.sha256 for item in record.artefacts}
    assert {item.path: item.sha256 for item in again.artefacts}["model.safetensors"] == weights["model.safetensors"]


def test_sft_trains_on_the_thoughts(launch, tmp_path):
    code, folder = launch(
        "sft", **TRAINING, dataset_name=write_rows(tmp_path / "chats", CHATS), per_device_train_batch_size=4
    )
    assert code == 0
    assert_loads_everywhere(folder)
    record = read_stage_record(folder)
    assert record.data[0].rows_kept == len(CHATS)
    assert all(row["loss"] > 0 for row in record.history)


def test_reward_model_then_preference_reward(launch, tmp_path):
    code, folder = launch(
        "reward_model", **TRAINING, dataset_name=write_rows(tmp_path / "pairs", PAIRS), per_device_train_batch_size=4
    )
    assert code == 0
    greetings = [{"problem": "hello ?", "solution": None, "language": "en", "reward_type": "helpful"}] * 8
    code, policy = launch(
        "grpo",
        **TRAINING,
        dataset_name=write_rows(tmp_path / "mixed", [*QUESTIONS[:8], *greetings]),
        reward_funcs=["accuracy_reward", {"get_preference_reward": {"model_name_or_path": str(folder)}}],
        num_generations=2,
        prompts_per_step=8,
        max_completion_length=8,
    )
    assert code == 0
    record = read_stage_record(policy)
    assert "rewards/helpful_preference_reward/mean" in record.history[0]
    assert (str(folder), "reward_model") in [(parent.name_or_path, parent.role) for parent in record.parents]


def test_rejection_sampling_counts_every_sample(launch, tmp_path):
    code, folder = launch(
        "rejection_sample",
        dataset_name=write_rows(tmp_path / "questions", QUESTIONS),
        num_generations=3,
        max_completion_length=8,
        keep_correct=False,
        keep_well_formed=False,
        keep_language_consistent=False,
        seed=0,
    )
    assert code == 0
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    metrics = read_stage_record(folder).metrics
    assert metrics["samples"].value == 48
    assert metrics["kept"].value == len(rows) > 0
    dropped = sum(measured.value for name, measured in metrics.items() if name.startswith("dropped/"))
    assert dropped + len(rows) == 48
    assert {message["role"] for message in rows[0]["messages"]} == {"user", "assistant"}


def test_rejection_sampling_that_keeps_nothing_leaves_its_samples_alone(launch, tmp_path, capsys):
    code, folder = launch(
        "rejection_sample",
        dataset_name=write_rows(tmp_path / "questions", QUESTIONS),
        num_generations=1,
        max_completion_length=4,
    )
    assert code == 2
    assert "none of 16 samples passed" in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} <= {".work", "progress.json"}  # for other filters to choose from


def test_evaluation_measures_and_compares(launch, tmp_path, checkpoint):
    names = ("first", "second")
    code, folder = launch(
        "evaluate",
        checkpoints=[{"name": name, "path": checkpoint} for name in names],
        suites=[{"name": "sums", "dataset_name": write_rows(tmp_path / "questions", QUESTIONS, "test")}],
        comparisons=[{"before": "first", "after": "second", "suite": "sums", "mode": "greedy", "metric": "accuracy"}],
        max_completion_length=6,
        seed=0,
    )
    assert code == 0
    record = read_stage_record(folder)
    assert [(entry["checkpoint"], entry["mode"]) for entry in record.evaluations] == [
        (name, mode) for name in names for mode in ("sampled", "greedy")
    ]
    assert all(len(list(read_samples(folder / entry["samples"]))) == 16 for entry in record.evaluations)
    [(label, difference)] = record.metrics.items()
    assert label == "second - first (sums, greedy, accuracy)"
    assert (difference.value, difference.n) == (0.0, 16)


def test_a_comparison_of_nothing_is_refused(launch, tmp_path, checkpoint, capsys):
    code, _ = launch(
        "evaluate",
        checkpoints=[{"name": "first", "path": checkpoint}],
        suites=[{"name": "sums", "dataset_name": write_rows(tmp_path / "questions", QUESTIONS, "test")}],
        comparisons=[{"before": "first", "after": "other", "suite": "sums", "mode": "greedy", "metric": "accuracy"}],
        max_completion_length=6,
    )
    assert code == 2
    assert "comparisons[0].after: 'other' is not measured; use one of first" in capsys.readouterr().err


BROKEN_REWARDS = {
    "raises": "raise KeyError('gold')",
    "too_few": "return [1.0]",
    "strings": "return ['good'] * len(completions)",
    "nan": "return [float('nan')] * len(completions)",
    "infinite": "return [float('inf')] * len(completions)",
    "no_list": "return 1.0",
    "exits": "raise SystemExit(0)",
}


@pytest.mark.parametrize("name", BROKEN_REWARDS)
def test_a_broken_reward_is_one_line_before_any_model(launch, tmp_path, capsys, name, monkeypatch):
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: pytest.fail("a model was loaded"))
    file = tmp_path / f"{name}.py"
    file.write_text(f"def judge(completions, **kwargs):\n    {BROKEN_REWARDS[name]}\n")
    code, folder = launch(
        "grpo",
        **TRAINING,
        dataset_name=write_rows(tmp_path / "questions", QUESTIONS),
        reward_funcs=[f"{file}:judge"],
        num_generations=4,
        prompts_per_step=2,
    )
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert code == 2
    assert len(lines) == 1
    assert "judge" in lines[0]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("template", "message"),
    [("{% for m in messages %}hi{% endfor %}", "does not show the question"), ("{{ }", "does not render a question")],
)
def test_a_broken_chat_template_is_one_line(launch, tmp_path, capsys, template, message):
    (tmp_path / "own.jinja").write_text(template)
    code, folder = launch(
        "grpo",
        **TRAINING,
        dataset_name=write_rows(tmp_path / "questions", QUESTIONS),
        chat_template=str(tmp_path / "own.jinja"),
        reward_funcs=["accuracy_reward"],
        num_generations=4,
        prompts_per_step=2,
    )
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert code == 2
    assert len(lines) == 1
    assert message in lines[0]
    assert not folder.exists()


def test_a_model_of_changed_parents_is_refused_before_training(launch, tmp_path, capsys, checkpoint):
    copy = tmp_path / "base"
    shutil.copytree(checkpoint, copy)
    code, tuned = launch(
        "sft",
        **TRAINING,
        dataset_name=write_rows(tmp_path / "chats", CHATS),
        per_device_train_batch_size=4,
        model_name_or_path=str(copy),
    )
    assert code == 0
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes() + b" ")
    code, folder = launch(
        "reward_model",
        **TRAINING,
        dataset_name=write_rows(tmp_path / "pairs", PAIRS),
        per_device_train_batch_size=4,
        model_name_or_path=str(tuned),
    )
    assert code == 2
    assert "holds other weights" in capsys.readouterr().err
    assert not (folder / "stage.json").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "empty"),
        ([{"question": "what is 1 ?", "solution": "1"}], "problem"),
        ([{"problem": "what is 1 ?", "solution": None}] * 8, "gold_missing"),
        (QUESTIONS[:1], "1"),
    ],
    ids=["empty", "no_column", "no_answers", "smaller_than_a_batch"],
)
def test_unusable_data_is_one_line(launch, tmp_path, capsys, rows, message):
    code, folder = launch(
        "grpo",
        **TRAINING,
        dataset_name=write_rows(tmp_path / "questions", rows),
        reward_funcs=["accuracy_reward"],
        num_generations=4,
        prompts_per_step=2,
    )
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert code == 2
    assert len(lines) == 1
    assert message in lines[0]
    assert not folder.exists()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["evalute"], ["run"], ["validate", "nowhere.yaml"]])
def test_command_line_without_work(arguments, capsys):
    try:
        code = main(arguments)
    except SystemExit as exit_:  # argparse's own
        code = exit_.code
    shown = capsys.readouterr()
    assert code == (0 if arguments == ["--help"] else 2)
    assert shown.out or shown.err
    assert "Traceback" not in shown.err


def test_an_interrupted_stage_says_one_line(monkeypatch, caplog):
    def interrupted(recipe):
        raise KeyboardInterrupt

    monkeypatch.setattr(trl_r1.recipe, "load_recipe", lambda verb, argv: None)
    with caplog.at_level("INFO", logger="trl_r1"):
        assert run_script("grpo", interrupted, []) == 130
    assert [record.getMessage() for record in caplog.records] == [
        "stopped; the same command goes on from what is saved"
    ]


def test_another_process_tells_what_ended_it(monkeypatch, caplog):
    def train(resume_from_checkpoint):
        raise RewardError("reward 'mine' raised ValueError")

    trainer = SimpleNamespace(
        train=train,
        args=SimpleNamespace(resume_from_checkpoint="checkpoint-1"),
        is_deepspeed_enabled=False,
        is_world_process_zero=lambda: False,
    )
    recipe = SimpleNamespace(training_args=trainer.args, model_args=None)
    for rank, told in ("0", 0), ("1", 1):  # the main process's line is that of `run_script`
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(RewardError):
            train_and_record(trainer, recipe, SimpleNamespace())
        assert len(caplog.records) == told
    assert caplog.messages == ["process 1: reward 'mine' raised ValueError"]
