"""The server engine against a stand-in on this machine: what it sends, what it makes of the answers."""

import asyncio
import json
import logging

import pytest
from loopback_openai import FaultProxy, ModelServer

from trl_r1.errors import GenerationError, R1Error
from trl_r1.generation import Completion, SamplingParameters, generate
from trl_r1.generation.plan import SampleRow, sample_seed
from trl_r1.generation.server import Failure, ServerEngine, ServerSettings
from trl_r1.script_arguments.sampling import GenerationArguments


CHAT = [{"role": "user", "content": "what is 4 plus 5 ?"}]
TEXT = "user : what is 4 plus 5 ? assistant :"
FOUR = SamplingParameters(num_samples=4, max_new_tokens=12)


@pytest.fixture
def words(tokenizer):
    return [tokenizer.decode([token], skip_special_tokens=True) for token in range(len(tokenizer))]


def make_engine(url, tokenizer=None, *, allow_unseeded=False, **settings):
    settings = ServerSettings(**{"base_url": url, "backoff": 0.001, **settings})
    return ServerEngine("stand-in", settings, tokenizer=tokenizer, allow_unseeded=allow_unseeded)


def job_requests(server, engine_asked):
    """Bodies of a job's own requests: those after the probe's."""
    return [body for _, body, _ in server.requests[engine_asked:]]


def test_prompts_are_rendered_here_and_sent_as_tokens(tokenizer, words):
    with ModelServer(words=words, end=tokenizer.eos_token_id) as server:
        engine = make_engine(server.url, tokenizer)
        assert engine.identity["prompts_sent_as"] == "tokens"
        asked = len(server.requests)
        groups = generate([TEXT, CHAT], FOUR, engine)
    bodies = job_requests(server, asked)
    assert len(bodies) == 8
    rendered = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False)
    assert {json.dumps(body["prompt"]) for body in bodies} == {json.dumps(tokenizer(TEXT)["input_ids"]), str(rendered)}
    assert all(body["n"] == 1 and body["max_tokens"] == 12 and body["top_k"] == 0 for body in bodies)
    assert len({body["seed"] for body in bodies}) == 8
    for group in groups:
        assert len({completion.text for completion in group}) > 1
        for completion in group:
            assert completion.text == tokenizer.decode(completion.token_ids, skip_special_tokens=True)
            assert (completion.finish_reason == "stop") == (completion.token_ids[-1] == tokenizer.eos_token_id)
    assert engine.last_summary.num_completions == 8
    assert engine.last_summary.num_prompt_tokens == len(rendered) + len(tokenizer(TEXT)["input_ids"])


def test_text_depends_on_prompt_and_sample_number_alone():
    with ModelServer() as server:
        engine = make_engine(server.url)
        params = SamplingParameters(num_samples=3, max_new_tokens=12)
        first = engine.generate([TEXT, CHAT, "other"], params)
        again = make_engine(server.url, max_concurrency=1).generate(
            ["other", TEXT], SamplingParameters(num_samples=3, max_new_tokens=12, batch_size=1)
        )
        [one] = engine.generate_batch([TEXT], [SampleRow(0, 2)], params)
    assert again == [first[2], first[0]]
    assert one == first[0][2]
    assert one.seed == sample_seed(params.seed, TEXT, 2)


def test_without_a_tokenizer_chats_go_as_chats_and_text_as_text():
    with ModelServer(usage=False) as server:
        engine = make_engine(server.url)
        assert engine.tokenizer is None
        assert engine.context_length is None
        assert engine.prompt_lengths([TEXT])[0] == len(TEXT)
        generate([CHAT, TEXT], SamplingParameters(max_new_tokens=12), engine)
        assert server.posted("/chat/completions")[-1]["messages"] == CHAT
        assert server.posted("/v1/completions")[-1]["prompt"] == TEXT
        assert "tokens are not counted (no usage)" in engine.notes


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_that_comes_apart_is_joined_with_the_answer(field):
    with ModelServer(reasoning=field) as server:
        [[completion]] = make_engine(server.url).generate([CHAT], SamplingParameters(max_new_tokens=12))
    assert completion.text.startswith("<think> thought of ")
    assert completion.text.count("</think>") == 1
    assert not completion.text.endswith("</think>")


def test_logprobs_come_with_tokens(tokenizer, words):
    params = SamplingParameters(max_new_tokens=12, logprobs=True, num_samples=2)
    with ModelServer(words=words) as server:
        [group] = make_engine(server.url, tokenizer).generate([TEXT], params)
        [plain] = make_engine(server.url, tokenizer).generate([TEXT], SamplingParameters(max_new_tokens=12))
    assert all(len(completion.logprobs) == len(completion.token_ids) for completion in group)
    assert all(value < 0 for completion in group for value in completion.logprobs)
    assert plain[0].logprobs is None
    assert "logprobs" not in server.requests[-1][1]


def test_tokens_a_server_keeps_are_encoded_from_the_text(tokenizer, words):
    with ModelServer(token_ids=False, words=words, end=tokenizer.eos_token_id) as server:
        engine = make_engine(server.url, tokenizer)
        assert engine.identity["tokens"] == "encoded from the text"
        completions = engine.generate([TEXT], SamplingParameters(num_samples=16, max_new_tokens=30))[0]
    assert {completion.finish_reason for completion in completions} == {"stop", "length"}
    for completion in completions:
        assert tokenizer.decode(completion.token_ids, skip_special_tokens=True) == completion.text
        assert completion.finish_reason == "length" or completion.token_ids[-1] == tokenizer.eos_token_id


def test_a_cut_prompt_is_no_answer(tokenizer, words):
    long = " ".join(["what"] * 40)
    with ModelServer(words=words, longest_prompt=30) as server, pytest.raises(GenerationError) as caught:
        make_engine(server.url, tokenizer).generate([long, TEXT], FOUR)
    assert caught.value.count == 4
    assert "read 30 tokens of a prompt of 40" in str(caught.value)


@pytest.mark.parametrize("finish", ["content_filter", "tool_calls", "null", "abort"])
def test_other_finish_reasons_are_failures(finish):
    with ModelServer() as server:
        engine = make_engine(server.url, max_retries=1)
        engine.generate([TEXT], FOUR)
        server.habits.finish = finish
        with pytest.raises(GenerationError) as caught:
            engine.generate([TEXT, "other"], FOUR)
    assert caught.value.count == caught.value.total == 8
    assert ("None" if finish == "null" else finish) in caught.value.reasons[0]


def test_chat_answers_every_question_and_names_failures():
    with ModelServer(any_name=True) as server:
        engine = make_engine(server.url, max_retries=0)
        params = SamplingParameters(max_new_tokens=12)
        right = engine.chat([CHAT, [{"role": "user", "content": "other"}]], params)
        answer = server.answer

        def half(path, body, headers):
            return (
                (400, {"error": {"message": "too long"}}) if "bad" in json.dumps(body) else answer(path, body, headers)
            )

        server.answer = half
        mixed = engine.chat([CHAT, [{"role": "user", "content": "bad"}]], params)
        assert engine.chat([], params) == []
    assert all(isinstance(outcome, Completion) for outcome in right)
    assert mixed[0] == right[0]
    assert mixed[1] == Failure(reason="HTTP 400: too long", status=400)
    with pytest.raises(R1Error, match="num_samples"):
        engine.chat([CHAT], FOUR)


def test_works_inside_a_running_event_loop():
    async def cell(engine):
        return engine.generate([CHAT], FOUR)

    with ModelServer() as server:
        engine = make_engine(server.url)
        assert asyncio.run(cell(engine)) == engine.generate([CHAT], FOUR)


def test_the_environment_of_the_client_library_has_no_say(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    for name, value in {
        "OPENAI_API_KEY": "sk-of-another-service-0123456789",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_ORG_ID": "my-organisation",
        "OPENAI_PROJECT_ID": "my-project",
        "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer ambient-secret\nX-Secret: ambient-secret",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
        "HF_HUB_OFFLINE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with ModelServer() as server:
        make_engine(server.url).generate([CHAT], FOUR)
    for _, _, headers in server.requests:
        assert headers["authorization"] == "Bearer none"
        assert not [value for value in headers.values() if "my-" in value or "ambient" in value]
    assert "sk-of" not in caplog.text


def test_the_key_is_sent_and_told_nowhere(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    key = "very-secret-key-4711"
    monkeypatch.setenv("JUDGE_KEY", key)
    with ModelServer(api_key=key) as server:
        engine = make_engine(server.url, api_key_env="JUDGE_KEY")
        engine.generate([CHAT], FOUR)
        assert server.requests[-1][2]["authorization"] == f"Bearer {key}"
        told = f"{engine.identity} {engine.notes} {engine.settings}"
        server.habits.api_key = "another-one"  # it echoes the key it was sent
        with pytest.raises(R1Error, match="401") as caught:
            engine.generate([CHAT], FOUR)
    assert key not in told
    assert key not in str(caught.value)
    assert "server_api_key_env" in str(caught.value)
    assert caught.value.__cause__ is None
    assert key not in caplog.text
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(R1Error, match=r"\$JUDGE_KEY is not set"):
        make_engine(server.url, api_key_env="JUDGE_KEY")


def test_a_refusal_stops_at_once():
    with ModelServer(api_key="wanted") as server:
        with pytest.raises(R1Error, match="401"):
            make_engine(server.url).generate([CHAT], FOUR)
        assert len(server.requests) == 1
        server.habits.api_key = None
        engine = make_engine(server.url, max_concurrency=2)
        engine.generate([CHAT], FOUR)
        server.habits.api_key, asked = "wanted", len(server.requests)
        with pytest.raises(R1Error, match="401"):
            engine.generate([CHAT], SamplingParameters(num_samples=64))
        assert len(server.requests) - asked <= 4  # those in flight, of 64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "localhost:8000"}, "server_base_url.*is no address"),
        ({"base_url": "http://me:secret@localhost/v1"}, "server_api_key_env"),
        ({"max_concurrency": 0}, "server_max_concurrency: 0"),
        ({"timeout": -1.0}, "server_timeout"),
        ({"requests_per_minute": 0.0}, "server_requests_per_minute"),
        ({"max_retries": -1}, "server_max_retries"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(R1Error, match=message) as caught:
        make_engine(settings.pop("base_url", "http://localhost:8000/v1"), **settings)
    assert "secret" not in str(caught.value)


def test_nothing_listens():
    with ModelServer() as server:
        url = server.url
    with pytest.raises(R1Error, match="cannot be reached"):
        make_engine(url).generate([CHAT], FOUR)


def test_made_from_a_scripts_arguments(checkpoint):
    class Model:
        model_name_or_path = "stand-in"
        model_revision = "main"

    with ModelServer() as server:
        arguments = GenerationArguments(
            engine="server", server_base_url=server.url, server_tokenizer=checkpoint, server_max_concurrency=3
        )
        engine = ServerEngine.from_arguments(arguments, Model)
        assert engine.context_length == 4096
    assert engine.tokenizer.chat_template
    assert (engine.model, engine.settings.max_concurrency) == ("stand-in", 3)
    Model.model_revision = "v2"
    with pytest.raises(R1Error, match="model_revision"):
        ServerEngine.from_arguments(arguments, Model)
    with pytest.raises(R1Error, match="server_base_url: missing"):
        ServerEngine.from_arguments(GenerationArguments(engine="server"), Model)
    arguments.server_tokenizer, Model.model_revision = "no/such/folder", None
    with pytest.raises(R1Error, match="server_tokenizer"):
        ServerEngine.from_arguments(arguments, Model)


def test_odd_text_arrives_as_it_was_sent():
    odd = '\u0000 \U0001f600 \u202e ‮ 几 \\ " \n \ud7ff'
    with ModelServer() as server:
        engine = make_engine(server.url)
        engine.generate([odd], FOUR)
        assert server.requests[-1][1]["prompt"] == odd
        with pytest.raises(R1Error, match="half a character"):
            engine.generate(["\ud800 plus"], FOUR)
        with pytest.raises(R1Error, match="prompts: number 0"):
            engine.generate([""], FOUR)
        assert engine.generate([], FOUR) == []


FAULTS = {
    **{"drop_before": 0.06, "drop_after": 0.06, "delay": 0.02, "trickle": 0.02, "truncate": 0.06, "bad_json": 0.06},
    **{"no_choices": 0.06, "more_choices": 0.06, "duplicate": 0.06, "empty": 0.06, "429": 0.06, "500": 0.06},
}


def test_faults_on_the_way_change_nothing(tokenizer, words):
    prompts = [f"{TEXT} {index}" for index in range(25)]
    with ModelServer(words=words) as server:
        calm = make_engine(server.url, tokenizer).generate(prompts, FOUR)
        asked = len(server.requests)
        with FaultProxy(server.url, FAULTS, slowness=2.0, retry_after="0.01") as proxy:
            harmed = make_engine(proxy.url, tokenizer, max_concurrency=8, timeout=0.5).generate(prompts, FOUR)
    assert harmed == calm
    assert len(proxy.struck) >= len(FAULTS) - 1  # they are drawn: in one run of 25 a kind does not come up
    # What reached the server: the probe's dozen, each sample, and again what was struck after it had arrived
    assert len(server.requests) - asked <= 100 + 20 + sum(proxy.struck.values())


def test_a_server_that_stays_broken_is_named_with_counts():
    with ModelServer() as server:
        engine = make_engine(server.url, max_retries=2)
        engine.generate([CHAT], FOUR)
        asked = len(server.requests)
        answer = server.answer

        def broken(path, body, headers):
            return (503, {"error": "overloaded"}) if body["seed"] % 2 else answer(path, body, headers)

        server.answer = broken
        with pytest.raises(GenerationError) as caught:
            engine.generate([CHAT], SamplingParameters(num_samples=40, max_new_tokens=4))
    bodies = job_requests(server, asked)
    odd = {body["seed"] for body in bodies if body["seed"] % 2}
    assert caught.value.count == len(odd)
    assert caught.value.total == 40
    assert caught.value.reasons == ["HTTP 503: overloaded (3 tries)"] * len(odd)
    assert len(bodies) == 40 + 2 * len(odd)  # no storm: two repetitions each, and none of what was answered
