"""What a recipe says about the Hub, checked without asking it; and secrets where a recipe must not have them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from trl_r1.presets import nearest
from trl_r1.redaction import ADVICE, secrets_in


ID_FIELDS: Final = ("hub_model_id", "hub_dataset_id")
# Where a result goes, which does not change what it is: a finished stage stays finished.
HUB_FIELDS: Final = (
    *("push_to_hub", *ID_FIELDS, "hub_revision", "hub_tag", "hub_private_repo", "hub_token", "hub_license"),
    *("hub_strategy", "hub_always_push"),
)
_NOT_IN_A_REF: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[/-]|[/.]$|(^|/)\.|\.lock(/|$)")
NO_REF: Final = (
    "is no name for a branch or tag, or would be taken for a commit; use letters, digits, and - _ . / between, "
    "such as 'r1_zero'"
)
_TAKEN_FOR_ANOTHER: Final = re.compile(r"refs/|[0-9a-f]{40}$")
_LICENSE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def hub_problems(values: Mapping[str, Any], given: Collection[str]) -> Iterator[str]:
    """
    Everything wrong with a recipe's `push_to_hub` and its companions, a line each.

    Args:
        values (`Mapping[str, Any]`):
            Every field, the unset ones with their default.
        given (`Collection[str]`):
            Those the user or a preset set.
    """
    for name in ID_FIELDS:
        if name in values and (values[name] or values["push_to_hub"]):
            yield from _id_problems(name, values)
    for name in ("hub_revision", "hub_tag"):
        if values.get(name) is not None and not is_git_ref(values[name]):
            yield f"{name}: {values[name]!r} {NO_REF}"
    license = values.get("hub_license")
    if license is not None and not _LICENSE.fullmatch(license):
        lower = license.lower().replace(" ", "-")
        hint = nearest(lower, ("apache-2.0", "mit", "cc-by-4.0", "openrail", "llama3.1", "other"))
        yield f"hub_license: {license!r} is not as the Hub spells licences; {hint or 'write apache-2.0, mit or other'}"
    if not values.get("push_to_hub"):
        return
    if "hub_strategy" in given and getattr(values["hub_strategy"], "value", values["hub_strategy"]) not in (
        "every_save",  # TRL's default
        "end",
    ):
        yield (
            f"hub_strategy: {values['hub_strategy']!r} has no effect, a stage is pushed once, when all of it is on "
            "disk; delete the line"
        )
    if values.get("hub_always_push"):
        yield "hub_always_push: true has no effect, nothing is pushed during training; delete the line"


def _id_problems(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """A repository name that the Hub would refuse, given or taken from the output folder."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    given, folder = values[name], Path(str(values.get("output_dir") or "output")).name
    try:
        validate_repo_id(given or folder)
    except HFValidationError:
        shown = repr(given) if given else f"missing, and the output folder's name {folder!r}"
        yield (
            f"{name}: {shown} is no repository name; write namespace/name of letters, digits, and - _ . between "
            "them, 96 at most"
        )


def is_git_ref(name: str) -> bool:
    """Whether a name may be a branch's or a tag's: by git's rules (`git check-ref-format`), and no commit's."""
    return bool(name) and name != "@" and not _NOT_IN_A_REF.search(name) and not _TAKEN_FOR_ANOTHER.match(name)


def secret_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Secrets among values that are recorded, a line each; `hub_token` and `env` are not among them."""
    for place in dict.fromkeys(secrets_in(values)):
        yield (
            f"{place}: it looks like a secret, and a recipe's values are recorded and published; name an environment "
            f"variable where the reward takes one (api_key_env), or {ADVICE} for the Hub; if it is none, rename it"
        )
