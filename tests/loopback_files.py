"""Routes of a loopback Hub about files: listings, content, and which of them are LFS."""

import fnmatch
import hashlib
import itertools
import re
import secrets
from urllib.parse import parse_qs, quote

from loopback_repositories import REPO, paginate, route
from loopback_server import Response
from loopback_storage import MAIN, HubError, folders, tree_hash


LARGE = 10 * 2**20  # bytes; beyond it a file is LFS whatever its name
_COMMON = "7z arrow bin bz2 ckpt ftz gz h5 joblib mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt pth"
_COMMON += " rar safetensors tar tgz wasm xz zip zst"
_MEDIA = "pcm sam raw aac flac mp3 ogg wav bmp gif png tiff jpg jpeg webp mp4 webm"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_SITE = r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo_id>[^/]+/[^/]+)"


def default_attributes(repo_type):
    """The `.gitattributes` of a new repository."""
    endings = f"{_COMMON} {_MEDIA}" if repo_type == "dataset" else _COMMON
    patterns = [*(f"*.{ending}" for ending in endings.split()), "*tfevents*", "saved_model/**/*"]
    return "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in patterns).encode()


def is_lfs(tree, repository, path, size, sample):
    """What the Hub decides in `preupload`: by `.gitattributes`, by size, and because git holds no binary files."""
    attributes = repository.read(tree[".gitattributes"]).decode() if ".gitattributes" in tree else ""
    for line in attributes.splitlines():
        pattern, *rest = line.split() or [""]
        if "filter=lfs" in rest and (fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path.split("/")[-1], pattern)):
            return size > 0
    return size > LARGE or b"\0" in sample


def seed_files(repository, files):
    """Commit files as if they had been pushed; `None` is what a new repository holds."""
    tree = dict(repository.resolve("main").tree) if MAIN in repository.refs else {}
    title = "Seed" if files is not None else "initial commit"
    for path, content in (files or {".gitattributes": default_attributes(repository.repo_type)}).items():
        content = content.encode() if isinstance(content, str) else content
        if is_lfs(tree, repository, path, len(content), content[:512]):
            sha256 = hashlib.sha256(content).hexdigest()
            repository.objects[sha256] = content
            tree[path] = repository.link(sha256)
        else:
            tree[path] = repository.store(content)
    if files != {}:
        repository.commit(MAIN, tree, title)


def list_tree(hub, request, kind, repo_id, revision, path=""):
    repository = hub.find(request, kind, repo_id, content=True)
    commit = repository.resolve(revision)
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    inside = {name for name in (*commit.tree, *folders(commit.tree)) if name.startswith(prefix)}
    if prefix and not inside:
        raise HubError(404, f"{path} does not exist on {revision!r}", "EntryNotFound")
    if request.query.get("recursive", "").lower() not in ("1", "true"):
        inside = {name for name in inside if "/" not in name[len(prefix) :]}
    expand = request.query.get("expand", "").lower() in ("1", "true")
    return paginate(hub, request, [_describe(repository, commit, name, expand) for name in sorted(inside)])


def paths_info(hub, request, kind, repo_id, revision):
    repository = hub.find(request, kind, repo_id, content=True)
    commit = repository.resolve(revision)
    if "json" in request.headers.get("content-type", ""):
        asked = request.json()
        paths, expand = asked.get("paths", []), bool(asked.get("expand"))
    else:
        form = parse_qs(request.body.decode(), keep_blank_values=True)
        paths, expand = form.get("paths", []), form.get("expand", ["false"])[-1].lower() == "true"
    known = {*commit.tree, *folders(commit.tree)}
    return Response([_describe(repository, commit, path, expand) for path in paths if path in known])


def _describe(repository, commit, path, expand):
    entry = commit.tree.get(path)
    if entry is None:
        row = {"type": "directory", "oid": tree_hash(commit.tree, f"{path}/"), "size": 0, "path": path}
    else:
        row = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        if entry.sha256:
            row["lfs"] = entry.lfs()
    if expand:
        last = _last_change(repository, commit, path)
        row["lastCommit"] = {"id": last.oid, "title": last.title, "date": last.date}
    return row


def _last_change(repository, commit, path):
    def state(of):
        return {name: entry for name, entry in of.tree.items() if name == path or name.startswith(f"{path}/")}

    history = repository.history(commit)
    for newer, older in itertools.pairwise(history):
        if state(newer) != state(older):
            return newer
    return history[-1]


def resolve_file(hub, request, kind, repo_id, revision, path):
    """Where a file's content is: an LFS one at the storage, behind a signed link; a regular one in a cache."""
    repository, commit, entry = _locate(hub, request, kind, repo_id, revision, path)
    size_and_name = {"X-Linked-Size": str(entry.size), "X-Linked-ETag": f'"{entry.sha256 or entry.oid}"'}
    if entry.sha256:
        key = secrets.token_hex(8)
        hub.uploads[key] = repository
        status, link = 302, f"{hub.storage_url}/download/{entry.sha256}?key={key}"
    else:
        status, link = 307, f"/api/resolve-cache/{kind or 'models'}/{repo_id}/{commit.oid}/{quote(path)}"
    headers = {"Location": link, "X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes", **size_and_name}
    return Response(f"Redirecting to {link}".encode(), status, headers)


def cached_file(hub, request, kind, repo_id, revision, path):
    """Content of a regular file."""
    repository, commit, entry = _locate(hub, request, kind, repo_id, revision, path)
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes", "ETag": f'"{entry.oid}"'}
    headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(path.split('/')[-1])}"
    return ranged(request, repository.read(entry), headers)


def _locate(hub, request, kind, repo_id, revision, path):
    repository = hub.find(request, kind, repo_id, content=True)
    commit = repository.resolve(revision)
    if path not in commit.tree:
        raise HubError(404, "Entry not found", "EntryNotFound", headers={"X-Repo-Commit": commit.oid})
    return repository, commit, commit.tree[path]


def raw_file(hub, request, kind, repo_id, revision, path):
    """A file as git holds it: an LFS one is its pointer."""
    repository, _, entry = _locate(hub, request, kind, repo_id, revision, path)
    return Response(repository.blobs[entry.oid])


def ranged(request, content, headers):
    """A body, or the part of it that `Range` asks for."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if not found or not any(found.groups()):
        return Response(content, headers=headers)
    first, last = found.groups()
    start = int(first) if first else max(0, len(content) - int(last))
    end = min(int(last), len(content) - 1) if first and last else len(content) - 1
    if start >= len(content) or start > end:
        return Response(b"", 416, headers | {"Content-Range": f"bytes */{len(content)}"})
    headers |= {"Content-Range": f"bytes {start}-{end}/{len(content)}"}
    return Response(content[start : end + 1], 206, headers)


FILE_ROUTES = [
    route("GET", REPO + r"/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?", list_tree),
    route("POST", REPO + r"/paths-info/(?P<revision>[^/]+)", paths_info),
    route("GET", _SITE + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)", resolve_file),
    route(
        "GET",
        r"/api/resolve-cache" + REPO.removeprefix("/api") + r"/(?P<revision>[0-9a-f]{40})/(?P<path>.+)",
        cached_file,
    ),
    route("GET", _SITE + r"/raw/(?P<revision>[^/]+)/(?P<path>.+)", raw_file),
]
