"""What a secret is, and how it is kept out of records, copies, logs and other processes.

A recipe may hold a secret in two places only, `hub_token` and `env`. Neither is written down again: the run uses it
and forgets it. Everywhere else a recipe's values go into records and onto cards, so a secret there is refused.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final


REDACTED: Final = "[redacted]"
ADVICE: Final = "set HF_TOKEN in the environment or use `hf auth login`"
LEAST_LENGTH: Final = 8  # of a value that is looked for in text; a shorter one would occur by chance

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ALWAYS: Final = frozenset(
    ("SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "CREDENTIALS", "AUTHORIZATION")
)
_IN_CAPITALS: Final = frozenset(("KEY", "KEYS", "PASS", "PAT"))  # in a variable of the environment
_BEFORE_KEY: Final = frozenset(("API", "ACCESS", "SECRET", "PRIVATE", "AUTH", "SSH", "SIGNING", "ENCRYPTION"))
# `api_key_env` names a variable and `token_path` a file: neither is the secret itself.
_NAMES_A_PLACE: Final = frozenset(("ENV", "FILE", "PATH", "DIR", "COLUMN", "NAME"))
# The other tokens of this field: `eos_token`, `mask_token_id`, `loss_per_token`, `token_level`.
_BEFORE_TEXT_TOKEN: Final = frozenset(
    (
        *("PAD", "EOS", "BOS", "UNK", "SEP", "CLS", "MASK", "IMAGE", "VIDEO", "AUDIO", "STOP", "SPECIAL"),
        *("PER", "NEXT", "FIRST", "LAST", "EACH", "BEGIN", "START", "END", "NEW", "THINK"),
    )
)
_AFTER_TEXT_TOKEN: Final = frozenset(
    ("ID", "IDS", "TYPE", "LEVEL", "COUNT", "LIMIT", "BUDGET", "LENGTH", "WEIGHT", "WEIGHTS", "MASK", "ENTROPY")
)
# A token of a text, such as `<answer>`, `[SEP]` or `|`; no token of a service looks like it.
_ENDS_IN_TOKEN: Final = re.compile(r"token$")  # of a field; a variable of the environment is in capitals
_TEXT_TOKEN: Final = re.compile(r".*[<>\[\]{}|\\].*|\W*", re.DOTALL)
_SWITCH: Final = frozenset(("0", "1", "true", "false", "yes", "no", "on", "off"))  # HF_HUB_DISABLE_IMPLICIT_TOKEN=1
# Tokens that tell themselves by their form: Hub, OpenAI-like, GitHub, AWS, a header, and inside an address a password
# (up to the last @ before the path) or a signature, as links to the store of large files have one.
_KNOWN_FORMS: Final = re.compile(
    r"\bhf_[A-Za-z0-9]{24,}\b|\bsk-[A-Za-z0-9_-]{20,}|\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}\b"
    r"|\bAKIA[0-9A-Z]{16}\b|(?<=\bBearer )(?=[^\s0-9]*[0-9])[A-Za-z0-9._~+/=-]{8,}|(?<=://)[^\s/:@?#\"'`<>]*:[^\s/?#\"'`<>]+(?=@)"
    r"|(?i:(?<=[?&])(?:(?:x-amz-)?(?:signature|credential|security-token)|sig|token|access_token|api[_-]?key|key)"
    r"=[^\s&#\"'`<>]{8,})"
)

_remembered: set[str] = set()


def is_secret_name(name: str) -> bool:
    """
    Whether a field or variable of this name holds a secret.

    Args:
        name (`str`):
            For example `"hub_token"` or `"WANDB_API_KEY"`, which do, or `"eos_token"`, `"max_tokens"`, `"tokenizer"`
            and `"api_key_env"`, which do not.
    """
    words = [word.upper() for word in _WORD.findall(name)]
    if not words or words[-1] in _NAMES_A_PLACE:
        return False
    if not _ALWAYS.isdisjoint(words) or words[-1].endswith("PASSWORD"):  # PGPASSWORD
        return True
    pairs = list(zip(["", *words], words, [*words[1:], ""], strict=False))
    if name.isupper() and not _IN_CAPITALS.isdisjoint(words):
        return True
    if any(word in ("KEY", "KEYS", "TOKENS") and before in _BEFORE_KEY for before, word, _ in pairs):
        return True  # a key alone is one of a mapping
    return any(
        word == "TOKEN" and before not in _BEFORE_TEXT_TOKEN and after not in _AFTER_TEXT_TOKEN
        for before, word, after in pairs
    )


def is_secret(name: str, value: Any) -> bool:
    """
    Whether a setting is a secret, by its name or by the form of its value.

    Args:
        name (`str`):
            Of the field or variable.
        value:
            Its value. A switch is none (`token: true`, "use the login"), nor is what marks a place in a text
            (`answer_token: <answer>`); numbers may be passwords.
    """
    if not isinstance(value, str):
        return isinstance(value, int | float) and not isinstance(value, bool) and is_secret_name(name)
    if _KNOWN_FORMS.search(value):
        return True
    if not value or value.lower() in _SWITCH:
        return False
    return is_secret_name(name) and not (_ENDS_IN_TOKEN.search(name) and _TEXT_TOKEN.fullmatch(value))


def redact_argv(argv: Sequence[str]) -> list[str]:
    """A command line without its secrets: `--hub_token X` and `--hub_token=X` are left out."""
    kept, words = [], iter(argv)
    for word in words:
        flag, equals, _ = word.partition("=")
        if flag.startswith("--") and is_secret_name(flag):
            if not equals:
                next(words, None)
            continue
        kept.append(word)
    return kept


def redact_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping without the entries that [`secrets_in`] finds, however deep."""
    return {name: _redact(value) for name, value in values.items() if not _is_secret_entry(name, value)}


def _redact(value: Any) -> Any:
    if isinstance(value, Mapping):
        return redact_values(value)
    return [_redact(item) for item in value] if isinstance(value, list) else value


def _is_secret_entry(name: Any, value: Any) -> bool:
    """Whether one entry of a mapping is a secret, or a list of them."""
    return any(is_secret(str(name), item) for item in (value if isinstance(value, list) else [value]))


def secrets_in(value: Any, place: str = "") -> Iterator[str]:
    """Where a parsed YAML value holds secrets by their name or by their form: `"reward_funcs.get_x.api_key"`."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            inside = f"{place}.{name}" if place else str(name)
            if _is_secret_entry(name, item):
                yield inside
            else:
                yield from secrets_in(item, inside)
    elif isinstance(value, list):
        for item in value:
            yield from secrets_in(item, place)
    elif is_secret("", value):
        yield place


def without_secrets(environment: Mapping[str, str], keep: Iterable[str] = ()) -> dict[str, str]:
    """
    The environment of a process that has no business with tokens.

    Args:
        environment (`Mapping[str, str]`):
            All variables.
        keep (`Iterable[str]`, *optional*):
            Variables it may have although they hold secrets.
    """
    kept = set(keep)
    return {name: value for name, value in environment.items() if name in kept or not is_secret(name, value)}


def remember_secret(value: str | None) -> None:
    """Hide a value in whatever [`hide_secrets`] is given from now on, in this process."""
    if value and len(value) >= LEAST_LENGTH:
        _remembered.add(value)


def hide_secrets(text: str) -> str:
    """Text for a log or a message: remembered secrets, those of the environment and what looks like one replaced."""
    known = {value for name, value in os.environ.items() if len(value) >= LEAST_LENGTH and is_secret_name(name)}
    for value in sorted(known | _remembered, key=len, reverse=True):
        text = text.replace(value, REDACTED)
    return hide_forms(text)


def hide_forms(text: str) -> str:
    """Text with what looks like a token, by its form alone, replaced."""
    return _KNOWN_FORMS.sub(REDACTED, text)


class HidingRecord(logging.LogRecord):
    """Log record without secrets in its message: libraries show theirs through handlers of their own."""

    def getMessage(self) -> str:  # noqa: N802  (logging's name)
        """The message."""
        return hide_secrets(super().getMessage())


class HidingFormatter(logging.Formatter):
    """Log lines, tracebacks included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return hide_secrets(super().format(record))
