"""Which model a server serves, and whether it minds the name at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trl_r1.errors import R1Error
from trl_r1.generation.server.client import REFUSED, Request, ServerClient
from trl_r1.generation.server.dialect import Dialect, Draw, Route
from trl_r1.generation.server.outcomes import BrokenReplyError, Failure
from trl_r1.generation.server.replies import read_reply


NO_SUCH_MODEL: Final = "trl-r1-asks-for-a-model-that-is-not-there"
TOLD: Final = 8  # names of models in one message


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """
    What the server says of the model.

    Args:
        identity (`dict[str, Any]`):
            What of it decides the text.
        context_length (`int`, *optional*):
            Tokens of prompt and completion together.
        notes (`tuple[str, ...]`):
            What is not known, a line each.
    """

    identity: dict[str, Any]
    context_length: int | None = None
    notes: tuple[str, ...] = ()


def find_model(client: ServerClient, model: str) -> ServedModel:
    """
    Look a model up in the server's list.

    Args:
        client ([`ServerClient`]):
            To ask with.
        model (`str`):
            Its name.

    Raises:
        [`R1Error`]: when the server refuses whoever asks, cannot be reached, or serves other models whatever name it
            is given.
    """
    [listed] = client.ask(
        [Request(path="/models", body=None, read=_read_list)], max_retries=1, stop_when_refused=False
    )
    if isinstance(listed, Failure):
        if listed.status in (401, 403):
            raise R1Error(f"server_base_url: the server refused ({listed.reason}); {REFUSED[listed.status]}")
        if listed.status is None and listed.passing:
            raise R1Error(
                f"server_base_url: {client.settings.base_url} cannot be reached ({listed.reason}); start the server, "
                "or mend the address"
            )
        return ServedModel(identity={}, notes=(f"models are not listed ({listed.reason})",))
    entry = next((item for item in listed if item["id"] == model), None)
    if entry is not None:
        length = entry.get("max_model_len")
        return ServedModel(
            identity={name: entry[name] for name in ("root", "owned_by") if isinstance(entry.get(name), str)},
            context_length=length if type(length) is int and length > 0 else None,
        )
    if _takes_any_name(client):
        names = ", ".join(repr(item["id"]) for item in listed[:TOLD])
        raise R1Error(
            f"model_name_or_path: the server does not list {model!r}, and takes any name without a word; give the "
            f"name of what it serves: {names}"
        )
    return ServedModel(identity={}, notes=("the model is not in the server's list",))


def _read_list(payload: Any) -> list[Mapping[str, Any]]:
    entries = payload.get("data") if isinstance(payload, Mapping) else None
    if not isinstance(entries, list):
        raise BrokenReplyError("a list of models that is none")
    return [entry for entry in entries if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)]


def _takes_any_name(client: ServerClient) -> bool:
    plain: dict[str, Any] = dict.fromkeys(("neutral", "token_ids", "logprobs", "seed"), False)
    draw = Draw(temperature=0.0, top_p=1.0, max_tokens=1, seed=0)
    requests = [
        Request(path=route.path, body=Dialect(route=route, **plain).body(NO_SUCH_MODEL, prompt, draw), read=read_reply)
        for route, prompt in ((Route.CHAT, [{"role": "user", "content": "1 + 1 ="}]), (Route.TEXT, "1 + 1 ="))
    ]
    outcomes = client.ask(requests, max_retries=0, stop_when_refused=False)
    return any(not isinstance(outcome, Failure) for outcome in outcomes)
