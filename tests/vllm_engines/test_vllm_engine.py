from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from trl_r1.errors import GenerationError, R1Error
from trl_r1.generation import SamplingParameters, VLLMEngine, generate
from trl_r1.generation.jobs import GenerationJob
from trl_r1.generation.logprobs import token_logprobs


PROMPTS = [
    "user : a 4 plus b 5 assistant :",
    "user : hello assistant :",
    "user : a 1 minus b 2 plus c 3 assistant :",
    "user : 3 加 4 得 几 ? 🙂 \u200b assistant :",
]
SAMPLED = SamplingParameters(max_new_tokens=30, num_samples=6, seed=7)
GREEDY = SamplingParameters(temperature=0, max_new_tokens=12)


def token_ids(groups):
    return [[completion.token_ids for completion in group] for group in groups]


def test_samples_are_distinct_and_all_there(engine):
    groups = generate(PROMPTS, SAMPLED, engine)
    assert [len(group) for group in groups] == [6] * 4
    assert all(len(set(ids)) == 6 for ids in token_ids(groups))
    seeds = {completion.seed for group in groups for completion in group}
    assert len(seeds) == 24
    assert engine.last_summary.num_tokens == sum(len(ids) for group in token_ids(groups) for ids in group)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_a_sample_does_not_depend_on_its_batch(engine, batch_size):
    expected = engine.generate(PROMPTS, SAMPLED)
    assert engine.generate(PROMPTS, replace(SAMPLED, batch_size=batch_size)) == expected
    assert engine.generate(PROMPTS[::-1], SAMPLED) == expected[::-1]
    assert engine.generate(PROMPTS[1:2], replace(SAMPLED, num_samples=2)) == [expected[1][:2]]


def test_seeds_decide_and_the_global_state_does_not(engine):
    torch.manual_seed(0)
    first = engine.generate(PROMPTS, SAMPLED)
    torch.manual_seed(1)
    assert engine.generate(PROMPTS, SAMPLED) == first
    other = engine.generate(PROMPTS, replace(SAMPLED, seed=8))
    assert not {ids for group in token_ids(first) for ids in group} & {
        ids for group in token_ids(other) for ids in group
    }


def test_a_second_engine_would_break_the_first(engine, policy):
    expected = engine.generate(PROMPTS, SAMPLED)
    with pytest.raises(R1Error, match=r"takes no second one; close\(\) the first"):
        VLLMEngine.from_pretrained(policy)
    assert engine.generate(PROMPTS, SAMPLED) == expected


def test_greedy_text_is_that_of_transformers(engine, reference):
    ours, theirs = engine.generate(PROMPTS, GREEDY), reference.generate(PROMPTS, GREEDY)
    assert ours == theirs
    assert len(set(token_ids(ours)[0])) == 1


def test_log_probabilities_are_those_of_transformers(engine, reference):
    groups = engine.generate(PROMPTS, replace(SAMPLED, temperature=0.8, top_p=0.9, logprobs=True))
    for prompt, group in zip(PROMPTS, groups, strict=True):
        ids = [completion.token_ids for completion in group]
        prompts = [engine.tokenizer(prompt)["input_ids"]] * len(ids)
        for expected, completion in zip(token_logprobs(reference.model, prompts, ids, 0), group, strict=True):
            assert completion.logprobs == pytest.approx(expected, abs=1e-3)


def test_log_probabilities_do_not_change_the_text(engine):
    with_them = engine.generate(PROMPTS, replace(SAMPLED, logprobs=True))
    assert token_ids(with_them) == token_ids(engine.generate(PROMPTS, SAMPLED))


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.6)])
def test_first_tokens_have_the_policys_probabilities(engine, reference, temperature, top_p):
    number = 3000
    params = SamplingParameters(temperature=temperature, top_p=top_p, max_new_tokens=1, num_samples=number, seed=3)
    [group] = engine.generate(PROMPTS[:1], params)
    with torch.no_grad():
        logits = reference.model(**engine.tokenizer(PROMPTS[0], return_tensors="pt")).logits[0, -1]
    expected = (logits / temperature).softmax(-1)
    values, order = expected.sort(descending=True)
    expected[order[values.cumsum(0) - values >= top_p]] = 0
    expected /= expected.sum()
    found = torch.bincount(torch.tensor([c.token_ids[0] for c in group]), minlength=len(expected)) / number
    assert not found[expected == 0].any()
    deviation = (expected * (1 - expected) / number).sqrt()
    assert ((found - expected).abs() <= 4.5 * deviation + 3 / number).all()


def test_every_end_token_ends_and_is_counted(engine, reference):
    params = SamplingParameters(temperature=1.5, max_new_tokens=60, num_samples=40, seed=1)
    completions = [completion for group in engine.generate(PROMPTS, params) for completion in group]
    ends = set(reference.identity["end_token_ids"])
    assert len(ends) == 2
    ended = [completion for completion in completions if completion.finish_reason == "stop"]
    assert {completion.token_ids[-1] for completion in ended} == ends
    assert all(not ends & set(completion.token_ids[:-1]) for completion in completions)
    assert all("<|im_end|>" not in completion.text for completion in ended)
    cut = [completion for completion in completions if completion.finish_reason == "length"]
    assert {len(completion.token_ids) for completion in cut} == {60}
    assert all(c.text == engine.tokenizer.decode(c.token_ids, skip_special_tokens=True) for c in completions)


def test_chats_are_shown_through_the_template(engine):
    chat = [{"role": "user", "content": "what is 4 plus 5 ?"}]
    text = engine.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert engine.generate([chat], SAMPLED) == engine.generate([text], SAMPLED)


def test_what_does_not_fit_is_refused_with_its_number(engine):
    engine.generate([PROMPTS[0]], SamplingParameters(temperature=0, max_new_tokens=247))
    with pytest.raises(R1Error, match=r"max_new_tokens: 248 after prompt 1 of 9 tokens exceeds the model's 256"):
        generate([PROMPTS[1], PROMPTS[0]], SamplingParameters(max_new_tokens=248), engine)


def test_a_temperature_it_would_change_is_refused(engine):
    with pytest.raises(R1Error, match=r"^temperature: 0\.005 is below 0\.01"):
        engine.generate(PROMPTS, SamplingParameters(temperature=0.005, max_new_tokens=9))


def test_identity_names_what_decides(engine, reference, policy):
    identity = engine.identity
    assert identity["dtype"] == "float32"
    assert identity["weights_sha256"] == reference.identity["weights_sha256"]
    assert identity["end_token_ids"] == reference.identity["end_token_ids"]
    assert (identity["engine"], identity["model"]) == ("vllm", policy)
    assert identity["versions"]["vllm"].startswith("0.")


class Faulty:
    """An `LLM` whose results are spoilt."""

    def __init__(self, llm, spoil):
        self._llm = llm
        self._spoil = spoil

    def __getattr__(self, name):
        return getattr(self._llm, name)

    def generate(self, *args, **kwargs):
        return self._spoil(self._llm.generate(*args, **kwargs))


def aborted(outputs):
    for output in outputs[::2]:
        output.outputs[0].finish_reason = "abort"
    return outputs


def unfinished(outputs):
    outputs[0].finished = False
    return outputs


def emptied(outputs):
    outputs[3].outputs[0] = SimpleNamespace(token_ids=[], finish_reason="stop", logprobs=None)
    return outputs


def dead(outputs):
    raise RuntimeError("the engine is dead")


@pytest.mark.parametrize(
    ("spoil", "count", "reason"),
    [
        (aborted, 12, "'abort' after .* tokens"),
        (unfinished, 1, "did not finish"),
        (emptied, 1, "'stop' after 0 tokens"),
        (lambda outputs: outputs[:-2], 2, "fewer results"),
        (dead, 24, "vLLM failed: RuntimeError: the engine is dead"),
    ],
)
def test_missing_samples_are_an_error_with_a_count(engine, spoil, count, reason):
    faulty = VLLMEngine(Faulty(engine.llm, spoil), engine.tokenizer, [2])
    faulty._end_ids = engine._end_ids
    with pytest.raises(GenerationError, match=reason) as caught:
        faulty.generate(PROMPTS, SAMPLED)
    assert (caught.value.count, caught.value.total) == (count, 24)


def test_an_interrupted_job_goes_on_with_the_same_rows(engine, tmp_path):
    params = replace(SAMPLED, batch_size=5)
    calls = []

    def die_at_third(outputs):
        calls.append(len(outputs))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return outputs

    interrupted = VLLMEngine(Faulty(engine.llm, die_at_third), engine.tokenizer, engine._end_ids, engine.identity)
    with pytest.raises(KeyboardInterrupt):
        GenerationJob(tmp_path / "job", PROMPTS, params, interrupted).run()
    job = GenerationJob(tmp_path / "job", PROMPTS, params, engine)
    job.run()
    assert [group for _, group in job.groups()] == engine.generate(PROMPTS, params)


def test_what_cannot_be_loaded_is_one_line(policy, tmp_path, monkeypatch):
    monkeypatch.setattr(VLLMEngine, "_loaded", None)
    with pytest.raises(R1Error, match=r"^model: .*nothing' cannot be loaded .*checkpoint folder or a Hub id$"):
        VLLMEngine.from_pretrained(str(tmp_path / "nothing"))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(R1Error, match="is an adapter"):
        VLLMEngine.from_pretrained(str(tmp_path), tokenizer=SimpleNamespace(eos_token_id=2))
    with pytest.raises(R1Error, match="vllm_max_model_length"):
        VLLMEngine.from_pretrained(policy, max_model_length=100_000)
