"""An evaluation during training: what it leaves, and that training does not notice it."""

import json
import logging
import random

import numpy as np
import pytest
import torch
from datasets import Dataset
from tiny_models import make_tokenizer
from tiny_run import make_arguments, make_grpo, policy_on_disk, stable_logs
from trl import SFTConfig, SFTTrainer

from trl_r1.configs import R1GRPOConfig
from trl_r1.errors import R1Error
from trl_r1.evaluation import EvaluationSuite, Mode
from trl_r1.evaluation.held_out import load_held_out
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.trainer import R1GRPOTrainer
from trl_r1.trainer.callbacks import EvaluationCallback, evaluation_callback, train_or_resume
from trl_r1.trainer.live_policy import share_of


MODES = {"greedy": Mode(temperature=0), "sampled": Mode(num_samples=2)}


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.txt"
    path.write_text("user : {prompt} assistant :")
    return str(path)


@pytest.fixture
def held_out(tmp_path, plain):
    folder = tmp_path / "questions"
    folder.mkdir()
    rows = [
        {"problem": f"what is {one} plus {two} ?", "solution": str(one + two)} for one in range(3) for two in (0, 2)
    ]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = EvaluationSuite(name="sums", dataset_name=str(folder), modes=MODES)
    return load_held_out([suite], make_tokenizer(), prompt_template=plain, max_completion_length=6, batch_size=4)


def grpo(folder, held_out=None, every=2, **options):
    options = {"max_steps": 4, "dropout": None, **options}
    options.pop("dropout")
    trainer = make_grpo(R1GRPOTrainer, R1GRPOConfig, str(folder / "run"), **options)
    if held_out is not None:
        trainer.add_callback(EvaluationCallback(trainer, held_out, every=every))
    return trainer


def sft(folder, held_out=None):
    tokenizer = make_tokenizer()
    rows = Dataset.from_dict({"prompt": ["user : what is 1 plus 2 ? assistant :"] * 8, "completion": [" 3"] * 8})
    args = make_arguments(SFTConfig, str(folder / "run"), max_steps=4, per_device_train_batch_size=2, max_length=None)
    model = policy_on_disk(str(folder / "run"), tokenizer)
    trainer = SFTTrainer(model=model, args=args, train_dataset=rows, processing_class=tokenizer)
    if held_out is not None:
        trainer.add_callback(EvaluationCallback(trainer, held_out, every=2))
    return trainer


def outcome(trainer):
    """Weights, log rows of training, and where the random states stand after it."""
    trainer.train()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    return trainer.model.state_dict(), stable_logs(trainer.state.log_history), states


@pytest.mark.parametrize(
    "make",
    [grpo, lambda *given: grpo(*given, fast=True), lambda *given: grpo(*given, gradient_checkpointing=True), sft],
    ids=["grpo", "fast", "checkpointed", "sft"],
)
def test_training_does_not_notice(make, held_out, tmp_path):
    weights, logs, states = outcome(make(tmp_path / "a"))
    watched = make(tmp_path / "b", held_out)
    own_weights, own_logs, own_states = outcome(watched)
    assert all(torch.equal(weights[name], own_weights[name]) for name in weights)
    assert logs == own_logs
    assert torch.equal(states[0], own_states[0])
    assert states[1:] == own_states[1:]
    assert [row["step"] for row in watched.state.log_history if "eval_seconds" in row] == [0, 2, 4]


def records(folder):
    return [json.loads(line) for line in (folder / "run" / "evaluations.jsonl").read_text().splitlines()]


def test_each_evaluation_leaves_a_row_a_record_and_its_answers(held_out, tmp_path):
    trainer = grpo(tmp_path, held_out, max_steps=3)
    trainer.train()
    rows = [row for row in trainer.state.log_history if "eval_seconds" in row]
    assert [row["step"] for row in rows] == [0, 2, 3]  # the start, every second, and the end
    for row in rows:
        assert row["eval_sums/greedy/accuracy_low"] <= row["eval_sums/greedy/accuracy"]
        assert row["eval_sums/sampled/accuracy"] <= row["eval_sums/sampled/accuracy_high"]
        assert row["eval_sums/greedy/completion_tokens"] > 0
    kept = records(tmp_path)
    assert [(one["step"], one["evaluation"]) for one in kept] == [
        (step, f"sums/{mode}") for step in (0, 2, 3) for mode in MODES
    ]
    for record in kept:
        answers = list(read_samples(tmp_path / "run" / "evaluations" / record["samples"]))
        assert len(answers) == record["n"] == (6 if "greedy" in record["evaluation"] else 12)
        right = [answer["verdict"] == "correct" for answer in answers]
        assert record["metrics"]["accuracy"]["value"] == pytest.approx(sum(right) / len(right))


def test_the_untrained_policy_is_asked_as_trl_r1_evaluate_asks_it(held_out, tmp_path):
    from trl_r1.generation import TransformersEngine

    trainer = grpo(tmp_path, held_out, max_steps=1)
    engine = TransformersEngine(trainer.model, trainer.processing_class)
    expected = {one.name: engine.generate(one.asked.prompts, one.asked.params) for one in held_out}
    trainer.train()
    for one in held_out:
        path = tmp_path / "run" / "evaluations" / f"step-000000-{one.stem}.parquet"
        texts = [text for group in expected[one.name] for text in [answer.text for answer in group]]
        assert [row["text"].strip() for row in read_samples(path)] == [text.strip() for text in texts]


def test_a_run_that_goes_on_evaluates_no_step_twice(held_out, tmp_path):
    whole = grpo(tmp_path / "whole", held_out, max_steps=6, save_strategy="steps", save_steps=2)
    whole.train()
    cut = grpo(tmp_path / "cut", held_out, max_steps=4, save_strategy="steps", save_steps=2)
    cut.train()
    (tmp_path / "cut" / "run" / "evaluations.jsonl").open("a").write('{"step": 5, "evaluation": "cut sho')
    on = grpo(tmp_path / "cut", held_out, max_steps=6, save_strategy="steps", save_steps=2)
    train_or_resume(on)
    strip = lambda found: [{name: value for name, value in one.items() if name != "cost"} for one in found]  # noqa: E731
    assert strip(records(tmp_path / "cut")) == strip(records(tmp_path / "whole"))
    steps = [row["step"] for row in on.state.log_history if "eval_seconds" in row]
    assert steps == [0, 2, 4, 6]


def test_the_last_step_is_measured_by_the_process_that_records_it(held_out, tmp_path):
    saving = {"max_steps": 4, "save_strategy": "steps", "save_steps": 4}
    grpo(tmp_path, held_out, **saving).train()
    on = grpo(tmp_path, held_out, **saving)
    train_or_resume(on)  # nothing is left to train; the process before was killed before it wrote its record
    callback = next(one for one in on.callback_handler.callbacks if isinstance(one, EvaluationCallback))
    assert set(callback.latest) == {"sums/greedy", "sums/sampled"}
    assert [(one["step"], one["evaluation"]) for one in records(tmp_path)] == [
        (step, f"sums/{mode}") for step in (0, 2, 4) for mode in MODES
    ]


def test_answers_that_nobody_can_judge_are_no_score(held_out, tmp_path, monkeypatch, caplog):
    from trl_r1.verifiers import Judgement, Verdict

    unsure, wrong = Judgement(Verdict.UNDECIDABLE, "gone", "fault"), Judgement(Verdict.WRONG, "no", "exact")
    monkeypatch.setattr(
        "trl_r1.data.judging.judge_answers", lambda parsed, golds: [unsure, *[wrong] * (len(parsed) - 1)]
    )
    trainer = grpo(tmp_path, held_out, max_steps=1)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert "1 of 6 answers could not be judged; the others are no score" in caplog.text
    assert not any("eval_sums/greedy/accuracy" in row for row in trainer.state.log_history)
    assert evaluation_callback(trainer).failed == 4  # two modes, before the first step and after the last


def test_a_fault_is_counted_and_training_goes_on_unless_strict(held_out, tmp_path, monkeypatch, caplog):
    def broken(*given, **named):
        raise R1Error("the verifier is gone")

    monkeypatch.setattr("trl_r1.evaluation.held_out.judge_samples", broken)
    trainer = grpo(tmp_path / "lax", held_out, max_steps=2)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    callback = next(one for one in trainer.callback_handler.callbacks if isinstance(one, EvaluationCallback))
    assert callback.failed == 4  # two modes, at the start and at the end
    assert "the verifier is gone" in caplog.text
    assert trainer.state.global_step == 2
    strict = grpo(tmp_path / "strict", max_steps=2)
    strict.add_callback(EvaluationCallback(strict, held_out, every=1, strict=True))
    with pytest.raises(R1Error, match="evaluation during training: sums/greedy, step 0: the verifier is gone"):
        strict.train()


def test_what_makes_no_sense_is_refused(held_out, tmp_path):
    with pytest.raises(R1Error, match="evaluation_every: 0"):
        EvaluationCallback(grpo(tmp_path), held_out, every=0)
    suite = held_out[0].suite
    with pytest.raises(R1Error, match=r"6 of 6 questions.*do not fit the 9 positions"):
        load_held_out([suite], make_tokenizer(), prompt_template=None or _template(tmp_path), context_length=9)


def _template(tmp_path):
    return str(tmp_path / "plain.txt")


@pytest.mark.parametrize(("count", "world_size"), [(7, 1), (7, 2), (8, 4), (3, 4), (1, 3)])
def test_shares_are_of_one_size_and_hold_every_prompt(count, world_size):
    shares = [share_of(count, rank, world_size) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    assert {index for share in shares for index in share} == set(range(count))
