"""What the probe finds out about servers that ignore what they are sent, and what follows for a job."""

import logging

import pytest
from loopback_openai import ModelServer

from trl_r1.errors import R1Error
from trl_r1.generation import SamplingParameters
from trl_r1.generation.server import ServerEngine, ServerSettings
from trl_r1.generation.server.dialect import Route
from trl_r1.generation.server.findings import LogProbs, Sampling, Seeds


CHAT = [{"role": "user", "content": "what is 4 plus 5 ?"}]
TEXT = "user : what is 4 plus 5 ? assistant :"
SAMPLED = SamplingParameters(num_samples=2, max_new_tokens=12)
GREEDY = SamplingParameters(temperature=0, max_new_tokens=12)
LOGPROBS = SamplingParameters(max_new_tokens=12, logprobs=True)


def make_engine(server, tokenizer=None, allow_unseeded=False, model="stand-in"):
    settings = ServerSettings(base_url=server.url, backoff=0.001)
    return ServerEngine(model, settings, tokenizer=tokenizer, allow_unseeded=allow_unseeded)


@pytest.fixture
def words(tokenizer):
    return [tokenizer.decode([token], skip_special_tokens=True) for token in range(len(tokenizer))]


@pytest.mark.parametrize("route", [Route.TEXT, Route.CHAT])
def test_a_server_that_does_as_told_is_believed(route):
    with ModelServer() as server:
        findings = make_engine(server).findings(route)
        assert len(server.requests) <= 12
    assert (findings.sampling, findings.seeds, findings.logprobs) == (
        Sampling.FOLLOWED,
        Seeds.REPEAT,
        LogProbs.POLICY,
    )
    assert findings.dialect.neutral
    assert findings.token_ids
    assert findings.usage
    assert findings.notes == ()


def test_a_server_is_probed_once(caplog):
    with ModelServer(n="ignored") as server:
        engine = make_engine(server)
        with caplog.at_level(logging.WARNING):
            engine.generate([CHAT], SAMPLED)
            asked = len(server.requests)
            engine.generate([CHAT], SAMPLED)
        assert len(server.requests) == asked + 2
    assert engine.notes == ["n is ignored (1 choices where 2 were asked for)"]
    assert caplog.text.count("n is ignored") == 1


@pytest.mark.parametrize(
    ("habits", "params", "problem"),
    [
        ({"seed": "ignored"}, SAMPLED, "server_allow_unseeded"),
        ({"seed": "refused"}, SAMPLED, "server_allow_unseeded"),
        ({"seed": "constant"}, SAMPLED, "same text from every seed"),
        ({"temperature": "greedy"}, SAMPLED, "greedily at temperature 1"),
        ({"temperature": "fixed"}, SAMPLED, "ignores temperature"),
        ({"temperature": "fixed"}, GREEDY, "ignores temperature"),
        ({"logprobs": "none"}, LOGPROBS, "logprobs: the server gives none"),
        ({"token_ids": False}, LOGPROBS, "no token ids to go with them"),
        (
            {"logprobs": "sampling"},
            SamplingParameters(temperature=0.6, logprobs=True),
            "after temperature, not the policy's",
        ),
        ({"obeys_limit": False}, SAMPLED, "tokens where at most 8"),
        ({"own_limit": 3}, SAMPLED, "cut after 3 of 8 tokens.*--generation-config vllm"),
        ({"completions_status": 404}, SAMPLED, "no completions here"),
        ({"finish": "content_filter"}, SAMPLED, "content_filter"),
    ],
)
def test_what_cannot_be_worked_round_is_refused_before_a_sample(habits, params, problem):
    with ModelServer(**habits) as server:
        with pytest.raises(R1Error, match=problem):
            make_engine(server).generate([TEXT], params)
        assert not [body for body in server.posted() if body["prompt"] == TEXT]


@pytest.mark.parametrize(
    ("habits", "params"),
    [
        ({"seed": "ignored"}, GREEDY),
        ({"seed": "constant"}, GREEDY),
        ({"temperature": "greedy"}, GREEDY),
        ({"logprobs": "none"}, SAMPLED),
        ({"logprobs": "sampling"}, LOGPROBS),
        ({"n": "refused"}, SAMPLED),
        ({"n": "ignored"}, SAMPLED),
        ({"usage": False}, SAMPLED),
        ({"models_status": 500}, SAMPLED),
        ({"limit_field": "max_completion_tokens"}, SAMPLED),
        ({"strict": True}, SAMPLED),
    ],
)
def test_what_does_not_matter_to_a_job_stops_none(habits, params):
    with ModelServer(**habits) as server:
        [group] = make_engine(server).generate([TEXT], params)
    assert len({completion.text for completion in group}) == params.num_samples


def test_unseeded_samples_are_taken_where_that_is_said():
    with ModelServer(seed="ignored") as server:
        engine = make_engine(server, allow_unseeded=True)
        [group] = engine.generate([TEXT], SAMPLED)
        assert engine.generate([TEXT], SAMPLED) != [group]
    assert "seeds are ignored: a run will not repeat" in engine.notes
    with ModelServer(seed="refused") as server:
        engine = make_engine(server, allow_unseeded=True)
        [group] = engine.generate([TEXT], SAMPLED)
        assert "seed" not in server.requests[-1][1]
    assert [completion.seed for completion in group] == [None, None]


def test_sampling_is_switched_on_where_temperature_alone_does_not():
    with ModelServer(temperature="do_sample") as server:
        engine = make_engine(server)
        [group] = engine.generate([TEXT], SAMPLED)
        assert "do_sample" in server.requests[-1][1]["generation_config"]
        engine.generate([TEXT], GREEDY)
        assert "generation_config" not in server.requests[-1][1]
    assert len({completion.text for completion in group}) == 2
    assert any("generation_config" in note for note in engine.notes)


def test_settings_a_server_does_not_know_are_left_out():
    with ModelServer(strict=True) as server:
        engine = make_engine(server)
        engine.generate([TEXT], SAMPLED)
        assert set(server.requests[-1][1]) == {"model", "prompt", "temperature", "top_p", "max_tokens", "n", "seed"}
    assert any("cannot be switched off" in note for note in engine.notes)


@pytest.mark.parametrize("status", [400, 422, 500])
def test_prompts_go_as_text_where_tokens_are_not_taken(tokenizer, words, status):
    def count(text):
        return len(tokenizer(text)["input_ids"])

    with ModelServer(takes_token_ids=status, words=words, count=count) as server:
        engine = make_engine(server, tokenizer)
        assert engine.identity["prompts_sent_as"] == "text"
        engine.generate([TEXT, CHAT], SAMPLED)
        sent = {body["prompt"] for body in server.posted()[-4:]}
    rendered = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    assert sent == {TEXT, rendered}


def test_text_whose_tokens_are_not_counted_is_not_trusted(tokenizer, words):
    with ModelServer(takes_token_ids=400, usage=False, words=words) as server:
        engine = make_engine(server, tokenizer)
        with pytest.raises(R1Error, match="leave server_tokenizer out"):
            engine.generate([TEXT], SAMPLED)


def test_a_name_that_is_not_served_is_refused():
    with ModelServer(any_name=True) as server, pytest.raises(R1Error, match=r"takes any name.*'stand-in'"):
        make_engine(server, model="another").generate([CHAT], SAMPLED)
    with ModelServer() as server, pytest.raises(R1Error, match=r"404.*model another does not exist"):
        make_engine(server, model="another").generate([CHAT], SAMPLED)


def test_a_model_left_out_of_the_list_is_taken_where_wrong_names_are_refused():
    with ModelServer() as server:
        answer = server.answer

        def unlisted(path, body, headers):
            return (200, {"data": [{"id": "another"}]}) if path == "/v1/models" else answer(path, body, headers)

        server.answer = unlisted
        engine = make_engine(server)
        engine.generate([CHAT], SAMPLED)
    assert "the model is not in the server's list" in engine.notes


@pytest.mark.parametrize("certainty", [0.99, 0.999])
def test_no_false_alarm_on_a_policy_that_is_almost_certain(certainty):
    """One other word has all the rest: the hardest case, as a high temperature flattens it least."""
    for model in range(8):
        with ModelServer(
            model=str(model), certainty=certainty, alternatives=1, words=[f"{model}{n}" for n in "abcd"]
        ) as server:
            findings = make_engine(server, model=str(model)).findings(Route.CHAT)
            assert findings.sampling is Sampling.FOLLOWED
            assert findings.seeds is Seeds.REPEAT
            assert not findings.dialect.do_sample


def test_a_policy_that_is_certain_of_every_token_is_not_called_greedy():
    with ModelServer(certainty=1 - 1e-9, alternatives=1) as server:
        engine = make_engine(server)
        engine.generate([CHAT], SamplingParameters(max_new_tokens=12))
        assert engine.findings(Route.CHAT).sampling is Sampling.UNDECIDED
    assert any("certain of every token" in note for note in engine.notes)


def test_one_text_that_differs_by_rounding_is_no_ignored_seed():
    """Of the probe's pairs one differs, as when sums are taken in another order beside other requests."""
    with ModelServer() as server:
        answer, hot = server.answer, []

        def rounding(path, body, headers):
            status, reply = answer(path, body, headers)
            if body and body.get("seed") == 11:
                hot.append(reply)
                if len(hot) == 2:
                    reply["choices"][0]["message"]["content"] += " other"
            return status, reply

        server.answer = rounding
        engine = make_engine(server)
        engine.generate([CHAT], SAMPLED)
    assert engine.findings(Route.CHAT).seeds is Seeds.MOSTLY
    assert "a seed repeats its text in 5 of 6 tries" in engine.notes
