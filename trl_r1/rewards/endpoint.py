"""Questions to an OpenAI-compatible endpoint: bounded, paced, retried, and never an exception for one that fails."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from trl_r1.errors import RewardError


NO_TOKEN = "none"  # sent where there is none: huggingface_hub would send the Hub's token to any host
REFUSED = {401: "set a valid token", 403: "set a token that may use the model", 404: "check base_url and model"}
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # may be over in a moment
MAX_BACKOFF_SECONDS = 60.0

Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one question: the parsed reply, or why there is none."""

    reply: Any = None
    failure: str = ""


@dataclass(kw_only=True)
class Endpoint:
    """
    A chat endpoint, asked through [`~huggingface_hub.AsyncInferenceClient`].

    Args:
        model (`str`):
            Name of the model.
        base_url (`str`, *optional*):
            Address of the endpoint, such as `"http://localhost:8000/v1"`. Without it the Hub's inference providers.
        api_key_env (`str`, *optional*):
            Environment variable with the token. It is read at each batch and kept nowhere. By default no token is sent
            to a `base_url`, and the Hub gets its own.
        max_concurrency (`int`):
            Questions in flight.
        requests_per_minute (`float`, *optional*):
            Pace, of this process.
        timeout (`float`):
            Seconds for one request.
        deadline (`float`):
            Seconds for a batch, all repetitions included.
        max_retries (`int`):
            Repetitions of a question after an error that may pass, or a reply that cannot be read.
        backoff (`float`):
            Seconds before the first repetition; doubled each time, with jitter.
        options (`dict[str, Any]`):
            Passed to `chat_completion`: `temperature`, `max_tokens`, ...

    Raises:
        [`RewardError`]: when a value is out of range, or `base_url` holds a password.
    """

    model: str
    base_url: str | None
    api_key_env: str | None
    max_concurrency: int
    requests_per_minute: float | None
    timeout: float
    deadline: float
    max_retries: int
    backoff: float
    options: dict[str, Any]

    def __post_init__(self) -> None:
        for name in ("max_concurrency", "requests_per_minute", "timeout", "deadline"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise RewardError(f"{name}: {value} must be above 0")
        if self.max_retries < 0 or self.backoff < 0:
            raise RewardError(f"max_retries, backoff: {self.max_retries} and {self.backoff} must be at least 0")
        address = urlsplit(self.base_url or "https://example.com")
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise RewardError(f"base_url: {self.base_url!r} is no address; write http://localhost:8000/v1, say")
        if address.password or address.username:
            raise RewardError("base_url: it holds a password, which would be recorded; use api_key_env")
        self._next_slot = 0.0

    async def ask(self, questions: Sequence[Messages], read: Callable[[str], Any]) -> list[Asked]:
        """
        Ask a batch.

        Args:
            questions (`Sequence[list[dict[str, str]]]`):
                Messages of each question.
            read (`Callable`):
                Turns the text of a reply into what is wanted, or raises `ValueError` for a text that says nothing.

        Returns:
            `list[Asked]`: one a question, in order.

        Raises:
            [`RewardError`]: when the endpoint refuses whoever asks (401, 403, 404).
        """
        if not questions:
            return []
        limit = asyncio.Semaphore(self.max_concurrency)
        async with self._client() as client:
            tasks = [asyncio.ensure_future(self._ask(client, limit, question, read)) for question in questions]
            try:
                await asyncio.wait(tasks, timeout=self.deadline, return_when=asyncio.FIRST_EXCEPTION)
            finally:
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        return [Asked(failure="deadline") if task.cancelled() else task.result() for task in tasks]

    async def _ask(
        self, client: Any, limit: asyncio.Semaphore, question: Messages, read: Callable[[str], Any]
    ) -> Asked:
        async with limit:
            asked = Asked()
            for attempt in range(self.max_retries + 1):
                if attempt:
                    await asyncio.sleep(min(MAX_BACKOFF_SECONDS, self.backoff * 2.0**attempt) * random.uniform(0.5, 1))
                await self._pace()
                asked, passing = await self._ask_once(client, question, read)
                if not asked.failure or not passing:
                    break
            return asked

    async def _ask_once(self, client: Any, question: Messages, read: Callable[[str], Any]) -> tuple[Asked, bool]:
        """The outcome of one request, and whether asking again may help."""
        from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError
        from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # its httpx's own

        try:
            response = await asyncio.wait_for(
                client.chat_completion(question, model=self.model, **self.options), self.timeout
            )
            return Asked(read(response.choices[0].message.content or "")), False
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in REFUSED:
                raise RewardError(
                    f"judge: {self.base_url or 'the Hub'} refused {self.model!r} ({status}); {REFUSED[status]}"
                    + (f" in ${self.api_key_env}" if self.api_key_env and status != 404 else "")
                ) from None  # the cause holds the request, and so the token
            return Asked(failure=f"HTTP {status}"), status in PASSING
        except (InferenceTimeoutError, TimeoutError):
            return Asked(failure="timeout"), True
        except (TransportError, OSError) as error:  # no connection, or one that broke
            return Asked(failure=type(error).__name__), True
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:  # a reply of another shape
            return Asked(failure=f"unreadable reply: {error}"), True

    async def _pace(self) -> None:
        if self.requests_per_minute is None:
            return
        slot = max(time.monotonic(), self._next_slot)
        self._next_slot = slot + 60 / self.requests_per_minute
        await asyncio.sleep(slot - time.monotonic())

    def _client(self) -> Any:
        token = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
        if self.api_key_env and not token:
            raise RewardError(f"api_key_env: ${self.api_key_env} is not set; export the judge's token in it")
        from huggingface_hub import AsyncInferenceClient

        if self.base_url is None:
            return AsyncInferenceClient(model=self.model, api_key=token or None, timeout=self.timeout)

        class Client(AsyncInferenceClient):
            async def _get_async_client(self) -> Any:
                # Its hooks refuse every host when HF_HUB_OFFLINE is set, a judge on the same machine too
                client: Any = await super()._get_async_client()
                client.event_hooks = {**client.event_hooks, "request": []}
                return client

        return Client(base_url=self.base_url, api_key=token or NO_TOKEN, timeout=self.timeout)
