"""What is tried again, how long is waited, and what is said when it was in vain."""

import json
import random
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest
from huggingface_hub import HfApi, close_session, get_session
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from trl_r1.errors import PublishError
from trl_r1.hub.publishing import patience
from trl_r1.hub.publishing.patience import FIRST_WAIT, LONGEST_WAIT, Patience, _note_answer, explain, passes
from trl_r1.redaction import remember_secret


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were waited, without waiting."""
    found = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def answer(status, text="", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=headers, request=httpx2.Request("GET", "http://hub.test/api"))
    return HfHubHTTPError(text or f"status {status}", response=response, server_message=text or None)


def failing(error, times=10**9):
    """An action that fails some times, then is done."""
    left = [times]

    def action():
        if left[0]:
            left[0] -= 1
            raise error
        return "done"

    return action


@pytest.mark.parametrize(
    "error",
    [
        *(answer(status) for status in (408, 425, 429, 500, 502, 503, 504)),
        httpx2.ReadTimeout("slow"),
        httpx2.ConnectError("refused"),
        httpx2.RemoteProtocolError("cut off"),
        ConnectionResetError(),
        json.JSONDecodeError("a page of a proxy", "<html>", 0),
        RuntimeError("of the store of large files"),
        RuntimeError("HTTP status server error (503 Service Unavailable), domain: http://x/xet"),
    ],
    ids=repr,
)
def test_what_passes_is_tried_again(error, waits):
    assert Patience(600).attempt("sending", failing(error, times=3)) == "done"
    assert len(waits) == 3


@pytest.mark.parametrize(
    "error",
    [
        *(answer(status) for status in (400, 401, 402, 403, 404, 409, 413)),
        OfflineModeIsEnabled("offline"),
        ConnectionError("HTTP status client error (404 Not Found), domain: http://x/xet-write-token/main"),
        FileNotFoundError("weights"),
        ValueError("Invalid metadata in README.md."),
    ],
    ids=repr,
)
def test_what_does_not_pass_is_said_at_once(error, waits):
    with pytest.raises(PublishError, match=r"^sending: "):
        Patience(600).attempt("sending", failing(error))
    assert not waits


def test_what_was_wrapped_is_looked_into(waits):
    def wrap(inner):
        try:
            raise RuntimeError("Error while uploading") from inner
        except RuntimeError as error:
            return error

    assert not passes(wrap(answer(403)))
    assert passes(wrap(answer(503)))
    assert passes(wrap(httpx2.WriteError("cut off")))


def test_waits_double_with_jitter_and_have_a_limit(waits):
    with pytest.raises(PublishError, match=r"given up after \d+ tries and \d+ s of patience \(1000 s\)"):
        Patience(1000).attempt("sending", failing(answer(500)))
    for n, wait in enumerate(waits):
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2**n)
        assert longest / 2 <= wait <= longest
    assert len(set(waits)) == len(waits)
    assert 1000 - LONGEST_WAIT <= sum(waits) <= 1000


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry_After": "7"}, 7),
        ({"RateLimit": '"api";r=0;t=55', "RateLimit_Policy": '"fixed window";"api";q=500;w=300'}, 56),
    ],
)
def test_the_hubs_word_is_taken(headers, expected, waits):
    Patience(4000).attempt("sending", failing(answer(429, **headers), times=1))
    assert waits == [expected]


def test_the_hub_may_name_a_date(waits):
    date = datetime.now(UTC) + timedelta(hours=1)
    Patience(4000).attempt("sending", failing(answer(503, Retry_After=format_datetime(date)), times=1))
    assert waits == [pytest.approx(3600, abs=300)]  # from now, whatever took its time in between


def test_a_wait_beyond_all_patience_is_not_begun(waits):
    with pytest.raises(PublishError, match="given up after 1 try"):
        Patience(600).attempt("sending", failing(answer(429, Retry_After="3600")))
    assert not waits


def test_no_patience_is_one_try(waits):
    with pytest.raises(PublishError, match="after 1 try"):
        Patience(0).attempt("sending", failing(answer(500)))
    assert not waits


def test_patience_is_shared_by_all_steps(waits, monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda _, high: high)
    trying = Patience(20)
    with pytest.raises(PublishError):
        trying.attempt("one", failing(answer(500)))
    before = len(waits)
    with pytest.raises(PublishError):
        trying.attempt("two", failing(answer(500)))
    assert (before, len(waits)) == (4, 6)  # 1 + 2 + 4 + 8, then 1 + 2


@pytest.mark.parametrize(
    ("error", "answered", "tries"),
    [
        (answer(500), False, 11),  # what it sent before is not lost: 60 s each
        (httpx2.ReadTimeout("silent"), False, 1),
        (httpx2.ReadTimeout("silent"), True, 13),  # 50 s each
    ],
)
def test_silence_costs_its_time_and_work_does_not(waits, monkeypatch, error, answered, tries):
    monkeypatch.setattr(random, "uniform", lambda _, high: 0.0)
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(patience, "_last_answer", [0.0])

    def action():
        clock[0] += 1000
        if answered:
            _note_answer(httpx2.Response(200))
        clock[0] += 50
        raise error

    with pytest.raises(PublishError, match=f"given up after {tries} "):
        Patience(600).attempt("sending", action)


def test_a_long_wait_that_the_hub_asks_for_is_not_left_to_the_client(online, waits):
    online.seed("me/x")
    online.fault("GET", "/tree/", status=429, retry_after=3600, times=None)
    with pytest.raises(PublishError, match=r"HTTP 429, .*given up after 1 try"):
        Patience(600).attempt("listing files", lambda: list(HfApi().list_repo_tree("me/x")))
    assert not waits


def test_a_client_made_anew_hangs_up_too(online, monkeypatch):
    """`huggingface_hub` makes another when it cannot connect, between two tries of its own."""
    monkeypatch.setitem(patience.SILENCE, "read", 0.2)
    online.seed("me/x")
    online.fault("GET", "/api/models/", delay=30, times=None)
    before = [hook for hooks in get_session().event_hooks.values() for hook in hooks]

    def action():
        close_session()
        HfApi().model_info("me/x")

    with pytest.raises(PublishError, match="ReadTimeout"):
        Patience(0).attempt("looking", action)
    assert [hook for hooks in get_session().event_hooks.values() for hook in hooks] == before
    close_session()
    assert [hook for hooks in get_session().event_hooks.values() for hook in hooks] == before


@pytest.mark.parametrize("text", ["your hf_abcdefghijklmnopqrstuvwxyzABCDEF is bad", "odd-secret-of-ours is bad"])
def test_a_token_that_comes_back_is_not_shown(text):
    remember_secret("odd-secret-of-ours")
    said = explain(answer(401, text))
    assert "is bad" in said
    assert not {"hf_abcdefghijklmnopqrstuvwxyzABCDEF", "odd-secret-of-ours"} & set(said.split())


def test_a_page_is_cut_short():
    assert len(explain(answer(502, "x" * 10_000))) < 500
