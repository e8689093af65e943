"""Whether a token may publish to a place on the Hub: asked before training, not at its end."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from trl_r1.errors import PublishError
from trl_r1.hub.publishing.patience import Patience
from trl_r1.hub.publishing.target import HubTarget
from trl_r1.recipe.hub_checks import NO_REF, is_git_ref
from trl_r1.redaction import hide_forms, remember_secret


if TYPE_CHECKING:
    from huggingface_hub import HfApi

REPO_TYPES = ("model", "dataset", "space")
WRITING_ROLES = ("write", "admin")  # of tokens and of members of an organisation
LATER = "train without push_to_hub, and run `trl-r1 publish FOLDER` afterwards"
TOKEN_PAGE = "https://huggingface.co/settings/tokens"
ANSWER_LIFETIME = 300.0  # seconds
CHECK_PATIENCE = 60.0  # seconds: somebody waits for training to begin

_answers: dict[tuple[str, str], tuple[float, Mapping[str, Any]]] = {}  # by endpoint and token

logger = logging.getLogger(__name__)


def check_target(target: HubTarget, *, patience: float = CHECK_PATIENCE, new: bool = False) -> HubTarget:
    """
    Ask the Hub whether `target` may be written to. Run it before training.

    Nothing is made there, but for a private repository where the token's rights cannot be read from the token.

    Args:
        target ([`HubTarget`]):
            Where to publish.
        patience (`float`, *optional*, defaults to 60):
            Seconds to go on asking a Hub that fails to answer.
        new (`bool`, *optional*, defaults to `False`):
            Whether what will be published is still to be made, so that its tag must not exist yet.

    Returns:
        [`HubTarget`]: with its full `repo_id`, the new one if it was renamed, and with the token that was found.

    Raises:
        [`PublishError`]: when a name is not valid, the Hub cannot be reached, or the token may not write there.
    """
    return ask_for(target, Patience(patience), new=new)


def ask_for(target: HubTarget, trying: Patience, *, new: bool = False, make: bool = False) -> HubTarget:
    """[`check_target`] as one of steps that share their patience; with `make`, the repository is there then."""
    from huggingface_hub import HfApi

    check_names(target)
    token = find_token(target)
    api = HfApi(token=token)
    who = whose_token(api, token, trying)
    target = dataclasses.replace(target, repo_id=full_name(target.repo_id, who), token=token)
    certain = _may_write(target, who)
    if (found := find_repository(api, target, trying)) is not None:
        if found.id != target.repo_id:
            logger.warning("%s is named %s there", target.repo_id, found.id)
            target = dataclasses.replace(target, repo_id=found.id)  # for cards and records; the old name may end
        if target.private and found.private is False:
            logger.warning("%s exists and is public, so what is sent there is too", target.repo_id)
        trying.attempt(
            f"asking whether {target.repo_id!r} may be written to",
            lambda: api.auth_check(target.repo_id, repo_type=target.repo_type, write=True),
        )
        if new and target.tag is not None:
            _check_free(api, target, target.tag, trying)
    elif make or not certain:
        _make(api, target, trying)
    return target


def check_collections(namespace: str, token: str, *, patience: float = CHECK_PATIENCE) -> str:
    """
    Check that a fine-grained token may make collections, which is a permission of its own.

    Returns:
        `str`: the namespace as the Hub spells it.

    Raises:
        [`PublishError`]: when it may not, or the Hub cannot be asked.
    """
    from huggingface_hub import HfApi

    who = whose_token(HfApi(token=token), token, Patience(patience))
    namespace = full_name(f"{namespace}/x", who).split("/")[0]
    scopes = _scopes(who)
    if scopes is not None and namespace.lower() not in _allowed(scopes, {"collection.write"}):
        raise PublishError(
            f"token: its permissions do not include writing to collections of {namespace!r} (collection.write); add "
            f"them at {TOKEN_PAGE}, or publish each stage's folder by itself"
        )
    return namespace


def whose_token(api: HfApi, token: str, trying: Patience) -> Mapping[str, Any]:
    """What the Hub says of a token. It allows few such questions, so an answer serves for some minutes."""
    key, now = (api.endpoint, token), time.monotonic()
    if key not in _answers or now - _answers[key][0] > ANSWER_LIFETIME:
        _answers[key] = (now, trying.attempt(f"asking {hide_forms(api.endpoint)} whose the token is", api.whoami))
    return _answers[key][1]


def check_names(target: HubTarget) -> None:
    """
    Check what can be known of a target without the Hub: the form of its names.

    Raises:
        [`PublishError`]: naming field, value and rule.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    if target.repo_type not in REPO_TYPES:
        raise PublishError(f"repo_type: {target.repo_type!r} is none of {', '.join(REPO_TYPES)}")
    if not target.repo_id:
        raise PublishError("repo_id: missing; give one such as 'me/my-r1' (hub_model_id in a recipe)")
    try:
        validate_repo_id(target.repo_id)
    except HFValidationError as error:
        raise PublishError(f"repo_id: {target.repo_id!r} is no name on the Hub ({error})") from error
    for name, value in (("revision", target.revision), ("tag", target.tag)):
        if value is not None and not is_git_ref(value):
            raise PublishError(f"{name}: {value!r} {NO_REF}")


def find_token(target: HubTarget) -> str:
    """
    The target's token, or the one that `huggingface_hub` finds. Never shown.

    Raises:
        [`PublishError`]: when the Hub is switched off here, or there is no token.
    """
    from huggingface_hub import constants, get_token

    if constants.is_offline_mode():
        raise PublishError(f"HF_HUB_OFFLINE: is set, so the Hub cannot be asked; unset it, or {LATER}")
    token = (target.token or get_token() or "").strip()
    if not token:
        raise PublishError(
            f"token: none found; set HF_TOKEN to one with write permission ({TOKEN_PAGE}), or run `hf auth login`, "
            f"or {LATER}"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise PublishError(f"token: has letters that no token has; copy it again from {TOKEN_PAGE}")
    remember_secret(token)
    return token


def full_name(repo_id: str, who: Mapping[str, Any]) -> str:
    """A repository's name with its namespace, spelt as the Hub spells it: there, upper and lower case are the same."""
    given, _, name = repo_id.rpartition("/")
    names = [str(item.get("name")) for item in (who, *(who.get("orgs") or []))]
    namespace = next((known for known in names if known.lower() == given.lower()), given or names[0])
    return f"{namespace}/{name}"


def _may_write(target: HubTarget, who: Mapping[str, Any]) -> bool:
    """Whether the token's rights say so for certain; raises when they say no."""
    namespace = target.repo_id.split("/")[0]
    user = str(who.get("name"))
    organisations = {str(item.get("name")): item for item in who.get("orgs") or []}
    token = (who.get("auth") or {}).get("accessToken") or {}
    role = token.get("role")
    if role == "read":
        raise PublishError(f"token: its role is 'read'; make one with write permission at {TOKEN_PAGE}")
    own = namespace.lower() == user.lower()  # the Hub ignores case here
    member = next((item for name, item in organisations.items() if name.lower() == namespace.lower()), None)
    if (scopes := _scopes(who)) is not None:
        return _scoped(target, namespace, scopes)
    if not own and member is None:
        _wrong_namespace(target, namespace, user, organisations)
    if not own and member is not None:
        if member.get("roleInOrg") == "read":
            raise PublishError(
                f"repo_id: {target.repo_id!r} is of {namespace!r}, where {user!r} may only read; ask an admin of it "
                f"for the role 'write', or use '{user}/{target.repo_id.split('/')[1]}'"
            )
        return role in WRITING_ROLES and member.get("roleInOrg") in WRITING_ROLES
    return role in WRITING_ROLES


def _scoped(target: HubTarget, namespace: str, scopes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a fine-grained token writes to the namespace; to the repository alone, it might not make that."""
    written = _allowed(scopes, {"repo.write", "repo.content.write"})
    if namespace.lower() in written or target.repo_id.lower() in written:
        return namespace.lower() in written
    raise PublishError(
        f"token: its permissions do not include writing to repositories of {namespace!r} (repo.write), and repo_id is "
        f"{target.repo_id!r}; add them at {TOKEN_PAGE}"
    )


def _scopes(who: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    """What a fine-grained token may do; `None` for other tokens."""
    token = (who.get("auth") or {}).get("accessToken") or {}
    scopes: Sequence[Mapping[str, Any]] | None = (token.get("fineGrained") or {}).get("scoped")
    return scopes if token.get("role") == "fineGrained" else None


def _allowed(scopes: Sequence[Mapping[str, Any]], permissions: set[str]) -> set[str]:
    """Users, organisations and repositories, in lower case, where one of the permissions is given."""
    return {
        str((scope.get("entity") or {}).get("name", "")).lower()
        for scope in scopes
        if permissions & set(scope.get("permissions") or [])
    }


def _wrong_namespace(target: HubTarget, namespace: str, user: str, organisations: Mapping[str, Any]) -> NoReturn:
    others = [name for name, item in organisations.items() if item.get("roleInOrg") != "read"]
    may = ", ".join(repr(name) for name in (user, *others))
    raise PublishError(
        f"repo_id: {target.repo_id!r} is of {namespace!r}, and the token is of {user!r}, who may write to {may}; "
        f"use '{user}/{target.repo_id.split('/')[1]}', or ask {namespace!r} to let you in"
    )


def find_repository(api: HfApi, target: HubTarget, trying: Patience) -> Any:
    """What the Hub says of the repository; `None` when there is none that the token may see."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    def ask() -> Any:
        try:
            return api.repo_info(target.repo_id, repo_type=target.repo_type)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None

    return trying.attempt(f"looking for {target.repo_type} {target.repo_id!r}", ask)


def _check_free(api: HfApi, target: HubTarget, tag: str, trying: Patience) -> None:
    refs = trying.attempt("listing tags", lambda: api.list_repo_refs(target.repo_id, repo_type=target.repo_type))
    for found in refs.tags:
        if found.name == tag:
            raise taken(tag, found.target_commit)


def taken(tag: str, commit: str) -> PublishError:
    """The error for a tag that is on another commit."""
    return PublishError(f"tag: {tag!r} is on commit {commit[:12]} already, and tags do not move; give another tag")


def _make(api: HfApi, target: HubTarget, trying: Patience) -> None:
    trying.attempt(
        f"making {target.repo_type} {target.repo_id!r}",
        lambda: api.create_repo(
            target.repo_id,
            repo_type=target.repo_type,
            private=target.private,
            exist_ok=True,
            space_sdk="static" if target.repo_type == "space" else None,
        ),
    )
