"""Routes of a loopback Hub that change files: preupload, LFS in one piece or in parts, commit."""

import base64
import fnmatch
import hashlib
import json
import re
import secrets
from dataclasses import dataclass, field

from loopback_files import LARGE, is_lfs, ranged
from loopback_metadata import check_card
from loopback_repositories import REPO, route
from loopback_server import Response
from loopback_storage import HubError


_GIT = r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo_id>[^/]+/[^/]+)\.git"
_OID = re.compile(r"[0-9a-f]{64}")


@dataclass
class Upload:
    """A signed link: what may be sent to it, and the parts that came."""

    repository: object
    sha256: str
    size: int
    parts: dict = field(default_factory=dict)  # number -> bytes


def validate_yaml(hub, request):
    asked = request.json()
    errors, warnings = check_card(asked.get("content", ""))
    found = {"errors": _messages(errors), "warnings": _messages(warnings)}
    if errors:
        raise HubError(400, "Invalid metadata in README.md", **found)
    return Response(found)


def _messages(sentences):
    return [{"message": sentence} for sentence in sentences]


def _branch(repository, revision):
    """The ref a commit moves: a branch or a pull request."""
    ref = repository.find_ref(revision)
    if ref is None or ref.startswith("refs/tags/"):
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return ref


def preupload(hub, request, kind, repo_id, revision):
    repository = hub.find(request, kind, repo_id, write=request.query.get("create_pr") != "1")
    tree, asked = repository.commits[repository.refs[_branch(repository, revision)]].tree, request.json()
    ignore = asked.get("gitIgnore")
    if ignore is None and ".gitignore" in tree:
        ignore = repository.read(tree[".gitignore"]).decode()
    files = []
    for file in asked["files"]:
        path, sample = file["path"], base64.b64decode(file.get("sample", ""))
        entry = tree.get(path)
        files.append(
            {
                "path": path,
                "uploadMode": "lfs" if is_lfs(tree, repository, path, file["size"], sample) else "regular",
                "shouldIgnore": _is_ignored(ignore or "", path),
                "oid": entry and (entry.sha256 or entry.oid),
            }
        )
    return Response({"files": files, "commitOid": repository.refs[_branch(repository, revision)]})


def _is_ignored(ignore, path):
    patterns = [line.strip().strip("/") for line in ignore.splitlines() if line.strip() and line[0] != "#"]
    steps = path.split("/")
    return any(
        fnmatch.fnmatch(path, pattern) or any(fnmatch.fnmatch(step, pattern) for step in steps) for pattern in patterns
    )


def lfs_batch(hub, request, repo_id, kind=""):
    """Links to send objects to; none for an object that is there."""
    asked = request.json()
    repository = hub.find(request, kind or "models", repo_id, write="ref" in asked)
    if request.token is None:
        raise HubError(401, "Invalid username or password.")
    rows = [_batch_row(hub, repository, item) for item in asked["objects"]]
    parts = any("chunk_size" in row.get("actions", {}).get("upload", {}).get("header", {}) for row in rows)
    return Response({"transfer": "multipart" if parts else "basic", "objects": rows})


def _batch_row(hub, repository, item):
    oid, size = item["oid"], item["size"]
    if not _OID.fullmatch(oid):
        return {"oid": oid, "size": size, "error": {"code": 422, "message": "the oid is not a sha256"}}
    if oid in repository.objects:
        return {"oid": oid, "size": size}
    key = secrets.token_hex(8)
    hub.uploads[key] = Upload(repository, oid, size)
    upload = {"href": f"{hub.storage_url}/upload/{oid}?key={key}"}
    if size > hub.multipart_threshold:
        numbers = range(1, -(-size // hub.part_size) + 1)
        links = {f"{number:05d}": f"{hub.storage_url}/part/{oid}?key={key}&partNumber={number}" for number in numbers}
        upload = {
            "href": f"{hub.url}/api/complete_multipart?key={key}",
            "header": {"chunk_size": str(hub.part_size), **links},
        }
    verify = f"{hub.url}/{repository.path}.git/info/lfs/objects/verify"
    return {"oid": oid, "size": size, "authenticated": True, "actions": {"upload": upload, "verify": {"href": verify}}}


def _link(hub, request):
    found = hub.uploads.get(request.query.get("key"))
    if not isinstance(found, Upload):
        raise HubError(403, "AccessDenied: Request has expired")
    return found


def _keep(upload, content):
    if len(content) != upload.size or hashlib.sha256(content).hexdigest() != upload.sha256:
        raise HubError(400, "BadDigest: the content does not have the sha256 that was announced")
    upload.repository.objects[upload.sha256] = content


def put_object(hub, request, sha256):
    _keep(_link(hub, request), request.body)
    return Response(headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


def put_part(hub, request, sha256):
    upload, number = _link(hub, request), int(request.query["partNumber"])
    upload.parts[number] = request.body
    return Response(headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


def complete_multipart(hub, request):
    upload, asked = _link(hub, request), request.json()
    for part in asked["parts"]:
        content = upload.parts.get(part["partNumber"])
        if content is None or part["etag"].strip('"') != hashlib.md5(content).hexdigest():
            raise HubError(400, f"InvalidPart: {part['partNumber']}")
    _keep(upload, b"".join(upload.parts[part["partNumber"]] for part in asked["parts"]))
    return Response({"location": f"{hub.storage_url}/download/{upload.sha256}"})


def verify_object(hub, request, repo_id, kind=""):
    repository, asked = hub.find(request, kind or "models", repo_id, write=True), request.json()
    stored = repository.objects.get(asked["oid"])
    if stored is None or len(stored) != asked["size"]:
        raise HubError(404 if stored is None else 422, f"Object {asked['oid']} is not as announced")
    return Response({"message": "OK"})


def get_object(hub, request, sha256):
    repository = hub.uploads.get(request.query.get("key"))
    content = getattr(repository, "objects", {}).get(sha256)
    if content is None:
        raise HubError(403, "AccessDenied: Request has expired")
    return ranged(request, content, {"ETag": f'"{hashlib.md5(content).hexdigest()}"', "Accept-Ranges": "bytes"})


def commit(hub, request, kind, repo_id, revision):
    """One commit from its lines: a header, then what is added, deleted and copied."""
    pull = request.query.get("create_pr") == "1"
    repository = hub.find(request, kind, repo_id, write=not pull)
    if request.token is None:
        raise HubError(401, "Invalid username or password.")
    ref = _branch(repository, revision)
    try:
        lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
        header = next(line["value"] for line in lines if line["key"] == "header")
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise HubError(400, f"Malformed commit: {error!r}") from error
    head = repository.refs[ref]
    if header.get("parentCommit") not in (None, head):
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    if not header.get("summary"):
        raise HubError(400, '"summary" is not allowed to be empty')
    tree = dict(repository.commits[head].tree)
    for line in lines:
        _change(repository, tree, line["key"], line["value"])
    _check_tree(repository, tree)
    if pull:
        number = 1 + sum(name.startswith("refs/pr/") for name in repository.refs)
        ref = f"refs/pr/{number}"
        repository.refs[ref] = head
    made = repository.commit(ref, tree, header["summary"], header.get("description", ""), request.token.user)
    answer = {"success": True, "commitOid": made.oid, "commitUrl": f"{hub.url}/{repository.path}/commit/{made.oid}"}
    if pull:
        answer["pullRequestUrl"] = f"{hub.url}/{repository.path}/discussions/{number}"
    return Response({**answer, "hookOutput": ""})


def _change(repository, tree, key, value):
    path = value.get("path", "")
    if key == "file":
        content = value["content"]
        content = base64.b64decode(content) if value.get("encoding") == "base64" else content.encode()
        if len(content) > LARGE:
            raise HubError(400, f"Your push was rejected: {path} is larger than 10 MiB and not LFS")
        tree[path] = repository.store(content)
    elif key == "lfsFile":
        tree[path] = repository.link(value["oid"])
    elif key in ("deletedFile", "deletedFolder"):
        gone = [
            name for name in tree if name == path or (key != "deletedFile" and name.startswith(path.rstrip("/") + "/"))
        ]
        if not gone:
            raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        for name in gone:
            del tree[name]
    elif key == "copyFile":
        source = repository.resolve(value["srcRevision"]).tree if value.get("srcRevision") else tree
        if value["srcPath"] not in source:
            raise HubError(404, f"A file with this name doesn't exist: {value['srcPath']}", "EntryNotFound")
        tree[path] = source[value["srcPath"]]
    elif key != "header":
        raise HubError(400, f"Malformed commit: unknown key {key!r}")


def _check_tree(repository, tree):
    """What the Hub's hooks refuse."""
    for path in tree:
        steps = path.split("/")
        if any(step in ("", ".", "..", ".git") for step in steps):
            raise HubError(400, f"Invalid path: {path!r}")
        if any("/".join(steps[:count]) in tree for count in range(1, len(steps))):
            raise HubError(400, f"Invalid path: {path!r} lies in a file")
    if "README.md" in tree:
        errors, _ = check_card(repository.read(tree["README.md"]).decode(errors="replace"))
        if errors:
            raise HubError(400, "Invalid metadata in README.md", errors=_messages(errors))


UPLOAD_ROUTES = [
    route("POST", r"/api/validate-yaml", validate_yaml),
    route("POST", REPO + r"/preupload/(?P<revision>[^/]+)", preupload),
    route("POST", REPO + r"/commit/(?P<revision>[^/]+)", commit),
    route("POST", _GIT + r"/info/lfs/objects/batch", lfs_batch),
    route("POST", _GIT + r"/info/lfs/objects/verify", verify_object),
    route("POST", r"/api/complete_multipart", complete_multipart),
]
STORAGE_ROUTES = [
    route("PUT", r"/upload/(?P<sha256>[0-9a-f]{64})", put_object),
    route("PUT", r"/part/(?P<sha256>[0-9a-f]{64})", put_part),
    route("GET", r"/download/(?P<sha256>[0-9a-f]{64})", get_object),
]
