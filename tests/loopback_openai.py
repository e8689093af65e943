"""
An OpenAI-compatible server on this machine whose habits can be set, and a proxy that does harm on the way.

The "model" draws words from a distribution that depends on the prompt and the words before, so that seeds, temperature
and log-probabilities mean what they mean elsewhere. By hand:

    python tests/loopback_openai.py --port 8000 --habit seed=ignored --habit token_ids=false
    python tests/loopback_openai.py --port 8001 --proxy http://127.0.0.1:8000 --fault drop_after=.1 --fault 429=.1
"""

import argparse
import http.client
import itertools
import json
import math
import random
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


WORDS = ["<end>", *(f"{one}{two}" for one in "bdfgklmn" for two in ("a", "e", "i", "o"))]
KNOWN = {
    *("model", "prompt", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "seed"),
    *("logprobs", "top_logprobs"),
}


@dataclass
class Habits:
    """What a server does with what it is sent. The defaults are vLLM's."""

    model: str = "stand-in"
    any_name: bool = False  # takes every name of a model
    models_status: int = 200
    api_key: str | None = None
    strict: bool = False  # refuses fields that OpenAI does not have
    limit_field: str = "max_tokens"
    obeys_limit: bool = True
    own_limit: int = 1_000_000  # cuts longer completions, without a word
    n: str = "followed"  # or "ignored", "refused"
    seed: str = "followed"  # or "ignored", "constant", "refused"
    temperature: str = "followed"  # or "greedy", "do_sample" (greedy without it), "fixed"
    logprobs: str = "policy"  # or "sampling", "none"
    token_ids: bool = True  # gives them
    takes_token_ids: int = 200  # status of a prompt of token ids
    completions_status: int = 200
    usage: bool = True
    reasoning: str | None = None  # field of a message that holds the thoughts
    finish: str | None = None  # in place of every finish reason
    longest_prompt: int = 1_000_000  # cuts what is longer, without a word
    certainty: float = 0.3  # probability of the likeliest word at temperature 1
    alternatives: int = 16
    end: int = 0  # token that ends a completion; from 3 tokens on it is drawn with the rest
    words: list = field(default_factory=lambda: WORDS)
    count: object = lambda text: len(text.split())  # tokens of a text


class ModelServer:
    """The server; `requests` holds `(path, body, headers)` of all that came. Use as a context manager."""

    def __init__(self, port=0, **habits):
        self.habits = Habits(**habits)
        self.requests = []
        self.at_once = self.most_at_once = 0
        self.busy = threading.Lock()
        self.delay = 0.0
        self.retry_after = None  # header of every answer but a 200
        self._unseeded = itertools.count(1)
        self._http = _serve(port, _ModelHandler, self)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._http.shutdown()
        self._http.server_close()

    def posted(self, path="completions"):
        """Bodies of the requests to a path."""
        return [body for came, body, _ in self.requests if came.endswith(path) and body is not None]

    def answer(self, path, body, headers):
        """Status and JSON."""
        habits = self.habits
        if habits.api_key and headers.get("authorization") != f"Bearer {habits.api_key}":
            return 401, _error(f"wrong key {headers.get('authorization')}")
        if path == "/v1/models":
            listed = {"id": habits.model, "object": "model", "owned_by": "stand-in", "max_model_len": 4096}
            return habits.models_status, {"object": "list", "data": [listed]}
        if path not in ("/v1/completions", "/v1/chat/completions"):
            return 404, _error(f"no {path}")
        status = self._refusal(path, body)
        return status if status else (200, self._complete(path, body))

    def _refusal(self, path, body):
        habits = self.habits
        if body["model"] != habits.model and not habits.any_name:
            return 404, _error(f"the model {body['model']} does not exist")
        if habits.completions_status != 200 and path == "/v1/completions":
            return habits.completions_status, _error("no completions here")
        if isinstance(body.get("prompt"), list) and habits.takes_token_ids != 200:
            return habits.takes_token_ids, _error("prompt must be a string")
        unknown = set(body) - KNOWN
        if habits.strict and unknown:
            return 400, _error(f"unknown fields {sorted(unknown)}")
        if habits.limit_field not in body:
            return 400, _error(f"use {habits.limit_field}")
        if habits.seed == "refused" and "seed" in body:
            return 400, _error("seed is not supported")
        if habits.n == "refused" and body.get("n", 1) != 1:
            return 400, _error("n must be 1")
        return None

    def _complete(self, path, body):
        habits, chat = self.habits, path.endswith("chat/completions")
        if chat:
            prompt = json.dumps(body["messages"])
            length = sum(habits.count(message["content"]) for message in body["messages"])
        else:
            prompt = body["prompt"]
            length = len(prompt) if isinstance(prompt, list) else habits.count(prompt)
            prompt = json.dumps(prompt)
        number = body.get("n", 1) if habits.n == "followed" else 1
        drawn = [self._draw(prompt, body, choice) for choice in range(number)]
        choices = [self._choice(index, chat, body, *one) for index, one in enumerate(drawn)]
        reply = {"id": "1", "model": body["model"], "choices": choices}
        if habits.usage:
            tokens = sum(len(ids) for ids, _, _ in drawn)
            reply["usage"] = {"prompt_tokens": min(length, habits.longest_prompt), "completion_tokens": tokens}
        return reply

    def _draw(self, prompt, body, choice):
        """Token ids, log-probabilities and the best of the first."""
        habits = self.habits
        temperature = {"greedy": 0.0, "fixed": 0.7}.get(habits.temperature, body["temperature"])
        if habits.temperature == "do_sample" and "do_sample" not in str(body.get("generation_config")):
            temperature = 0.0
        seed = {"ignored": next(self._unseeded), "constant": 0}.get(habits.seed, body.get("seed"))
        chance = random.Random(f"{seed if seed is not None else next(self._unseeded)}:{choice}:{prompt}")
        limit = min(body[habits.limit_field] + (0 if habits.obeys_limit else 5), habits.own_limit)
        ids, told, best = [], [], None
        while len(ids) < limit:
            options, policy = self._distribution(prompt, ids)
            sampling = _at_temperature(policy, temperature)
            place = chance.choices(range(len(options)), sampling)[0]
            shown = policy if habits.logprobs == "policy" else sampling
            told.append(math.log(shown[place]))
            best = math.log(max(shown)) if best is None else best
            ids.append(options[place])
            if ids[-1] == habits.end and len(ids) > 3:
                break
        return ids, told, best

    def _distribution(self, prompt, ids):
        habits = self.habits
        size = habits.alternatives + 1
        options = random.Random(f"{prompt}:{ids}").sample(range(len(habits.words)), size)
        return options, [habits.certainty, *[(1 - habits.certainty) / habits.alternatives] * habits.alternatives]

    def _choice(self, index, chat, body, ids, told, best):
        habits = self.habits
        ended = ids[-1] == habits.end and len(ids) > 3
        text = " ".join(habits.words[token] for token in ids if token != habits.end and habits.words[token])
        reason = habits.finish if habits.finish is not None else ("stop" if ended else "length")
        choice = {"index": index, "finish_reason": None if reason == "null" else reason}
        if habits.token_ids and body.get("return_token_ids"):
            choice["token_ids"] = ids
        wanted = habits.logprobs != "none" and body.get("logprobs") not in (None, False)
        if chat:
            choice["message"] = {"role": "assistant", "content": text}
            if habits.reasoning:
                choice["message"][habits.reasoning] = f"thought of {text.split()[0] if text else ''}"
            content = [{"token": "x", "logprob": value, "top_logprobs": [{"logprob": best}]} for value in told]
            choice["logprobs"] = {"content": content} if wanted else None
        else:
            choice["text"] = text
            tops = [{"a": best}] + [{"a": value} for value in told[1:]]
            choice["logprobs"] = {"token_logprobs": told, "top_logprobs": tops} if wanted else None
        return choice


class FaultProxy:
    """
    Hands requests on to a server and does harm to some.

    `faults` maps a kind to the share of requests it strikes: `drop_before`, `drop_after` (the work is done, the answer
    lost), `delay`, `trickle`, `truncate`, `bad_json`, `no_choices`, `more_choices`, `duplicate`, `empty`,
    `429`, `500`.
    One body is struck `strikes` times at most, and then let through; `struck` counts.
    """

    def __init__(self, upstream, faults, seed=0, strikes=2, retry_after="0.05", slowness=1.0, port=0):
        self.upstream = urlsplit(upstream)
        self.faults = dict(faults)
        self.strikes = strikes
        self.retry_after = retry_after
        self.slowness = slowness  # seconds that delay and trickle add
        self.struck = Counter()
        self.seen = Counter()
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self._http = _serve(port, _ProxyHandler, self)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    __enter__ = ModelServer.__enter__
    __exit__ = ModelServer.__exit__

    def choose(self, body):
        """The fault that strikes this request, if any."""
        with self.lock:
            draw = self.random.random()
            if not body or self.seen[body] >= self.strikes:
                return None
            for kind, share in self.faults.items():
                draw -= share
                if draw < 0:
                    self.seen[body] += 1
                    self.struck[kind] += 1
                    return kind
        return None

    def forward(self, method, path, body, headers):
        """Status, headers and body of the server's answer."""
        connection = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=120)
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
        connection.request(method, path, body, kept)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, content


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def send(self, status, content, headers=(), length=None):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self):
        self.handle_one()

    def do_POST(self):
        self.handle_one()


class _ModelHandler(_Handler):
    def handle_one(self):
        server, body = self.server.owner, self.body()
        parsed = json.loads(body) if body else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        with server.busy:
            server.requests.append((self.path, parsed, headers))
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            time.sleep(server.delay)
            status, answer = server.answer(self.path, parsed, headers)
        finally:
            with server.busy:
                server.at_once -= 1
        told = {"Retry-After": server.retry_after} if server.retry_after and status != 200 else {}
        self.send(status, json.dumps(answer).encode(), told)


class _ProxyHandler(_Handler):
    def handle_one(self):
        proxy, body = self.server.owner, self.body()
        kind = proxy.choose(body)
        if kind == "drop_before":
            return self.drop()
        if kind == "429":
            return self.send(429, json.dumps(_error("slow down")).encode(), {"Retry-After": proxy.retry_after})
        if kind == "500":
            return self.send(500, b"<html>oops</html>")
        if kind == "delay":
            time.sleep(proxy.slowness)
        if kind == "duplicate":
            proxy.forward(self.command, self.path, body, self.headers)
        status, content = proxy.forward(self.command, self.path, body, self.headers)
        return self.harm(kind, status, content)

    def harm(self, kind, status, content):
        try:
            if kind == "drop_after":
                return self.drop()
            if kind == "truncate":
                self.send(status, content[: len(content) // 2], length=len(content))
                return self.drop()
            if kind == "trickle":
                self.send(status, content[:1], length=len(content))
                for place in range(1, len(content)):
                    time.sleep(self.server.owner.slowness / 50)
                    self.wfile.write(content[place : place + 1])
                return None
            return self.send(status, self.changed(kind, content))
        except (BrokenPipeError, ConnectionResetError):  # whoever asked had waited long enough
            self.close_connection = True

    def changed(self, kind, content):
        if kind == "bad_json":
            return content[: len(content) // 2]
        if kind == "empty":
            return b""
        if kind in ("no_choices", "more_choices"):
            reply = json.loads(content)
            reply["choices"] = reply.get("choices", []) * (2 if kind == "more_choices" else 0)
            return json.dumps(reply).encode()
        return content

    def drop(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that left


def _serve(port, handler, owner):
    server = _QuietServer(("127.0.0.1", port), handler)
    server.owner = owner
    return server


def _at_temperature(probabilities, temperature):
    if temperature == 0:
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        return [1.0 if place == best else 1e-300 for place in range(len(probabilities))]
    weights = [value ** (1 / temperature) for value in probabilities]
    return [weight / sum(weights) for weight in weights]


def _error(message):
    return {"error": {"message": message, "type": "invalid_request_error", "code": None}}


def _habit(text):
    name, _, value = text.partition("=")
    kinds = {spec.name: spec.type for spec in fields(Habits)}
    kind = kinds[name]
    return name, value.lower() in ("1", "true", "yes") if kind is bool else kind(value) if kind in (
        int,
        float,
    ) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--habit", action="append", default=[], help="name=value")
    parser.add_argument("--proxy", help="server to hand requests on to")
    parser.add_argument("--fault", action="append", default=[], help="kind=share")
    arguments = parser.parse_args()
    if arguments.proxy:
        faults = {kind: float(share) for kind, _, share in (text.partition("=") for text in arguments.fault)}
        served = FaultProxy(arguments.proxy, faults, port=arguments.port)
    else:
        served = ModelServer(arguments.port, **dict(map(_habit, arguments.habit)))
    with served:
        threading.Event().wait()


if __name__ == "__main__":
    main()
