"""Whether a token may publish is found out before training, and said so that it can be mended."""

import logging
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants

from trl_r1 import redaction
from trl_r1.errors import PublishError
from trl_r1.hub import HubTarget, check_target
from trl_r1.hub.publishing import access
from trl_r1.hub.publishing.access import check_names


def changing(hub):
    return [request for request in hub.requests if request.method not in ("GET", "HEAD")]


@pytest.mark.parametrize("repo_id", ["me/x", "lab/x", "x"])
def test_own_places_are_fine_and_nothing_is_made(online, repo_id):
    target = check_target(HubTarget(repo_id=repo_id))
    assert target.repo_id == (repo_id if "/" in repo_id else "me/x")
    assert not changing(online)


def test_an_existing_repository_is_asked_for(online):
    online.seed("me/x")
    check_target(HubTarget(repo_id="me/x"))
    assert any("/auth-check/write" in request.path for request in online.requests)


@pytest.mark.parametrize(
    ("user", "repo_id", "message"),
    [
        (
            {"name": "me", "token": "hf_other", "role": "read"},
            "me/x",
            "token: its role is 'read'",
        ),
        (
            {"name": "me", "token": "hf_other"},
            "stranger/x",
            r"'stranger/x' .* may write to 'me', 'lab', 'guild'; use",
        ),
        ({"name": "me", "token": "hf_other"}, "club/x", r"repo_id: 'club/x' is of 'club', where 'me' may only read"),
        (
            {"name": "me", "token": "hf_other", "role": "fineGrained", "scopes": {"me": ["repo.content.read"]}},
            "me/x",
            r"token: its permissions do not include writing to repositories of 'me' \(repo\.write\)",
        ),
        (
            {"name": "me", "token": "hf_other", "role": "fineGrained", "scopes": {"me": ["repo.write"]}},
            "lab/x",
            "token: its permissions do not include writing to repositories of 'lab'",
        ),
    ],
)
def test_what_a_token_may_not_do_is_named(online, user, repo_id, message):
    online.add_user(**user)
    with pytest.raises(PublishError, match=message) as raised:
        check_target(HubTarget(repo_id=repo_id, token=user["token"]))
    assert user["token"] not in str(raised.value)
    assert not changing(online)


@pytest.mark.parametrize(("given", "spelt"), [("ME/x", "me/x"), ("Lab/X", "lab/X")])
def test_a_namespace_is_spelt_as_the_hub_spells_it(online, given, spelt):
    assert check_target(HubTarget(repo_id=given)).repo_id == spelt


def test_that_a_repository_is_public_is_said_before_training(online, caplog):
    online.seed("me/x")
    check_target(HubTarget(repo_id="me/x"))
    assert "me/x exists and is public" in caplog.text


def test_a_token_for_one_repository_that_is_not_there_is_found_out(online):
    online.add_user("me", token="hf_fine", role="fineGrained", scopes={"me/gone": ["repo.write"]})
    with pytest.raises(PublishError, match=r"making model 'me/gone': HTTP 403"):
        check_target(HubTarget(repo_id="me/gone", token="hf_fine"))


@pytest.mark.parametrize("scope", ["lab", "lab/x"])
def test_a_fine_grained_token_may_do_what_it_says(online, scope):
    if scope == "lab/x":
        online.seed("lab/x")
    online.add_user("me", token="hf_fine", role="fineGrained", scopes={scope: ["repo.write"]})
    assert check_target(HubTarget(repo_id="lab/x", token="hf_fine")).token == "hf_fine"


def test_where_rights_cannot_be_read_a_private_repository_is_made(online):
    check_target(HubTarget(repo_id="guild/x", private=True))  # contributors write to what they made themselves
    assert online.repository("guild/x").private


def test_an_unknown_token_is_named_and_not_shown(online):
    with pytest.raises(PublishError, match=r"HTTP 401.*the token is unknown there or has ended") as raised:
        check_target(HubTarget(repo_id="me/x", token="hf_unknownUnknown"))
    assert "hf_unknownUnknown" not in str(raised.value)


def test_without_a_token(online, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(PublishError, match=r"token: none found; set HF_TOKEN .*`hf auth login`"):
        check_target(HubTarget(repo_id="me/x"))
    for token in ("hf_a\nb", "hf_a b", "hf_ü"):
        with pytest.raises(PublishError, match="token: has letters that no token has"):
            check_target(HubTarget(repo_id="me/x", token=token))


def test_a_token_of_no_known_form_is_hidden_once_it_was_used(online, monkeypatch):
    monkeypatch.setattr(redaction, "_remembered", set())
    online.add_user("other", token="of-no-known-form")
    check_target(HubTarget(repo_id="other/x", token="of-no-known-form"))
    assert redaction.hide_secrets("sent with of-no-known-form") == "sent with [redacted]"


def test_without_the_hub(online, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PublishError, match="given up after"):
        check_target(HubTarget(repo_id="me/x"), patience=5)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PublishError, match=r"HF_HUB_OFFLINE: is set.*train without push_to_hub"):
        check_target(HubTarget(repo_id="me/x"))


def test_a_hub_that_stumbles_is_asked_again(online, caplog):
    online.fault("GET", "whoami", status=503, times=2)
    online.fault("GET", "/api/models/", drop=True)
    with caplog.at_level(logging.WARNING, "trl_r1"):
        check_target(HubTarget(repo_id="me/x"))
    assert len(caplog.messages) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"repo_id": ""}, "repo_id: missing"),
        ({"repo_id": "a/b/c"}, "repo_id: 'a/b/c' is no name"),
        ({"repo_id": "datasets/me/x"}, "repo_id"),
        ({"repo_id": "me/a--b"}, "repo_id"),
        ({"repo_id": "me/ü"}, "repo_id"),
        ({"repo_id": "me/" + "x" * 97}, "repo_id"),
        ({"repo_type": "kernel"}, "repo_type: 'kernel' is none of"),
        ({"revision": ""}, "revision: ''"),
        ({"revision": "a..b"}, "revision: 'a..b' is no name for a branch"),
        ({"revision": "a b"}, "revision"),
        ({"revision": "a.lock"}, "revision"),
        ({"revision": "/a"}, "revision"),
        ({"revision": "refs/pr/1"}, "revision: 'refs/pr/1' is no name for a branch or tag, or would be taken for"),
        ({"revision": "a" * 40}, "revision"),
        ({"tag": "-v"}, "tag: '-v'"),
        ({"tag": "v^1"}, "tag"),
        ({"tag": "a@{b"}, "tag"),
    ],
)
def test_names_that_cannot_be(fields, message):
    with pytest.raises(PublishError, match=message):
        check_names(HubTarget(**{"repo_id": "me/x"} | fields))


@pytest.mark.parametrize("name", ["main", "r1_zero", "feature/x", "v1.0", "ü", "stage-1+2"])
def test_names_that_can_be(name):
    check_names(HubTarget(repo_id="me/x", revision=name, tag=name))


def test_a_tag_of_what_is_still_to_be_made_is_not_there_yet(online):
    online.seed("me/x")
    HfApi().create_tag("me/x", tag="v1")
    target = HubTarget(repo_id="me/x", tag="v1")
    check_target(target)
    with pytest.raises(PublishError, match=r"tag: 'v1' is on commit .* give another tag"):
        check_target(target, new=True)
    check_target(HubTarget(repo_id="me/x", tag="v2"), new=True)


def test_the_hub_is_asked_whose_a_token_is_once_in_a_while(online, monkeypatch):
    for name in ("me/x", "me/y"):
        check_target(HubTarget(repo_id=name))
    asked = [request for request in online.requests if "whoami" in request.path]
    assert len(asked) == 1
    online.add_user("other", token="hf_other")
    assert check_target(HubTarget(repo_id="x", token="hf_other")).repo_id == "other/x"  # no answer of another token's
    monkeypatch.setattr(access, "ANSWER_LIFETIME", 0.0)
    check_target(HubTarget(repo_id="me/x"))
    assert len([request for request in online.requests if "whoami" in request.path]) == 3


def test_an_address_with_a_password_is_shown_and_written_without_it():
    from trl_r1.hub.publishing.publish import _url

    api = SimpleNamespace(endpoint="https://me:word@hub.example")
    assert _url(api, HubTarget(repo_id="me/x")) == "https://[redacted]@hub.example/me/x/tree/main"
