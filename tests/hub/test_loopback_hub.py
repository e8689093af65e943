"""The loopback Hub answers the real client as the Hub does: otherwise what is tested against it would mean little."""

import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import (
    BadRequestError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from loopback_hub import LoopbackHub
from loopback_storage import Entry, git_hash, tree_hash


CARD = b"---\nlicense: mit\ntags: [a]\n---\nHello\n"


@pytest.fixture
def hub(monkeypatch):
    """A Hub where 50 kB is large, with three users; the client of this process may reach it."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client's back-off
    with LoopbackHub(multipart_threshold=50_000, part_size=16_000, page_size=3) as made:
        made.add_user("me", token="hf_me", orgs={"lab": "write", "club": "read"})
        made.add_user("reader", token="hf_reader", role="read")
        made.add_user("other", token="hf_other")
        made.add_user("me", token="hf_fine", role="fineGrained", scopes={"me/x": ["repo.write"]})
        yield made


@pytest.fixture
def connect(hub):
    """Client by token."""
    return lambda token="hf_me": HfApi(endpoint=hub.url, token=token)


@pytest.fixture
def api(connect):
    return connect()


def make_folder(folder):
    """Files of every kind: small and large LFS, text, binary text, odd names, empty."""
    contents = {
        "README.md": CARD,
        "config.json": b"{}",
        "model.safetensors": os.urandom(60_000),
        "training.bin": os.urandom(999),
        "curves.png": b"\x89PNG\0" + os.urandom(50),
        "empty.txt": b"",
        "empty.bin": b"",
        "a b/ü 得.txt": "é".encode(),
        "a b/c#d?e%20.txt": b"odd",
    }
    for path, content in contents.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return contents


def status_of(error):
    return error.value.response.status_code


def in_client(hub, cache, code):
    """Run Python with the Hub's environment; what it printed as JSON."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | hub.environment(cache),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_a_folder_goes_up_and_comes_down_byte_for_byte(hub, api, tmp_path):
    contents = make_folder(tmp_path / "up")
    assert api.create_repo("me/x", private=True).repo_id == "me/x"
    made = api.upload_folder(folder_path=tmp_path / "up", repo_id="me/x")
    assert hub.commits("me/x")[0].oid == made.oid
    attributes = hub.files("me/x")[".gitattributes"]
    assert hub.files("me/x") == contents | {".gitattributes": attributes}
    down = Path(api.snapshot_download("me/x", cache_dir=tmp_path / "cache"))
    assert {path: (down / path).read_bytes() for path in contents} == contents
    # In one piece, in four parts, and not at all.
    puts = [request for request in hub.requests if request.method == "PUT"]
    assert sum("/part/" in put.path for put in puts) == 4
    assert sum("/upload/" in put.path for put in puts) == 2
    downloads = [request for request in hub.requests if request.path.startswith("/download/")]
    assert len(downloads) == 3
    assert all("authorization" not in request.headers for request in (*puts, *downloads))
    api.create_repo("me/y")
    api.upload_folder(folder_path=tmp_path / "up", repo_id="me/x", path_in_repo="again")
    assert len([request for request in hub.requests if request.method == "PUT"]) == len(puts)
    assert hub.files("me/x")["again/model.safetensors"] == contents["model.safetensors"]


def test_listings_name_what_git_and_lfs_name(hub, api, tmp_path):
    contents = make_folder(tmp_path)
    hub.seed("me/x", contents)
    files = {
        file.path: file for file in api.list_repo_tree("me/x", recursive=True, expand=True) if hasattr(file, "lfs")
    }
    assert set(files) == {*contents, ".gitattributes"}
    assert files["config.json"].blob_id == git_hash("blob", b"{}") == "9e26dfeeb6e641a33dae4961196235bdb965b21b"
    assert files["model.safetensors"].lfs.size == files["model.safetensors"].size == 60_000
    assert files["README.md"].last_commit.title == "Seed"
    assert files[".gitattributes"].last_commit.title == "initial commit"
    assert [entry.path for entry in api.list_repo_tree("me/x", "a b")] == ["a b/c#d?e%20.txt", "a b/ü 得.txt"]
    known, folder = api.get_paths_info("me/x", ["config.json", "missing", "a b"])
    assert (known.path, folder.path) == ("config.json", "a b")
    siblings = {file.rfilename: file for file in api.model_info("me/x", files_metadata=True).siblings}
    assert siblings["training.bin"].lfs.sha256 == files["training.bin"].lfs.sha256
    assert len([request for request in hub.requests if "/tree/" in request.path]) == 5  # pages of three


def test_trees_are_hashed_as_git_hashes_them(tmp_path):
    contents = {"b.txt": b"1", "b/c": b"2", "b-d": b"3", "a": b"4", "b/e/ü": b"5"}
    for path, content in contents.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)

    def git(*command):
        run = ["git", "-C", tmp_path, *command]
        return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    tree = {path: Entry(git_hash("blob", content), len(content)) for path, content in contents.items()}
    assert tree_hash(tree) == git("write-tree")


def test_branches_tags_and_history(hub, api):
    hub.seed("me/x", {"a": b"1"})
    first = api.repo_info("me/x").sha
    api.create_branch("me/x", branch="stage/one")
    api.upload_file(path_or_fileobj=b"2", path_in_repo="b", repo_id="me/x", revision="stage/one")
    api.create_tag("me/x", tag="v1", revision="stage/one", tag_message="done")
    refs = api.list_repo_refs("me/x")
    assert {ref.name: ref.target_commit for ref in refs.branches}["main"] == first
    assert refs.tags[0].target_commit == hub.refs("me/x")["refs/heads/stage/one"]
    assert hub.files("me/x", "v1")["b"] == b"2"
    assert "b" not in hub.files("me/x")
    titles = [commit.title for commit in api.list_repo_commits("me/x", revision="v1")]
    assert titles == ["Upload b with huggingface_hub", "Seed", "initial commit"]
    for make in (api.create_branch, api.create_tag):
        name = {"branch": "stage/one"} if make == api.create_branch else {"tag": "v1"}
        with pytest.raises(HfHubHTTPError) as error:
            make("me/x", **name)
        assert status_of(error) == 409
        make("me/x", **name, exist_ok=True)
    with pytest.raises(RevisionNotFoundError):
        api.create_branch("me/x", branch="new", revision="missing")
    with pytest.raises(RevisionNotFoundError):
        api.create_tag("me/x", tag="new", revision="missing")
    with pytest.raises(BadRequestError):
        api.create_branch("me/x", branch="bad name")
    api.delete_tag("me/x", tag="v1")
    api.delete_branch("me/x", branch="stage/one")
    assert list(hub.refs("me/x")) == ["refs/heads/main"]
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag("me/x", tag="v1")
    with pytest.raises(HfHubHTTPError):
        api.delete_branch("me/x", branch="main")


def test_commits_that_are_refused_change_nothing(hub, api):
    hub.seed("me/x", {"a": b"1", "d/b": b"2"})
    head = hub.refs("me/x")

    def commit(*operations, **settings):
        return api.create_commit("me/x", operations, commit_message="Try", **settings)

    def add(path, content=b"new"):
        return CommitOperationAdd(path, content)

    with pytest.raises(HfHubHTTPError) as error:
        commit(add("c"), parent_commit="0" * 40)
    assert status_of(error) == 412
    with pytest.raises(RevisionNotFoundError):
        commit(add("c"), revision="missing")
    with pytest.raises(RemoteEntryNotFoundError):
        commit(CommitOperationDelete("missing"))
    with pytest.raises(BadRequestError):
        commit(add("a/b"))
    with pytest.raises(ValueError, match="Invalid metadata"):
        commit(add("README.md", b"---\nlicense: [unclosed\n---\n"))
    with pytest.raises(BadRequestError):
        httpx_commit(hub, [{"key": "lfsFile", "value": {"path": "w", "algo": "sha256", "oid": "0" * 64, "size": 1}}])
    assert hub.refs("me/x") == head
    commit(add("c"), CommitOperationDelete("d/"), CommitOperationCopy("a", "e"), parent_commit=head["refs/heads/main"])
    assert {"a": b"1", "c": b"new", "e": b"1"}.items() <= hub.files("me/x").items()
    assert "d/b" not in hub.files("me/x")


def httpx_commit(hub, lines):
    """A commit no client would send."""
    lines = [{"key": "header", "value": {"summary": "Odd"}}, *lines]
    response = httpx2.post(
        f"{hub.url}/api/models/me/x/commit/main",
        headers={"authorization": "Bearer hf_me"},
        content="\n".join(map(json.dumps, lines)).encode(),
    )
    if response.status_code == 400:
        raise BadRequestError(response.text, response=response)
    return response


def test_a_pull_request_needs_no_permission_to_write(hub, connect):
    hub.seed("me/x", {"a": b"1"})
    made = connect("hf_other").upload_file(
        path_or_fileobj=b"2", path_in_repo="b", repo_id="me/x", create_pr=True, commit_message="Ask"
    )
    assert made.pr_revision == "refs/pr/1"
    assert hub.files("me/x", "refs/pr/1")["b"] == b"2"
    assert "b" not in hub.files("me/x")
    refs = connect().list_repo_refs("me/x", include_pull_requests=True)
    assert [pull.ref for pull in refs.pull_requests] == ["refs/pr/1"]


def test_who_may_see_and_write(hub, connect):
    hub.seed("me/secret", {"a": b"1"}, private=True)
    hub.seed("me/x", {"a": b"1"})
    hub.seed("lab/x", {"a": b"1"})
    hub.seed("club/x", {"a": b"1"})
    hub.seed("other/gated", {"a": b"1"}, gated=True)
    for token, status in ((False, 401), ("hf_other", 404), ("hf_reader", 404)):
        with pytest.raises(RepositoryNotFoundError) as error:
            connect(token).model_info("me/secret")
        assert status_of(error) == status
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as error:
        connect("hf_unknown").model_info("me/x")
    assert status_of(error) == 401
    with pytest.raises(GatedRepoError):
        connect().hf_hub_download("other/gated", "a")
    writes = [("hf_reader", "me/x"), ("hf_other", "me/x"), ("hf_me", "club/x"), ("hf_fine", "lab/x")]
    for token, repo_id in writes:
        client = connect(token)
        with pytest.raises(HfHubHTTPError, match="403 Forbidden") as error:
            client.upload_file(path_or_fileobj=b"2", path_in_repo="a", repo_id=repo_id)
        with pytest.raises(HfHubHTTPError):
            client.auth_check(repo_id, write=True)
    for token, repo_id in (("hf_me", "me/x"), ("hf_me", "lab/x"), ("hf_fine", "me/x")):
        connect(token).auth_check(repo_id, write=True)
        connect(token).upload_file(path_or_fileobj=b"2", path_in_repo="a", repo_id=repo_id)
    assert hub.files("club/x")["a"] == b"1"
    for repo_id in ("other/new", "club/new", "nobody/new"):
        with pytest.raises(HfHubHTTPError) as error:
            connect().create_repo(repo_id)
        assert status_of(error) == 403


def test_who_one_is(connect):
    me = connect().whoami()
    assert me["name"] == "me"
    assert {org["name"]: org["roleInOrg"] for org in me["orgs"]} == {"lab": "write", "club": "read"}
    assert connect("hf_reader").whoami()["auth"]["accessToken"]["role"] == "read"
    scoped = connect("hf_fine").whoami()["auth"]["accessToken"]["fineGrained"]["scoped"]
    assert [(scope["entity"]["name"], scope["permissions"]) for scope in scoped] == [("me/x", ["repo.write"])]
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        connect("hf_unknown").whoami()


def test_repositories_come_and_go(hub, api):
    api.create_repo("x", repo_type="dataset", private=True)
    assert api.dataset_info("me/x").private
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo("me/x", repo_type="dataset")
    assert status_of(error) == 409
    assert str(api.create_repo("me/x", repo_type="dataset", exist_ok=True)) == f"{hub.url}/datasets/me/x"
    api.create_repo("me/x", repo_type="space", space_sdk="static")
    api.update_repo_settings("me/x", repo_type="dataset", private=False)
    assert not api.dataset_info("me/x").private
    api.delete_repo("me/x", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("me/x")
    assert api.repo_exists("me/x", repo_type="space")
    with pytest.raises(RevisionNotFoundError):
        api.space_info("me/x", revision="missing")


def test_files_are_found_in_parts_and_missed_by_name(hub, api):
    hub.seed("me/x", {"a.txt": b"0123456789", "w.bin": b"\0" * 10})
    assert api.file_exists("me/x", "a.txt")
    assert not api.file_exists("me/x", "b.txt")
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download("me/x", "b.txt")
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree("me/x", "missing"))
    ask = {"url": f"{hub.url}/me/x/resolve/main/a.txt", "follow_redirects": True}
    part = httpx2.get(**ask, headers={"Range": "bytes=3-5"})
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"345", "bytes 3-5/10")
    assert httpx2.get(**ask, headers={"Range": "bytes=7-"}).content == b"789"
    assert httpx2.get(**ask, headers={"Range": "bytes=-2"}).content == b"89"
    assert httpx2.get(**ask, headers={"Range": "bytes=10-"}).status_code == 416
    head = httpx2.head(f"{hub.url}/me/x/resolve/main/w.bin")
    assert (head.status_code, head.headers["X-Linked-Size"]) == (302, "10")
    assert head.headers["Location"].startswith(hub.storage_url)
    assert httpx2.get(f"{hub.storage_url}/download/{'0' * 64}?key=stolen").status_code == 403
    assert b"git-lfs" in httpx2.get(f"{hub.url}/me/x/raw/main/w.bin").content


def test_an_object_that_is_not_what_was_announced_is_refused(hub):
    hub.seed("me/x")
    asked = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 3}], "hash_algo": "sha256"}
    batch = httpx2.post(
        f"{hub.url}/me/x.git/info/lfs/objects/batch", json=asked, headers={"authorization": "Bearer hf_me"}
    ).json()
    assert batch["transfer"] == "basic"
    answer = httpx2.put(batch["objects"][0]["actions"]["upload"]["href"], content=b"abc")
    assert answer.status_code == 400
    assert hub.repository("me/x").objects == {}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("license: [unclosed", "YAML Metadata Error"),
        ("- a list", "must be a mapping"),
        ("license: my-own", '"license" must be one of'),
        ("base_model: ./outputs/sft", '"base_model" with value'),
        ("datasets: [/tmp/data]", '"datasets" with value'),
        ("language: English", '"language" with value'),
        ("base_model_relation: child", "base_model_relation"),
        ("tags: [1]", '"tags" with value'),
    ],
)
def test_metadata_that_the_hub_would_refuse_is_refused(hub, api, metadata, said):
    hub.seed("me/x")
    with pytest.raises(ValueError, match=said):
        api.upload_file(path_or_fileobj=f"---\n{metadata}\n---\n".encode(), path_in_repo="README.md", repo_id="me/x")
    assert len(hub.commits("me/x")) == 1


def test_a_card_without_metadata_is_warned_about_and_good_metadata_is_read(hub, api):
    hub.seed("me/x")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        api.upload_file(path_or_fileobj=b"# No block", path_in_repo="README.md", repo_id="me/x")
    card = b"---\nlicense: mit\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n"
    results = b"- dataset: {id: org/set, task_id: math}\n  value: 0.5\n- value: 1\n"
    api.create_commit(
        "me/x",
        [CommitOperationAdd("README.md", card), CommitOperationAdd(".eval_results/math.yaml", results)],
        commit_message="Card",
    )
    info = api.model_info("me/x")
    assert (info.card_data.license, info.pipeline_tag, info.library_name) == ("mit", "text-generation", "transformers")
    found = api.model_info("me/x", expand=["evalResults"]).eval_results
    assert [(entry.dataset_id, entry.task_id, entry.value) for entry in found] == [("org/set", "math", 0.5)]


def test_collections(hub, api, connect):
    hub.seed("me/x")
    hub.seed("me/d", repo_type="dataset")
    made = api.create_collection("R1 on toys", namespace="me", description="All", private=True)
    assert api.create_collection("R1 on toys", namespace="me", exists_ok=True).slug == made.slug
    with pytest.raises(HfHubHTTPError) as error:
        api.create_collection("R1 on toys", namespace="me")
    assert status_of(error) == 409
    api.add_collection_item(made.slug, "me/x", "model", note="first")
    api.add_collection_item(made.slug, "me/d", "dataset")
    with pytest.raises(HfHubHTTPError) as error:
        api.add_collection_item(made.slug, "me/x", "model")
    assert status_of(error) == 409
    items = api.add_collection_item(made.slug, "me/x", "model", exists_ok=True).items
    with pytest.raises(RepositoryNotFoundError):
        api.add_collection_item(made.slug, "me/missing", "model")
    with pytest.raises(BadRequestError, match="500"):
        api.add_collection_item(made.slug, "me/d", "dataset", note="x" * 501)
    api.update_collection_item(made.slug, items[0].item_object_id, position=1, note="second")
    found = api.get_collection(made.slug)
    assert [(item.item_id, item.item_type, item.note) for item in found.items] == [
        ("me/d", "dataset", None),
        ("me/x", "model", "second"),
    ]
    assert api.update_collection_metadata(made.slug, private=False, title="New").title == "New"
    assert [each.slug for each in connect("hf_other").list_collections(owner="me")] == [made.slug]
    with pytest.raises(HfHubHTTPError):
        connect("hf_other").delete_collection(made.slug)
    api.delete_collection_item(made.slug, items[0].item_object_id)
    api.delete_collection(made.slug)
    assert hub.collections == {}
    with pytest.raises(HfHubHTTPError):
        connect("hf_reader").create_collection("Mine", namespace="me")


def test_faults_strike_those_they_name_and_pass(hub, api):
    hub.seed("me/x", {"a": b"0123456789"})
    hub.fault("GET", r"/api/models/", status=429, retry_after=7)
    hub.fault("GET", r"/api/models/", status=500, times=2, after=1)
    statuses = []
    for _ in range(5):
        answer = httpx2.get(f"{hub.url}/api/models/me/x")
        statuses.append((answer.status_code, answer.headers.get("Retry-After")))
    assert statuses == [(429, "7"), (200, None), (500, None), (500, None), (200, None)]
    hub.fault("*", "/create", drop=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        api.create_repo("me/before")
    assert hub.requests[-1].status is None
    assert ("model", "me/before") not in hub.repositories
    hub.fault("*", "/create", drop="reply")
    with pytest.raises(httpx2.RemoteProtocolError):
        api.create_repo("me/after")
    assert ("model", "me/after") in hub.repositories
    ask = {"url": f"{hub.url}/me/x/resolve/main/a", "follow_redirects": True}
    hub.fault("GET", "/resolve-cache/", truncate=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(**ask)
    hub.fault("GET", "/resolve/", delay=30, times=None)
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(**ask, timeout=0.2)
    hub.clear_faults()
    assert httpx2.get(**ask).content == b"0123456789"


def test_the_client_survives_a_dropped_upload(hub, api, tmp_path):
    contents = make_folder(tmp_path)
    hub.seed("me/x")
    hub.fault("PUT", "/part/.*partNumber=2", drop=True)
    hub.fault("PUT", "/upload/", status=503)
    api.upload_folder(folder_path=tmp_path, repo_id="me/x")
    assert contents.items() <= hub.files("me/x").items()


def test_what_a_killed_client_sent_is_not_kept(hub):
    hub.seed("me/x")
    host, port = hub.url.removeprefix("http://").split(":")
    lines = json.dumps({"key": "header", "value": {"summary": "Half"}}) + "\n"
    with socket.create_connection((host, int(port))) as client:
        head = "POST /api/models/me/x/commit/main HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hf_me\r\n"
        client.sendall(f"{head}Content-Length: {len(lines) + 1}\r\n\r\n{lines}".encode())
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert hub.requests[0].status is None
    assert len(hub.commits("me/x")) == 1


def test_of_commits_on_the_same_parent_one_wins(hub, connect):
    hub.seed("me/x")
    parent = hub.refs("me/x")["refs/heads/main"]

    def commit(number):
        operation = CommitOperationAdd(f"{number}.txt", b"%d" % number)
        try:
            connect().create_commit("me/x", [operation], commit_message=f"Add {number}", parent_commit=parent)
        except HfHubHTTPError as error:
            return error.response.status_code
        return 200

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(commit, range(8))) == [200] + [412] * 7
    assert len(hub.commits("me/x")) == 2


def test_datasets_and_models_load_by_name(hub, checkpoint, tmp_path):
    """With `HF_ENDPOINT` alone, from private repositories, at a revision."""
    rows = "".join(json.dumps({"question": f"{n}?", "answer": n}) + "\n" for n in range(5))
    hub.seed("me/rows", {"train.jsonl": rows, "README.md": "---\nlicense: mit\n---\n"}, "dataset", private=True)
    files = {str(path.relative_to(checkpoint)): path.read_bytes() for path in Path(checkpoint).rglob("*.*")}
    hub.seed("me/model", files, private=True)
    code = """
import json, datasets, transformers
found = datasets.load_dataset("me/rows", split="train")
found.push_to_hub("me/copy", private=True)
copy = datasets.load_dataset("me/copy", split="train")
model = transformers.AutoModelForCausalLM.from_pretrained("me/model", revision="main")
tokenizer = transformers.AutoTokenizer.from_pretrained("me/model")
rows = [found["answer"][:], copy["question"][:]]
print(json.dumps([*rows, model.num_parameters(), len(tokenizer), tokenizer.chat_template]))
"""
    answers, questions, parameters, words, template = in_client(hub, tmp_path / "cache", code)
    assert answers == list(range(5))
    assert questions == [f"{n}?" for n in range(5)]
    assert parameters > 1000
    assert words > 40
    assert "<|im_start|>" in template
    assert any(path.endswith(".parquet") for path in hub.files("me/copy", repo_type="dataset"))
