"""Whatever goes wrong with any request of a publish, once or for good: it arrives, or the error says what did not."""

import os
import re

import pytest
from huggingface_hub import constants

from trl_r1.errors import PublishError
from trl_r1.hub.publishing import HubTarget, patience, publish, read_published


TARGET = HubTarget(repo_id="me/x", revision="stage/zero", tag="v1")
# Every kind of request that the publish of a stage makes, on a new repository.
KINDS = {
    "whoami": ("GET", "/api/whoami-v2"),
    "look": ("GET", "/api/models/me/x$"),
    "create": ("POST", "/api/repos/create"),
    "refs": ("GET", "/refs"),
    "history": ("GET", "/commits/"),
    "branch": ("POST", "/branch/"),
    "tree": ("GET", "/tree/"),
    "card": ("POST", "/api/validate-yaml"),
    "preupload": ("POST", "/preupload/"),
    "batch": ("POST", "/objects/batch"),
    "put": ("PUT", "/upload/"),
    "part": ("PUT", "/part/.*partNumber=2"),
    "complete": ("POST", "/complete_multipart"),
    "verify": ("POST", "/objects/verify"),
    "commit": ("POST", "/commit/"),
    "read": ("GET", "/resolve/"),
    "cache": ("GET", "/resolve-cache/"),
    "tag": ("POST", "/tag/"),
}
FAULTS = {
    "429": {"status": 429, "retry_after": 3},
    "500": {"status": 500},
    "503": {"status": 503},
    "dropped": {"drop": True},
    "answer lost": {"drop": "reply"},
    "cut off": {"truncate": True},
    "silent": {"delay": 60},
}
HIDING = {"put", "part", "complete"}  # requests whose answer tells that bytes are there,
HIDDEN = {"answer lost", "cut off", "silent"}  # and what keeps it from us, so that they are sent again


UPLOADS = 7  # the weights of 96 kB go in six parts, the merged ones in one piece


@pytest.fixture
def hub(online, monkeypatch):
    """A Hub on which this process's client hangs up soon."""
    monkeypatch.setattr(patience, "SILENCE", {"connect": 5.0, "read": 0.3, "write": 5.0, "pool": None})
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", online.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    return online


def check_arrived(hub, folder, result):
    """Every byte is there, once; branch, tag and `published.json` name it."""
    there = hub.files("me/x", "stage/zero")
    assert {file.path: (folder / file.path).read_bytes() for file in result.files}.items() <= there.items()
    assert set(there) == {*(file.path for file in result.files), ".gitattributes"}
    assert {"model.safetensors", "merged/model.safetensors", "README.md", "stage.json"} < set(there)
    refs = hub.refs("me/x")
    assert refs["refs/heads/stage/zero"] == refs["refs/tags/v1"] == result.commit == read_published(folder)["commit"]
    assert [commit.title for commit in hub.commits("me/x", "v1")] == ["Publish zero", "initial commit"]
    assert len(hub.commits("me/x", "main")) == 1


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def count_uploads(hub):
    """Uploads of large objects and parts that the Hub carried out."""
    return sum(request.method == "PUT" and request.status == 200 for request in hub.requests)


def test_there_are_no_other_kinds_of_requests(hub, finished):
    check_arrived(hub, finished, publish(finished, TARGET))
    kinds = [*KINDS.values(), ("PUT", "/part/")]
    for request in hub.requests:
        assert any(request.method == method and re.search(path, request.path) for method, path in kinds), request
    assert count_uploads(hub) == UPLOADS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_every_request_is_survived_if_it_passes(hub, finished, fault):
    struck = [hub.fault(*request, **FAULTS[fault]) for request in KINDS.values()]
    check_arrived(hub, finished, publish(finished, TARGET))
    assert [each.struck for each in struck] == [1] * len(KINDS)
    assert count_uploads(hub) <= UPLOADS + (len(HIDING) if fault in HIDDEN else 0)


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("kind", ["put", "part"])
def test_a_link_to_the_store_that_has_ended_is_asked_for_anew(hub, finished, kind, status):
    hub.fault(*KINDS[kind], status=status)
    check_arrived(hub, finished, publish(finished, TARGET))
    hub.fault("POST", KINDS["commit"][1], status=status, times=None)
    (finished / "config.json").write_text("[]")
    with pytest.raises(PublishError, match=f"HTTP {status}"):
        publish(finished, HubTarget(repo_id="me/x", revision="stage/zero"))
    assert sum("/commit/" in request.path for request in hub.requests) == 2  # the Hub's own word is final


def test_without_the_store_that_speaks_xet_the_other_way_remains(hub, finished, monkeypatch):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.fault("GET", "/xet-write-token/", status=403, times=None)
    before = content(finished)
    with pytest.raises(PublishError, match="xet-write-token"):
        publish(finished, TARGET, patience=0)
    assert content(finished) == before
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    check_arrived(hub, finished, publish(finished, TARGET))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_survived(hub, finished, kind, fault):
    hub.fault(*KINDS[kind], **FAULTS[fault])
    check_arrived(hub, finished, publish(finished, TARGET))
    assert count_uploads(hub) <= UPLOADS + (kind in HIDING and fault in HIDDEN)


def case(fault, kind):
    """Every fault of a commit, and of every other request one fault; the rest is much alike, and runs on request."""
    place = list(KINDS).index(kind) % len(FAULTS)
    quick = kind == "commit" or list(FAULTS).index(fault) == place
    return pytest.param(fault, kind, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("fault", "kind"), [case(fault, kind) for fault in FAULTS for kind in KINDS])
def test_a_fault_that_stays_is_named_and_the_next_call_goes_on(hub, finished, kind, fault):
    hub.fault(*KINDS[kind], **FAULTS[fault], times=None)
    before = content(finished)
    try:
        check_arrived(hub, finished, publish(finished, TARGET, patience=2 if fault == "silent" else 20))
    except PublishError as error:
        said = str(error)
    else:
        said = None
    if said:
        assert "given up after" in said
        assert os.environ["HF_TOKEN"] not in said
        assert content(finished) == before
    hub.clear_faults()
    check_arrived(hub, finished, publish(finished, TARGET))
