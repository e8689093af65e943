import pytest
import torch

from trl_r1.generation import SamplingParameters, TransformersEngine
from trl_r1.generation.logprobs import token_logprobs


PROMPTS = ["user : a 4 plus b 5 assistant :", "user : hello assistant :", "user : a 1 minus b 2 plus c 3 assistant :"]


def reference(model, prompt, ids):
    """Row by row, in float64, from the definition."""
    with torch.no_grad():
        logits = model.double()(torch.tensor([[*prompt, *ids]])).logits[0]
    return [float(logits[len(prompt) + place - 1].log_softmax(-1)[token]) for place, token in enumerate(ids)]


@pytest.mark.parametrize("at_once", [1, 40, 4096])
def test_they_are_the_policys_own(model, tokenizer, at_once, monkeypatch):
    monkeypatch.setattr("trl_r1.generation.logprobs.TOKENS_AT_ONCE", at_once)
    params = SamplingParameters(temperature=2.0, top_p=0.99, max_new_tokens=40, num_samples=4, seed=1, logprobs=True)
    groups = TransformersEngine(model, tokenizer).generate(PROMPTS, params)
    assert len({len(completion.token_ids) for group in groups for completion in group}) > 1
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            expected = reference(model, tokenizer(prompt)["input_ids"], completion.token_ids)
            assert completion.logprobs == pytest.approx(expected, abs=1e-5)


def test_they_leave_text_and_state_alone(model, tokenizer):
    engine = TransformersEngine(model, tokenizer)
    values = {"max_new_tokens": 12, "num_samples": 3, "seed": 7, "batch_size": 4}
    state = torch.get_rng_state()
    with_them = engine.generate(PROMPTS, SamplingParameters(**values, logprobs=True))
    without = engine.generate(PROMPTS, SamplingParameters(**values))
    assert torch.equal(torch.get_rng_state(), state)
    assert [[c.token_ids for c in group] for group in with_them] == [[c.token_ids for c in group] for group in without]
    assert all(completion.logprobs is None for group in without for completion in group)


def test_of_half_precision_they_are_rounded_once(model):
    prompts, completions = [[5, 6, 7], [8]], [[9, 10], [11, 12, 13, 14]]
    half = model.bfloat16()
    found = token_logprobs(half, prompts, completions, pad_id=0)
    with torch.no_grad():
        logits = half(torch.tensor([[8, 11, 12, 13, 14]])).logits[0, :-1].float()
    expected = logits.log_softmax(-1).gather(1, torch.tensor([[11], [12], [13], [14]]))[:, 0].tolist()
    assert found[1] == pytest.approx(expected, abs=2e-2)
    assert [len(values) for values in found] == [2, 4]
