"""
The server engine against vLLM's OpenAI server.

The checkpoint's own `generation_config.json` asks for `top_k` 1, a low temperature and a strong penalty, which the
server takes for its defaults: where they got through, the samples of a prompt would be one.
"""

from dataclasses import replace

import pytest
from loopback_openai import FaultProxy
from server_fixtures import serve
from tiny_models import make_model, make_tokenizer
from transformers import GenerationConfig

from trl_r1.errors import R1Error
from trl_r1.generation import SamplingParameters, TransformersEngine, generate
from trl_r1.generation.jobs import GenerationJob
from trl_r1.generation.logprobs import token_logprobs
from trl_r1.generation.server import ServerEngine, ServerSettings
from trl_r1.generation.server.dialect import Route
from trl_r1.generation.server.findings import LogProbs, Sampling, Seeds


pytestmark = pytest.mark.timeout(600)
CHAT = [{"role": "user", "content": "what is a 4 plus b 5 ?"}]
PROMPTS = ["user : a 4 plus b 5 assistant :", "user : 3 加 4 得 几 ? 🙂 \u200b assistant :", CHAT]
GREEDY = SamplingParameters(temperature=0, max_new_tokens=24, logprobs=True)
SAMPLED = SamplingParameters(max_new_tokens=24, num_samples=6, seed=7, logprobs=True)
OTHER_END = "away"


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    folder, tokenizer = tmp_path_factory.mktemp("served"), make_tokenizer()
    model = make_model(tokenizer, hidden=64)  # heads of 32 dimensions; vLLM on the CPU refuses 16
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(OTHER_END)]
    model.generation_config = GenerationConfig(
        eos_token_id=ends, do_sample=True, top_k=1, temperature=0.3, repetition_penalty=5.0
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def url(policy, tmp_path_factory):
    with serve(policy, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield url


@pytest.fixture(scope="module")
def reference(policy):
    return TransformersEngine.from_pretrained(str(policy), device="cpu")


@pytest.fixture(scope="module")
def engine(url, reference):
    return make_engine(url, reference.tokenizer)


def make_engine(url, tokenizer=None, model="policy", **settings):
    settings = ServerSettings(**{"base_url": url, "backoff": 0.01, **settings})
    return ServerEngine(model, settings, tokenizer=tokenizer)


def test_the_probe_finds_nothing_to_complain_of(engine, url):
    for findings in (engine.findings(Route.TOKENS), make_engine(url).findings(Route.CHAT)):
        assert (findings.sampling, findings.seeds) == (Sampling.FOLLOWED, Seeds.REPEAT)
        assert findings.logprobs is LogProbs.POLICY
        assert findings.token_ids
        assert findings.dialect.neutral
        assert findings.notes == ()
    assert engine.context_length == 256


def test_greedy_text_and_logprobs_are_those_of_transformers(engine, reference):
    for [served], [expected] in zip(
        generate(PROMPTS, GREEDY, engine), generate(PROMPTS, GREEDY, reference), strict=True
    ):
        assert served.token_ids == expected.token_ids
        assert served.text == expected.text
        assert served.finish_reason == expected.finish_reason
        assert served.logprobs == pytest.approx(expected.logprobs, abs=1e-3)


def test_logprobs_of_samples_are_the_policys(engine, reference):
    params = replace(SAMPLED, temperature=0.7, top_p=0.9)
    [group] = engine.generate(PROMPTS[:1], params)
    ids = [completion.token_ids for completion in group]
    prompt = reference.tokenizer(PROMPTS[0])["input_ids"]
    expected = token_logprobs(reference.model.eval(), [prompt] * len(ids), ids, 0)
    for completion, values in zip(group, expected, strict=True):
        assert completion.logprobs == pytest.approx(values, abs=1e-3)


def test_samples_are_distinct_and_repeat_in_any_order(engine, url, reference):
    groups = engine.generate(PROMPTS, SAMPLED)
    assert all(len({completion.token_ids for completion in group}) == 6 for group in groups)
    ends = {completion.token_ids[-1] for group in groups for completion in group if completion.finish_reason == "stop"}
    assert ends <= set(reference.identity["end_token_ids"])
    other = make_engine(url, reference.tokenizer, max_concurrency=1)
    again = other.generate(PROMPTS[::-1], replace(SAMPLED, batch_size=4))[::-1]
    assert [[c.token_ids for c in group] for group in again] == [[c.token_ids for c in group] for group in groups]
    assert engine.generate(PROMPTS[:1], replace(SAMPLED, seed=8)) != groups[:1]


def test_a_chat_the_server_renders_is_the_one_rendered_here(engine, url):
    params = replace(GREEDY, logprobs=False)
    [[here]] = engine.generate([CHAT], params)
    [there] = make_engine(url).chat([CHAT], params)
    assert there.token_ids == here.token_ids


def test_faults_on_the_way_change_no_row(url, reference, engine, tmp_path):
    kinds = ("drop_before", "drop_after", "delay", "truncate", "bad_json", "no_choices", "more_choices", "duplicate")
    faults = dict.fromkeys((*kinds, "empty", "429", "500", "trickle"), 0.05)
    prompts = [f"user : {number % 10} plus {number // 10} assistant :" for number in range(25)]
    params = SamplingParameters(max_new_tokens=16, num_samples=4, batch_size=32)
    calm = [row for _, row in rows_of(tmp_path / "calm", prompts, params, engine)]
    with FaultProxy(url, faults, slowness=8.0, retry_after="0.05") as proxy:
        harmed = make_engine(proxy.url, reference.tokenizer, timeout=4.0)
        rows = [row for _, row in rows_of(tmp_path / "harmed", prompts, params, harmed)]
    assert len(rows) == 25
    assert rows == calm
    assert len(proxy.struck) >= 8
    assert sum(proxy.struck.values()) >= 30


def rows_of(folder, prompts, params, engine):
    job = GenerationJob(folder, prompts, params, engine)
    job.run()
    return list(job.groups())


def test_what_the_server_refuses_is_said(engine, url):
    with pytest.raises(R1Error, match=r"404.*nobody"):
        make_engine(url, model="nobody").generate([CHAT], GREEDY)
    with pytest.raises(R1Error, match=r"exceeds the model's\s+256 positions"):
        engine.generate(["what " * 250], GREEDY)
    with pytest.raises(R1Error, match="HTTP 400"):
        make_engine(url).generate(["what " * 400], replace(GREEDY, logprobs=False))
