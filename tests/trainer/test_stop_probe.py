"""Whether a trained model stops: what is asked, what is counted, and that nothing is changed by asking."""

import copy
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from trl_r1.generation import Completion
from trl_r1.generation.transformers_engine import encode_prompt
from trl_r1.trainer.stop_probe import ProbePrompt, judge_stops, probe_prompts, probe_stops, weights_are_whole


def row(number, words=4):
    answer = {"role": "assistant", "content": "so " * words}
    return {"prompt": [{"role": "user", "content": f"what is {number} ?"}], "completion": [answer]}


def completion(ids, reason="length"):
    return Completion(text="", token_ids=tuple(ids), finish_reason=reason)


@pytest.fixture
def trainer(model, tokenizer, tmp_path):
    args = SFTConfig(
        output_dir=str(tmp_path), bf16=False, use_cpu=True, report_to="none", max_steps=20, learning_rate=1e-2,
        per_device_train_batch_size=4, save_strategy="no", activation_checkpointing=False,
    )  # fmt: skip
    rows = Dataset.from_list([row(n, words=3) for n in range(8)])
    return SFTTrainer(model=model, args=args, train_dataset=rows, processing_class=copy.deepcopy(tokenizer))


def test_prompts_are_spaced_over_the_rows_with_short_answers(tokenizer):
    rows = Dataset.from_list([row(n % 9, words=100 if n % 2 else n % 5) for n in range(80)])
    prompts = probe_prompts(rows, tokenizer, 8, max_tokens=10)
    assert len(prompts) == 8
    assert all(prompt.answer_tokens <= 10 for prompt in prompts)
    places = [next(n for n in range(80) if rows[n]["prompt"] == p.prompt and n % 2 == 0) for p in prompts]
    assert len(set(places)) > 4
    assert probe_prompts(rows.select([1, 3]), tokenizer, 8, max_tokens=10) == []
    messages = Dataset.from_list([{"messages": row(3)["prompt"] + row(3)["completion"]}])
    [only] = probe_prompts(messages, tokenizer, 8, max_tokens=10)
    assert (only.prompt, only.answer_tokens) == (row(3)["prompt"], 5)  # four words and the end token


def test_prompts_without_answers_have_the_length_given(tokenizer):
    rows = Dataset.from_list([{"prompt": f"what is {n} ?"} for n in range(3)])
    assert [p.answer_tokens for p in probe_prompts(rows, tokenizer, 8, 50, answer_tokens=20)] == [20] * 3


def test_a_model_that_was_taught_to_end_stops_and_a_raw_one_does_not(trainer, tokenizer):
    prompts = probe_prompts(Dataset.from_list([row(n, words=3) for n in range(8)]), tokenizer, 8, max_tokens=10)
    before = probe_stops(trainer, tokenizer, prompts)
    trainer.train()
    after = probe_stops(trainer, tokenizer, prompts)
    assert (before.limit, after.limit) == (6, 6)
    assert before.stopped < 4
    assert "only" in (before.warning() or "")
    assert (after.stopped, after.loops, after.warning()) == (8, 0, None)
    assert after.measurements()["stops"].value == 1.0
    assert after.measurements()["stops"].low == pytest.approx(0.6756, abs=1e-4)  # Wilson, 8 of 8


def test_asking_changes_nothing(trainer, tokenizer):
    trainer.model.train()
    weights, state = copy.deepcopy(trainer.model.state_dict()), torch.get_rng_state()
    probe_stops(trainer, tokenizer, probe_prompts(trainer_rows(), tokenizer, 4, 10))
    assert trainer.model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trainer.model.state_dict().items())


@pytest.mark.parametrize(("spare", "asked", "limit"), [(20, 4, 8), (1, 4, 6), (0, 4, 5), (-1, 3, 3)])
def test_the_models_context_bounds_what_is_asked(trainer, tokenizer, spare, asked, limit):
    prompts = probe_prompts(trainer_rows(), tokenizer, 4, 10)
    prompts = [
        ProbePrompt(prompt=prompt.prompt, answer_tokens=answer)
        for prompt, answer in zip(prompts, (2, 2, 2, 5), strict=True)
    ]
    [length] = {len(encode_prompt(prompt.prompt, tokenizer)) for prompt in prompts}
    trainer.model.config.max_position_embeddings = length + 5 + spare
    found = probe_stops(trainer, tokenizer, prompts)
    assert (found.prompts, found.limit) == (asked, limit)


def test_a_context_that_holds_no_answer_is_not_asked(trainer, tokenizer):
    trainer.model.config.max_position_embeddings = 3
    assert probe_stops(trainer, tokenizer, probe_prompts(trainer_rows(), tokenizer, 4, 10)) is None
    empty = [ProbePrompt(prompt="", answer_tokens=2)]
    assert probe_stops(trainer, tokenizer, empty) is None


def trainer_rows():
    return Dataset.from_list([row(n) for n in range(4)])


def test_the_likely_cause_is_named(tokenizer):
    word, start = tokenizer.convert_tokens_to_ids(["so", "<|im_start|>"])
    different = tokenizer.convert_tokens_to_ids(list("01234567"))
    looping = judge_stops([completion([word] * 20)] * 3 + [completion([word, 2], "stop")], tokenizer, 20)
    assert (looping.prompts, looping.stopped, looping.loops) == (4, 1, 3)
    assert "only 1 of 4 greedy completions end within 20 tokens; 3 go round in circles" in looping.warning()
    marked = judge_stops([completion([*different, start])] * 2, tokenizer, 9)
    assert marked.foreign_marks == {"<|im_start|>": 2}
    assert "2 hold '<|im_start|>', which ends none of them: let eos_token" in marked.warning()
    assert "raise stop_probe_max_tokens" in judge_stops([completion(different)], tokenizer, 8).warning()
    assert judge_stops([completion(different), completion([word], "stop")], tokenizer, 8).warning() is None


def test_split_weights_are_not_asked():
    split = SimpleNamespace(is_fsdp_enabled=False, model=torch.nn.Linear(2, 2))
    assert weights_are_whole(split)
    split.model.weight.ds_id = 0
    assert not weights_are_whole(split)
    assert not weights_are_whole(SimpleNamespace(is_fsdp_enabled=True, model=None))
