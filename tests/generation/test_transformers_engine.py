from contextlib import nullcontext

import pytest
import torch
from transformers import GenerationConfig

from trl_r1.errors import R1Error
from trl_r1.generation import SamplingParameters, TransformersEngine, generate


PROMPTS = ["user : a 4 plus b 5 assistant :", "user : hello assistant :", "user : a 1 minus b 2 plus c 3 assistant :"]
SAMPLED = SamplingParameters(temperature=1.0, max_new_tokens=12, num_samples=3, seed=7, batch_size=4)
GREEDY = SamplingParameters(temperature=0, max_new_tokens=12)


@pytest.fixture
def engine(model, tokenizer):
    return TransformersEngine(model, tokenizer)


def test_greedy_agrees_with_taking_the_most_likely_token_one_by_one(engine, model, tokenizer):
    [[completion]] = engine.generate(PROMPTS[:1], GREEDY)
    ids = tokenizer(PROMPTS[0])["input_ids"]
    expected = []
    model.eval()
    while len(expected) < 12 and (not expected or expected[-1] != tokenizer.eos_token_id):
        with torch.no_grad():
            expected.append(int(model(torch.tensor([ids + expected])).logits[0, -1].argmax()))
    assert list(completion.token_ids) == expected


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_greedy_does_not_depend_on_the_batch(engine, batch_size):
    params = SamplingParameters(temperature=0, max_new_tokens=12, batch_size=batch_size)
    assert engine.generate(PROMPTS, params) == engine.generate(PROMPTS, GREEDY)


def test_greedy_results_come_in_prompt_order(engine):
    forward = engine.generate(PROMPTS, GREEDY)
    assert engine.generate(PROMPTS[::-1], GREEDY) == forward[::-1]
    assert forward[0] != forward[1]


def test_sampling_repeats_with_its_seed_whatever_the_global_state(engine):
    torch.manual_seed(0)
    first = engine.generate(PROMPTS, SAMPLED)
    torch.manual_seed(123)
    assert engine.generate(PROMPTS, SAMPLED) == first
    other = SamplingParameters(temperature=1.0, max_new_tokens=12, num_samples=3, seed=8, batch_size=4)
    assert engine.generate(PROMPTS, other) != first


@pytest.mark.parametrize("params", [SAMPLED, GREEDY], ids=["sampled", "greedy"])
def test_completions_are_those_of_plain_generate(engine, params, monkeypatch):
    found = engine.generate(PROMPTS, params)
    monkeypatch.setattr("trl_r1.generation.compaction.compact_generation", lambda model: nullcontext())
    assert engine.generate(PROMPTS, params) == found


def test_batches_draw_from_different_seeds(engine):
    params = SamplingParameters(temperature=1.0, max_new_tokens=12, num_samples=2, seed=7, batch_size=1)
    [[first, second]] = engine.generate(PROMPTS[:1], params)
    assert first != second


def test_samples_are_grouped_by_prompt_and_counted(engine):
    groups = generate(PROMPTS, SAMPLED, engine)
    assert [len(group) for group in groups] == [3, 3, 3]
    summary = engine.last_summary
    assert (summary.num_prompts, summary.num_completions) == (3, 9)
    assert summary.num_tokens == sum(len(completion.token_ids) for group in groups for completion in group)
    assert summary.num_truncated == sum(c.finish_reason == "length" for group in groups for c in group)
    assert summary.tokens_per_second > 0


def test_the_end_token_stops_and_is_counted_but_not_shown(engine, model, tokenizer):
    with torch.no_grad():  # the end token becomes the most likely one everywhere
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
        model.lm_head.bias = torch.nn.Parameter(torch.zeros(len(tokenizer)))
        model.lm_head.bias[tokenizer.eos_token_id] = 9.0
    [[completion]] = engine.generate(PROMPTS[:1], GREEDY)
    assert (completion.text, completion.token_ids) == ("", (tokenizer.eos_token_id,))
    assert completion.finish_reason == "stop"


def test_the_limit_truncates(engine, model, tokenizer):
    with torch.no_grad():
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
        model.lm_head.bias = torch.nn.Parameter(torch.zeros(len(tokenizer)))
        model.lm_head.bias[tokenizer.convert_tokens_to_ids("so")] = 9.0
    [[completion]] = engine.generate(PROMPTS[:1], GREEDY)
    assert completion.text.split() == ["so"] * 12
    assert completion.finish_reason == "length"


def test_a_checkpoints_own_sampling_defaults_do_not_leak(engine, model):
    expected = engine.generate(PROMPTS, SAMPLED)
    model.generation_config = GenerationConfig(do_sample=True, top_k=1, repetition_penalty=5.0, min_new_tokens=9)
    assert engine.generate(PROMPTS, SAMPLED) == expected
    assert model.generation_config.top_k == 1


def test_top_p_restricts_to_the_nucleus(engine):
    nucleus = SamplingParameters(temperature=1.0, top_p=1e-6, max_new_tokens=12)
    drawn, greedy = engine.generate(PROMPTS, nucleus), engine.generate(PROMPTS, GREEDY)
    assert [[c.token_ids for c in group] for group in drawn] == [[c.token_ids for c in group] for group in greedy]


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_left_changed(engine, model, tokenizer, training):
    model.train(training)
    own_config, state, side = model.generation_config, torch.get_rng_state(), tokenizer.padding_side
    engine.generate(PROMPTS, SAMPLED)
    assert model.training is training
    assert model.generation_config is own_config
    assert torch.equal(torch.get_rng_state(), state)
    assert tokenizer.padding_side == side
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_a_prompt_beyond_the_context_is_refused(engine):
    with pytest.raises(R1Error, match=r"max_new_tokens: 250 after prompt 0 of 9 tokens exceeds the model's 256"):
        engine.generate(PROMPTS[:1], SamplingParameters(max_new_tokens=250))


def test_a_folder_loads_and_a_missing_one_is_one_line(checkpoint, tmp_path):
    engine = TransformersEngine.from_pretrained(checkpoint, device="cpu")
    assert len(engine.generate(PROMPTS, GREEDY)) == 3
    with pytest.raises(R1Error, match=r"^model: .*cannot be loaded.*checkpoint folder or a Hub id$"):
        TransformersEngine.from_pretrained(str(tmp_path / "nothing"))
