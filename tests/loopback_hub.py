"""
A Hub on this machine for tests: real HTTP on 127.0.0.1, with what publishing and loading need, and faults on request.

    with LoopbackHub() as hub:
        hub.add_user("me", token="hf_mine", orgs={"lab": "write"})
        hub.fault("POST", "/commit/", status=503)          # once, then the Hub is well again
        subprocess.run([...], env=os.environ | hub.environment(tmp_path))
        assert hub.files("me/model")["config.json"] == b"{}"

By hand: `python tests/loopback_hub.py` starts one and prints the environment for a client. The package hf-local-hub
3.0 holds only a client; the server that it wants is a program that it does not ship.

As on the real Hub, a new repository holds a `.gitattributes`; LFS objects live on another host (here: another port),
behind links that need no token; a request without a token meets 401 with `RepoNotFound` where a stranger's meets 404.
"""

import logging
import re
import threading
import time
from urllib.parse import unquote, urlsplit

from loopback_accounts import Accounts
from loopback_collections import COLLECTION_ROUTES
from loopback_faults import Fault
from loopback_files import FILE_ROUTES, seed_files
from loopback_repositories import REPOSITORY_ROUTES
from loopback_server import Request, Response, Server
from loopback_storage import HubError, Repository
from loopback_uploads import STORAGE_ROUTES, UPLOAD_ROUTES


MEGABYTE = 10**6
__all__ = ["LoopbackHub", "Request"]


class LoopbackHub:
    """
    The server; use it as a context manager.

    Args:
        multipart_threshold (`int`):
            Size in bytes above which an LFS object is sent in parts (5 GB on the real Hub).
        part_size (`int`):
            Bytes a part.
        page_size (`int`):
            Entries a page of a listing.
    """

    def __init__(self, *, multipart_threshold=5_000 * MEGABYTE, part_size=16 * MEGABYTE, page_size=1000):
        self.multipart_threshold, self.part_size, self.page_size = multipart_threshold, part_size, page_size
        self.accounts = Accounts()
        self.repositories = {}  # (type, id) -> Repository
        self.renamed = {}  # old id -> new id
        self.collections = {}  # slug -> Collection
        self.uploads = {}  # key of a signed link -> Upload
        self.requests = []
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self._faults = []
        routes = [*REPOSITORY_ROUTES, *FILE_ROUTES, *UPLOAD_ROUTES, *COLLECTION_ROUTES]
        self._api, self._storage = Server(self, routes), Server(self, STORAGE_ROUTES)

    def __enter__(self):
        self._api.start()
        self._storage.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self._api.stop()
        self._storage.stop()

    @property
    def url(self):
        return self._api.url

    @property
    def storage_url(self):
        """Where LFS objects are uploaded to and downloaded from."""
        return self._storage.url

    def environment(self, cache_dir, token=None):
        """Variables for a client in a subprocess, `os.environ | hub.environment(...)`; the first token by default."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": token or next(iter(self.accounts.tokens), ""),
            "HF_HOME": str(cache_dir),
            "HF_HUB_CACHE": f"{cache_dir}/hub",
            "HF_DATASETS_CACHE": f"{cache_dir}/datasets",
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "TRANSFORMERS_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def add_user(self, name, *, token, role="write", orgs=None, scopes=None):
        """A user's token; `orgs` are {name: role in it}, `scopes` {user, org or repository: [permissions]}."""
        self.accounts.add(name, token, role, orgs, scopes)

    def seed(self, repo_id, files=None, repo_type="model", private=False, gated=False):
        """A repository that exists already."""
        with self.lock:
            repository = self.create(repo_id, repo_type, private=private, gated=gated)
            seed_files(repository, files or {})
            return repository

    def create(self, repo_id, repo_type, **settings):
        """A new repository with what the Hub puts in."""
        repository = self.repositories[repo_type, repo_id] = Repository(repo_id, repo_type, **settings)
        seed_files(repository, None)
        return repository

    def rename(self, old, new, repo_type="model"):
        """Give a repository another name; requests under the old one are sent on."""
        with self.lock:
            repository = self.repositories[repo_type, new] = self.repositories.pop((repo_type, old))
            repository.repo_id, self.renamed[old] = new, new

    def repository(self, repo_id, repo_type="model"):
        return self.repositories[repo_type, repo_id]

    def files(self, repo_id, revision="main", repo_type="model"):
        """Content by path."""
        with self.lock:
            repository = self.repository(repo_id, repo_type)
            tree = repository.resolve(revision).tree
            return {path: repository.read(entry) for path, entry in tree.items()}

    def commits(self, repo_id, revision="main", repo_type="model"):
        """Commits of a branch, newest first."""
        with self.lock:
            repository = self.repository(repo_id, repo_type)
            return repository.history(repository.resolve(revision))

    def refs(self, repo_id, repo_type="model"):
        """`{"refs/heads/main": commit, "refs/tags/v1": commit}`."""
        return dict(self.repository(repo_id, repo_type).refs)

    def fault(
        self,
        method,
        path_regex,
        *,
        status=None,
        drop=False,
        truncate=False,
        delay=0.0,
        times=1,
        after=0,
        retry_after=None,
    ):
        """
        Let requests go wrong.

        Args:
            method (`str`), path_regex (`str`):
                Which requests: `"*"` is every method; the pattern is searched in the raw path with its query.
            status (`int`):
                Answer this status and do nothing.
            drop (`bool` or `"reply"`):
                Close the connection: `True` before anything is done, `"reply"` after all is done.
            truncate (`bool`):
                Do it, send half of the answer's body, then close.
            delay (`float`):
                Seconds to wait before.
            times (`int` or `None`):
                How often; `None` is for ever.
            after (`int`):
                How many matching requests pass first.
            retry_after (`int`):
                Seconds for a `Retry-After` header.
        """
        fault = Fault(method, re.compile(path_regex), status, drop, truncate, delay, times, after, retry_after)
        with self.lock:
            self._faults.append(fault)
        return fault

    def clear_faults(self):
        """The Hub is well again."""
        with self.lock:
            self._faults.clear()

    def fault_of(self, request):
        """The fault that strikes this request, counted."""
        with self.lock:
            return next((fault for fault in self._faults if fault.strikes(request.method, request.path)), None)

    def handle(self, request, routes):
        """Answer of the first route that fits."""
        path = urlsplit(request.path).path
        with self.lock:
            try:
                request.token = self.accounts.authenticate(request.headers)
                for old, new in self.renamed.items():
                    if re.search(rf"/{re.escape(old)}(?=[/.?]|$)", request.path):
                        return Response(status=307, headers={"Location": request.path.replace(old, new, 1)})
                for method, pattern, answer in routes:
                    found = pattern.fullmatch(path)
                    if found and method == request.method.replace("HEAD", "GET"):
                        groups = {name: unquote(value or "") for name, value in found.groupdict().items()}
                        return answer(self, request, **groups)
                raise HubError(404, f"Sorry, we can't find the page you are looking for: {path}")
            except HubError as error:
                return _explain(error)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                return _explain(HubError(400, f"Malformed request: {error!r}"))

    def find(self, request, kind, repo_id, *, write=False, content=False):
        """Repository of a request, if its token may see it (`content`: its files too, `write`: change it)."""
        repo_type = kind.rstrip("s") or "model"
        repository = self.repositories.get((repo_type, repo_id))
        readable = repository and (not repository.private or self.accounts.can_read(request.token, repo_id))
        if not readable:
            if request.token is None:
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            raise HubError(404, "Repository not found", "RepoNotFound")
        if content and repository.gated and not self.accounts.can_read(request.token, repo_id):
            message = f"Access to {repo_type} {repo_id} is restricted."
            raise HubError(403 if request.token else 401, message, "GatedRepo")
        if write:
            self.accounts.require_write(request.token, repo_id)
        return repository


def _explain(error):
    headers = {"X-Error-Message": error.message}
    if error.code:
        headers["X-Error-Code"] = error.code
    headers |= error.body.pop("headers", {})
    return Response({"error": error.message, **error.body}, error.status, headers)


def main():
    """Serve until interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with LoopbackHub() as hub:
        hub.add_user("me", token="hf_loopback", orgs={"lab": "write"})
        for name, value in hub.environment("/tmp/loopback_hub").items():
            logging.info("export %s=%s", name, value)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
