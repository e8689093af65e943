"""HTTP requests to an OpenAI-compatible server: bounded, paced, repeated where that may help, and all answered for."""

from __future__ import annotations

import asyncio
import email.utils
import functools
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from trl_r1.errors import R1Error
from trl_r1.generation.server.outcomes import BrokenReplyError, Failure, UnusableReplyError
from trl_r1.generation.server.pace import Pace
from trl_r1.generation.server.running import run_anywhere
from trl_r1.redaction import hide_secrets, remember_secret


NO_TOKEN: Final = "none"  # sent where there is none: the client would look for OPENAI_API_KEY
REFUSED: Final = {
    401: "set a valid token in the variable that server_api_key_env names",
    403: "use a token that may use the model",
    404: "check server_base_url (it ends in /v1 on most servers) and model_name_or_path",
}
PASSING: Final = frozenset({408, 409, 425, 429})  # and 500 and above: may be over in a moment
MAX_BACKOFF_SECONDS: Final = 60.0
TOLD_OF_A_BODY: Final = 200  # characters of what a server says of a fault
# The client adds headers of its own, and whatever OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS hold.
SENT_HEADERS: Final = frozenset(
    (
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    )
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """
    Where a server is, and how hard it may be asked.

    Args:
        base_url (`str`):
            Address, such as `http://localhost:8000/v1`.
        api_key_env (`str`, *optional*):
            Environment variable with the token. It is read at each batch and kept nowhere; without it none is sent,
            whatever `OPENAI_API_KEY` holds.
        max_concurrency (`int`, *optional*, defaults to `16`):
            Requests in flight.
        requests_per_minute (`float`, *optional*):
            Pace; repetitions count.
        timeout (`float`, *optional*, defaults to `600.0`):
            Seconds for a request, from sending it to the last byte of the reply.
        max_retries (`int`, *optional*, defaults to `5`):
            Repetitions of a request after an error that may pass. A 429 does not count while others are answered.
        backoff (`float`, *optional*, defaults to `0.5`):
            Seconds before the first repetition; doubled each time, with jitter. `Retry-After` goes before it.

    Raises:
        [`R1Error`]: when a value is out of range, or the address holds a password.
    """

    base_url: str
    api_key_env: str | None = None
    max_concurrency: int = 16
    requests_per_minute: float | None = None
    timeout: float = 600.0
    max_retries: int = 5
    backoff: float = 0.5

    def __post_init__(self) -> None:
        for name in ("max_concurrency", "requests_per_minute", "timeout"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise R1Error(f"server_{name}: {value} must be above 0")
        if self.max_retries < 0:
            raise R1Error(f"server_max_retries: {self.max_retries} must be at least 0")
        address = urlsplit(self.base_url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise R1Error(f"server_base_url: {self.base_url!r} is no address; write http://localhost:8000/v1, say")
        if address.password or address.username:
            raise R1Error("server_base_url: it holds a password, which would be recorded; use server_api_key_env")

    @property
    def on_this_machine(self) -> bool:
        """Whether the address is of the loopback."""
        host = urlsplit(self.base_url).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")

    def token(self) -> str:
        """
        The token to send.

        Raises:
            [`R1Error`]: when the variable is not set.
        """
        if self.api_key_env is None:
            return NO_TOKEN
        token = os.environ.get(self.api_key_env, "").strip()
        if not token:
            raise R1Error(f"server_api_key_env: ${self.api_key_env} is not set; export the server's token in it")
        remember_secret(token)
        return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Generic[T_co]):
    """
    One request.

    Args:
        path (`str`):
            Below the base address, such as `"/completions"`.
        body (`dict[str, Any]`, *optional*):
            What is posted; a `GET` without it.
        read (`Callable`):
            Turns the parsed JSON of a reply into what is wanted. Raises [`BrokenReplyError`] for one that another
            try may mend, [`UnusableReplyError`] for one that says what will stay so.
    """

    path: str
    body: dict[str, Any] | None
    read: Callable[[Any], T_co]


class ServerClient:
    """
    Sends requests and says what became of each.

    Args:
        settings ([`ServerSettings`]):
            Where and how hard.
        pace ([`Pace`], *optional*):
            Decides when a request may leave; one for the settings by default.
    """

    def __init__(self, settings: ServerSettings, pace: Pace | None = None) -> None:
        require_openai()
        settings.token()
        self.settings = settings
        self.num_requests = 0  # sent, repetitions included
        self._answered = 0
        self._pace = pace or Pace(settings.requests_per_minute)

    def ask(
        self, requests: Sequence[Request[T]], *, max_retries: int | None = None, stop_when_refused: bool = True
    ) -> list[T | Failure]:
        """
        Send requests, at most `max_concurrency` at once.

        Args:
            requests (`Sequence[Request]`):
                What to send.
            max_retries (`int`, *optional*):
                Instead of the settings' own.
            stop_when_refused (`bool`, *optional*, defaults to `True`):
                Whether a refusal that would strike every request (401, 403, 404, an empty account) raises at once.

        Returns:
            `list`: one a request, in order: what was read, or why there is none.

        Raises:
            [`R1Error`]: when the server refuses whoever asks.
        """
        retries = self.settings.max_retries if max_retries is None else max_retries
        return run_anywhere(lambda: self._ask_all(requests, retries, stop_when_refused)) if requests else []

    async def _ask_all(self, requests: Sequence[Request[T]], retries: int, stop: bool) -> list[T | Failure]:
        limit = asyncio.Semaphore(self.settings.max_concurrency)
        async with self._client() as client:
            asking = [self._ask(client, limit, request, retries, stop) for request in requests]
            tasks = [asyncio.create_task(one) for one in asking]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(
        self, client: Any, limit: asyncio.Semaphore, request: Request[T], retries: int, stop: bool
    ) -> T | Failure:
        async with limit:  # held while waiting: a server in trouble is asked less
            failed = tries = 0
            while True:
                answered = self._answered
                await self._pace.turn()
                self.num_requests += 1
                outcome = await self._ask_once(client, request)
                if not isinstance(outcome, Failure):
                    self._answered += 1
                    return outcome
                if stop and outcome.strikes_all:
                    raise R1Error(self._refusal(outcome))
                tries += 1
                # With others answered in between, a 429 says "not yet" and not that something is wrong.
                failed += not (outcome.status == 429 and self._answered > answered)
                if not outcome.passing or failed > retries:
                    return outcome.after(tries)
                await self._wait(outcome, tries)

    async def _wait(self, failure: Failure, tries: int) -> None:
        backoff = min(MAX_BACKOFF_SECONDS, self.settings.backoff * 2.0 ** (tries - 1)) * random.uniform(0.5, 1)
        if failure.retry_after is None:
            await self._pace.sleep(backoff)
        else:  # it speaks for all requests, and they should not come back all at once
            self._pace.hold(failure.retry_after)
            await self._pace.sleep(failure.retry_after + backoff * (failure.status == 429))

    async def _ask_once(self, client: Any, request: Request[T]) -> T | Failure:
        import httpx2
        import openai

        method, options = ("get", {}) if request.body is None else ("post", {"body": request.body})
        try:
            sent = getattr(client, method)(request.path, cast_to=httpx2.Response, **options)
            response = await asyncio.wait_for(sent, self.settings.timeout)
            return request.read(json.loads(response.content))
        except openai.APIStatusError as error:
            return _failure_of(error)
        except (openai.APITimeoutError, TimeoutError):
            reason = f"no whole reply in {self.settings.timeout:g} s (server_timeout)"
            return Failure(reason=reason, passing=True)
        except openai.APIConnectionError as error:
            return Failure(reason=f"no connection ({type(error.__cause__ or error).__name__})", passing=True)
        except UnusableReplyError as error:
            return Failure(reason=hide_secrets(str(error)))
        except (BrokenReplyError, UnicodeDecodeError, json.JSONDecodeError) as error:
            reason = str(error) if isinstance(error, BrokenReplyError) else "a reply that is no JSON"
            return Failure(reason=hide_secrets(reason), passing=True)

    def _refusal(self, failure: Failure) -> str:
        fix = REFUSED.get(failure.status or 0, "see to the account")
        return f"server_base_url: {hide_secrets(self.settings.base_url)} refused ({failure.reason}); {fix}"

    def _client(self) -> Any:
        import httpx2
        import openai

        async def keep_ours(request: httpx2.Request) -> None:
            for name in set(request.headers) - SENT_HEADERS:
                del request.headers[name]

        settings = self.settings
        return openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=settings.token(),
            default_headers={"Authorization": f"Bearer {settings.token()}"},  # else one of OPENAI_CUSTOM_HEADERS wins
            max_retries=0,  # its own leave broken replies alone and cannot speak for other requests
            http_client=httpx2.AsyncClient(
                verify=_certificates(),
                trust_env=not settings.on_this_machine,  # a proxy cannot reach this machine's loopback
                timeout=settings.timeout,
                follow_redirects=True,
                limits=httpx2.Limits(max_connections=settings.max_concurrency),
                event_hooks={"request": [keep_ours]},
            ),
        )


def require_openai() -> None:
    """
    Check that the client library is there.

    Raises:
        [`R1Error`]: when it is not.
    """
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise R1Error("engine: 'server' needs the package openai; pip install 'trl_r1[server]'") from error


@functools.cache
def _certificates() -> Any:
    """Those of TLS, read once: it takes a fifth of a second."""
    import httpx2

    return httpx2.create_ssl_context()


def _failure_of(error: Any) -> Failure:
    """What an answer of 400 and above says."""
    status = int(error.status_code)
    told = error.body.get("message") if isinstance(error.body, dict) else error.body
    told = " ".join(str(told or "").split())[:TOLD_OF_A_BODY]
    empty = getattr(error, "code", None) == "insufficient_quota"
    return Failure(
        reason=hide_secrets(f"HTTP {status}{': ' + told if told else ''}"),
        status=status,
        passing=(status in PASSING or status >= 500) and not empty,
        strikes_all=status in REFUSED or empty,
        retry_after=_retry_after(error.response.headers),
    )


def _retry_after(headers: Any) -> float | None:
    """Seconds a server asks to be left alone: a number, or a date."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
