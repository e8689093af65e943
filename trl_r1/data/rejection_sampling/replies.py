"""What models replied, kept as they replied it: a reply that was paid for is never asked for again."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from trl_r1.errors import GenerationError
from trl_r1.rewards.endpoint import Asked, Endpoint, Messages
from trl_r1.stage_record.files import read_json_record, write_json


logger = logging.getLogger(__name__)

# The questions to ask, by name, given the replies so far. Those asked already may be among them.
Plan = Callable[["Replies"], Mapping[str, Messages]]
# Raises `ValueError` for a reply that says nothing; the name of its question and the reply go in.
Check = Callable[[str, str], Any]


class Replies:
    """
    A model's replies to the questions about one batch.

    Args:
        path (`Path`, *optional*):
            JSON file they are kept in.

    Attributes:
        texts (`dict[str, str]`): What was replied, by the question's name.
        failures (`dict[str, str]`): Why there is no usable reply, of the questions asked in this process.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.texts: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        if path is not None and path.exists():
            self.texts = dict(read_json_record(path, fix="delete the file, and what is in it is asked again"))

    def ask(self, endpoint: Endpoint, plan: Plan, check: Check, max_failures: float, role: str) -> None:
        """
        Ask what the plan asks, round by round until it asks nothing new, and keep what is replied after each.

        Args:
            endpoint ([`~trl_r1.rewards.endpoint.Endpoint`]):
                Whom to ask.
            plan, check (`Callable`):
                What to ask, and which replies to take; one that is not taken is asked for again.
            max_failures (`float`):
                Largest share of the questions that may stay without a usable reply.
            role (`str`):
                What the model is asked as, for the message.

        Raises:
            [`GenerationError`]: when more have none. The replies are kept; the next call asks for the missing ones.
            [`RewardError`]: when the endpoint refuses whoever asks.
        """
        while questions := self._unasked(plan):
            for name, outcome in asyncio.run(_ask(endpoint, questions, check)).items():
                if outcome.failure:
                    self.failures[name] = outcome.failure
                else:
                    self.texts[name] = outcome.reply
            if self.path is not None:
                write_json(self.path, self.texts)
        total = len(self.texts) + len(self.failures)
        if len(self.failures) > max_failures * total:
            reasons = [f"{role} {endpoint.model}: {failure}" for failure in self.failures.values()]
            raise GenerationError(len(self.failures), reasons, total)
        if self.failures:
            counts = Counter(map(failure_code, self.failures.values()))
            logger.warning("%s %s: %d of %d without a reply: %s", role, endpoint.model, counts.total(), total, counts)

    def _unasked(self, plan: Plan) -> dict[str, Messages]:
        known = {**self.texts, **self.failures}
        return {name: messages for name, messages in plan(self).items() if name not in known}


async def _ask(endpoint: Endpoint, questions: Mapping[str, Messages], check: Check) -> dict[str, Asked]:
    """The outcome of each question. Those of one kind, which their names begin with, go out together."""
    kinds: dict[str, list[str]] = {}
    for name in questions:
        kinds.setdefault(kind_of(name), []).append(name)
    found: dict[str, Asked] = {}
    for kind, names in kinds.items():
        asked = await endpoint.ask([questions[name] for name in names], partial(_checked, check, kind))
        found.update(zip(names, asked, strict=True))
    return found


def _checked(check: Check, kind: str, reply: str) -> str:
    check(kind, reply)
    return reply


def kind_of(name: str) -> str:
    """What a question asks for: `"summary"` of `"summary:12.0"`, the summary of sample 0 of prompt 12."""
    return name.partition(":")[0]


def failure_code(failure: str) -> str:
    """Why there is no reply, as a reason of the counts has it: `"timeout"`, `"http_500"`, `"unreadable_reply"`."""
    return failure.partition(":")[0].strip().lower().replace(" ", "_")
