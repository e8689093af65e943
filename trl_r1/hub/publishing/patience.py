"""Trying again: what may pass on the Hub, how long to wait for it, and how to say what did not."""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from trl_r1.errors import PublishError
from trl_r1.redaction import hide_secrets


if TYPE_CHECKING:
    import httpx2

PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP status of what may be well a little later
MOVED = (409, 412)  # of a commit on a branch that has grown meanwhile
FIRST_WAIT = 1.0  # seconds
LONGEST_WAIT = 60.0  # seconds
MOST_A_TRY = 60.0  # seconds of patience a failed try costs at most: it may have sent gigabytes before
SILENCE = {"connect": 30.0, "read": 100.0, "write": 100.0, "pool": None}  # seconds without a byte before we hang up
DEFAULT_PATIENCE = 600.0  # seconds
LONGEST_ASKED = 10.0  # seconds the client may sleep by itself when a server asks it to
LONGEST_REASON = 400  # letters; a proxy may send a page

_XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})")

T = TypeVar("T")

_last_answer = [0.0]  # when the Hub last said anything, by `time.monotonic`
_lock = threading.Lock()
_inside: list[Any] = []  # an entry for each `no_endless_waits` that is open, the first of them the user's factory

logger = logging.getLogger(__name__)


@dataclass
class Patience:
    """
    How long to go on with what fails for reasons that pass.

    `huggingface_hub` repeats some of its requests for about 20 seconds (uploads of weights) and others not at all
    (creating, commit, tag). This goes on from there, with waits that double and are drawn at random, and takes the
    server's word when it says for how long to wait.

    Args:
        seconds (`float`, *optional*, defaults to 600):
            Sum of waiting and of failed tries after which to give up. 0 tries once.
    """

    seconds: float = DEFAULT_PATIENCE
    spent: float = field(default=0.0, init=False)

    def attempt(self, what: str, action: Callable[[], T], *, also: tuple[int, ...] = ()) -> T:
        """
        Do `action`, again and again while it fails for a reason that passes.

        Args:
            what (`str`):
                What it does, for messages: "sending 3 files".
            action (`Callable[[], T]`):
                Safe to repeat.
            also (`tuple[int, ...]`, *optional*):
                More HTTP status codes that pass.

        Raises:
            [`PublishError`]: when it fails for another reason, or too long.
        """
        tries = 0
        while True:
            begun = time.monotonic()
            try:
                with no_endless_waits():
                    return action()
            except PublishError:
                raise
            except _failures() as error:
                tries += 1
                self.spent += _cost(error, begun)
                reason = explain(error)
                if not passes(error, also):
                    raise PublishError(f"{what}: {reason}{_advice(error)}") from error
                wait = _wait(error, tries)
                if self.spent + wait > self.seconds:
                    raise PublishError(
                        f"{what}: {reason}; given up after {tries} {'try' if tries == 1 else 'tries'} and "
                        f"{self.spent:.0f} s of patience ({self.seconds:.0f} s); try again later"
                    ) from error
                logger.warning("%s: %s; again in %.1f s", what, reason, wait)
                self.spent += wait
                time.sleep(wait)


def _cost(error: BaseException, begun: float) -> float:
    """
    Seconds of patience that a failed try costs.

    What was sent before something failed is not lost, so that costs little. Silence costs all it took: the client asks
    six times before it gives up on a request.
    """
    import httpx2

    now = time.monotonic()
    if any(isinstance(item, httpx2.TimeoutException) for item in _causes(error)):
        return now - max(begun, _last_answer[0])
    return min(now - begun, MOST_A_TRY)


def passes(error: BaseException, also: tuple[int, ...] = ()) -> bool:
    """Whether what went wrong may be well a little later."""
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled

    chain = list(_causes(error))
    if any(isinstance(item, OfflineModeIsEnabled) for item in chain):
        return False
    codes = [code for item in chain if (code := _status(item)) is not None]
    if codes:
        return codes[0] in (*PASSING, *also) or any(_is_of_store(item) for item in chain)
    # A proxy's page where JSON was due; the store of large files, which raises RuntimeError for whatever it meets.
    kinds = (httpx2.TransportError, ConnectionError, TimeoutError, json.JSONDecodeError, RuntimeError)
    return any(isinstance(item, kinds) for item in chain)


def explain(error: BaseException) -> str:
    """What went wrong in a line, without tokens."""
    chain = list(_causes(error))
    cause = next((item for item in chain if _status(item) is not None), chain[-1])
    said = getattr(cause, "server_message", None) or str(cause) or type(cause).__name__
    code = _status(cause)
    line = " ".join(str(said).split())
    line = hide_secrets(line)[:LONGEST_REASON]
    return f"HTTP {code}, {line}" if code else f"{line} ({type(cause).__name__})"


@contextmanager
def no_endless_waits() -> Iterator[None]:
    """
    Hang up on a server that says nothing: `huggingface_hub` would wait for ever. A user's own limits stay.

    The client's `timeout` is not enough, as listings and `repo_info` ask for none with each request. Nor are hooks of
    the client there is: another, which the factory makes, takes its place when it cannot connect.
    """
    from huggingface_hub.utils import _http, get_session

    with _lock:
        _inside.append(_http._GLOBAL_CLIENT_FACTORY)  # setting it by its function would close the client of others
        if len(_inside) == 1:
            _http._GLOBAL_CLIENT_FACTORY = _make_client
            _hook(get_session())
    try:
        yield
    finally:
        with _lock:
            if len(_inside) == 1:
                _http._GLOBAL_CLIENT_FACTORY = _inside[0]
                _unhook(get_session())
            _inside.pop()


def _make_client() -> httpx2.Client:
    client: httpx2.Client = _inside[0]()
    return _hook(client)


def _hook(client: httpx2.Client) -> httpx2.Client:
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], _limit_wait],
        "response": [*hooks["response"], _note_answer],
    }
    return client


def _unhook(client: httpx2.Client) -> None:
    ours = (_limit_wait, _note_answer)
    client.event_hooks = {name: [h for h in hooks if h not in ours] for name, hooks in client.event_hooks.items()}


def _limit_wait(request: httpx2.Request) -> None:
    """Put a limit wherever a request has none."""
    limits: dict[str, float | None] = request.extensions.get("timeout") or {}
    given = {name: seconds for name, seconds in limits.items() if seconds is not None}
    request.extensions["timeout"] = {**SILENCE, **given}


def _note_answer(response: httpx2.Response) -> None:
    """Note that the Hub lives; and when it asks for a long wait, let patience decide: the client would just sleep."""
    from huggingface_hub.errors import HfHubHTTPError

    _last_answer[0] = time.monotonic()
    if response.status_code in PASSING and (_asked_by(response) or 0) > LONGEST_ASKED:
        response.read()
        raise HfHubHTTPError(f"it asks for a wait of {_asked_by(response):.0f} s", response=response)


def _failures() -> tuple[type[Exception], ...]:
    """What requests raise. A stranger error is a fault of ours and shows its traceback."""
    import httpx2

    return (OSError, ValueError, RuntimeError, httpx2.HTTPError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from."""
    seen: set[int] = set()
    item: BaseException | None = error
    while item is not None and id(item) not in seen:
        seen.add(id(item))
        yield item
        item = item.__cause__


def _status(error: BaseException) -> int | None:
    """HTTP status of an answer; the xet store's client tells it in words only."""
    code = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(code, int):
        return code
    said = _XET_STATUS.search(str(error))
    return int(said[1]) if said else None


def _is_of_store(error: BaseException) -> bool:
    """Whether the store of large files said it (only that is PUT to): its links end, and a new try gets new ones."""
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError) and error.response.request.method == "PUT"


def _wait(error: BaseException, tries: int) -> float:
    """Seconds to wait: as the server says, else about 1, 2, 4, ... up to a minute."""
    asked = next((wait for item in _causes(error) if (wait := _asked(item)) is not None), None)
    if asked is not None:
        return asked
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries - 1, 10))
    return longest * random.uniform(0.5, 1.0)


def _asked(error: BaseException) -> float | None:
    """Seconds in the headers of an answer, which may be a number or a date."""
    response = getattr(error, "response", None)
    return None if response is None else _asked_by(response)


def _asked_by(response: httpx2.Response) -> float | None:
    from huggingface_hub.utils import parse_ratelimit_headers

    limit = parse_ratelimit_headers(response.headers)
    if response.status_code == 429 and limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds) + 1
    said = (response.headers.get("Retry-After") or "").strip()
    if said.isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _advice(error: BaseException) -> str:
    code = next((found for item in _causes(error) if (found := _status(item)) is not None), None)
    if code == 401:
        return "; the token is unknown there or has ended: make one with write permission and set HF_TOKEN"
    if code == 403:
        return "; the token may not write there: use one that may, or another repo_id"
    if "xet-write-token" in str(error):
        return "; if this Hub has no xet store, set HF_HUB_DISABLE_XET=1"
    if code == 404:
        return "; look at repo_id and repo_type"
    return ""
