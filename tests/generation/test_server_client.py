"""How hard a server is asked: pace, back-off, and what is asked again."""

import asyncio
import email.utils
import threading
import time

import pytest
from loopback_openai import ModelServer

from trl_r1.generation.server import Failure, ServerClient, ServerSettings
from trl_r1.generation.server.client import Request
from trl_r1.generation.server.outcomes import BrokenReplyError, UnusableReplyError
from trl_r1.generation.server.pace import Pace


class Clock:
    """Time that passes only while someone sleeps; requests take none."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        until = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, until)


@pytest.fixture
def server():
    with ModelServer() as server:
        yield server


def make_client(server, clock=None, requests_per_minute=None, **settings):
    settings = ServerSettings(**{"base_url": server.url, "backoff": 0.001, **settings})
    pace = Pace(requests_per_minute, clock, clock.sleep) if clock else None
    return ServerClient(settings, pace)


def request(number=0, read=lambda payload: payload):
    return Request(path="/echo", body={"number": number}, read=read)


def statuses(server, *scripted):
    """Let the server answer with statuses, one a request, and 200 after those."""
    script = list(scripted)

    def answer(path, body, came):
        status = script.pop(0) if script else 200
        return status, {"error": {"message": f"says {status}"}} if status != 200 else body

    server.answer = answer


def test_requests_leave_at_the_pace_that_was_set():
    clock = Clock()
    pace = Pace(30, clock, clock.sleep)
    left = []

    async def leave():
        await pace.turn()
        left.append(clock.now)

    async def all_leave():
        for _ in range(4):
            await leave()
        clock.now += 60.0  # a pause is not saved up
        for _ in range(3):
            await leave()

    asyncio.run(all_leave())
    assert left == [0.0, 2.0, 4.0, 6.0, 66.0, 68.0, 70.0]


def test_a_hold_is_for_all_requests():
    clock = Clock()
    pace = Pace(None, clock, clock.sleep)
    pace.hold(5.0)
    pace.hold(3.0)
    asyncio.run(pace.turn())
    assert clock.now == 5.0
    asyncio.run(pace.turn())
    assert clock.now == 5.0


def test_repetitions_keep_the_pace_too(server):
    statuses(server, 500, 500)
    clock = Clock()
    client = make_client(server, clock, requests_per_minute=60, max_concurrency=1)
    assert client.ask([request(number) for number in range(3)]) == [{"number": number} for number in range(3)]
    assert client.num_requests == len(server.requests) == 5
    assert clock.now >= 4.0  # five requests, a second apart


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_asked_again(server, status):
    statuses(server, status, status)
    assert make_client(server).ask([request(7)]) == [{"number": 7}]
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_what_will_not_pass_is_not(server, status):
    statuses(server, status)
    [outcome, other] = make_client(server, max_concurrency=1).ask([request(0), request(1)])
    assert outcome == Failure(reason=f"HTTP {status}: says {status}", status=status)
    assert other == {"number": 1}
    assert len(server.requests) == 2


def test_backoff_grows_with_jitter_and_ends(server):
    statuses(server, *[500] * 20)
    clock = Clock()
    [outcome] = make_client(server, clock, backoff=1.0, max_retries=8).ask([request()])
    assert outcome.reason == "HTTP 500: says 500 (9 tries)"
    assert len(clock.slept) == 8
    for place, slept in enumerate(clock.slept):
        assert min(60.0, 2.0**place) / 2 <= slept <= min(60.0, 2.0**place)
    assert len(server.requests) == 9


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(server, form):
    statuses(server, 503)
    server.retry_after = "30" if form == "seconds" else email.utils.formatdate(time.time() + 30, usegmt=True)
    clock = Clock()
    assert make_client(server, clock).ask([request(1)]) == [{"number": 1}]
    assert 28 <= clock.now <= 30
    assert len(server.requests) == 2


def test_a_wrong_retry_after_is_left_alone(server):
    statuses(server, 429)
    server.retry_after = "soon"
    assert make_client(server).ask([request(1)]) == [{"number": 1}]


def test_a_429_does_not_use_up_retries_while_others_are_answered(server):
    arrived, others = threading.Condition(), []

    def answer(path, body, headers):
        with arrived:
            if body["number"]:
                others.append(body["number"])
                arrived.notify_all()
                return 200, body
            # Two others come one after the other, so one of them is answered meanwhile
            seen = len(others)
            arrived.wait_for(lambda: len(others) >= min(seen + 2, 19), timeout=30)
            return (429, {"error": {"message": "slow down"}}) if len(others) < 19 else (200, body)

    server.answer = answer
    outcomes = make_client(server, max_retries=1, max_concurrency=2).ask([request(number) for number in range(20)])
    assert outcomes == [{"number": number} for number in range(20)]
    assert len(server.requests) > 19 + 4  # the first was told to slow down more than twice


def test_an_empty_account_is_not_asked_again(server):
    server.answer = lambda *_: (429, {"error": {"message": "no money", "code": "insufficient_quota"}})
    [outcome] = make_client(server).ask([request()], stop_when_refused=False)
    assert outcome.reason == "HTTP 429: no money"
    assert len(server.requests) == 1


def test_a_broken_reply_is_asked_for_again_and_an_unusable_one_is_not(server):
    statuses(server)
    tries = []

    def broken_once(payload):
        tries.append(payload)
        if len(tries) == 1:
            raise BrokenReplyError("half a reply")
        return payload

    def never(payload):
        raise UnusableReplyError("a refusal")

    assert make_client(server).ask([request(1, broken_once)]) == [{"number": 1}]
    assert make_client(server).ask([request(1, never)]) == [Failure(reason="a refusal")]
    assert len(server.requests) == 3


def test_no_more_are_in_flight_than_allowed(server):
    statuses(server)
    server.delay = 0.01
    make_client(server, max_concurrency=3).ask([request(number) for number in range(20)])
    assert server.most_at_once == 3


def test_an_answer_that_does_not_come_is_a_timeout(server):
    statuses(server)
    server.delay = 0.5
    [outcome] = make_client(server, timeout=0.05, max_retries=1).ask([request()])
    assert outcome.reason == "no whole reply in 0.05 s (server_timeout) (2 tries)"
    assert len(server.requests) == 2
