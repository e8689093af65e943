"""Routes of a loopback Hub about repositories: create, settings, information, refs, history, commits."""

import re

from loopback_metadata import card_metadata, evaluation_results
from loopback_server import Response
from loopback_storage import MAIN, HubError


_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")
REPO = r"/api/(?P<kind>models|datasets|spaces)/(?P<repo_id>[^/]+/[^/]+)"


def route(method, pattern, answer):
    """A row of a table of routes."""
    return method, re.compile(pattern), answer


def whoami(hub, request):
    return Response(hub.accounts.whoami(request.token))


def _named(request):
    """Type and id in the body of a create or delete."""
    asked = request.json()
    if request.token is None:
        raise HubError(401, "Invalid username or password.")
    repo_type, namespace = asked.get("type") or "model", asked.get("organization") or request.token.user
    return asked, repo_type, f"{namespace}/{asked.get('name')}"


def create(hub, request):
    asked, repo_type, repo_id = _named(request)
    name = repo_id.split("/", 1)[1]
    if repo_type not in ("model", "dataset", "space"):
        raise HubError(400, f"Invalid repo type {repo_type}")
    if not _NAME.fullmatch(name) or ".." in name or "--" in name or name.endswith((".git", ".ipynb", "-", ".")):
        raise HubError(400, f"Invalid repo name: {repo_id}")
    hub.accounts.require_create(request.token, repo_id, f"create a {repo_type}")
    if (repo_type, repo_id) in hub.repositories:
        path = hub.repositories[repo_type, repo_id].path
        raise HubError(409, f"You already created this {repo_type} repo", url=f"{hub.url}/{path}")
    private = asked.get("visibility") == "private" or bool(asked.get("private"))
    made = hub.create(repo_id, repo_type, private=private, sdk=asked.get("sdk"))
    return Response({"url": f"{hub.url}/{made.path}", "name": repo_id, "id": repo_id})


def delete(hub, request):
    _, repo_type, repo_id = _named(request)
    hub.find(request, f"{repo_type}s", repo_id, write=True)
    del hub.repositories[repo_type, repo_id]
    return Response(b"OK")


def change_settings(hub, request, kind, repo_id):
    repository, asked = hub.find(request, kind, repo_id, write=True), request.json()
    if "visibility" in asked or "private" in asked:
        repository.private = asked.get("visibility") == "private" or bool(asked.get("private"))
    repository.gated = asked.get("gated", repository.gated)
    return Response({"private": repository.private, "gated": repository.gated})


def information(hub, request, kind, repo_id, revision=""):
    """`GET /api/models/x`: what `model_info` and its kin parse."""
    repository = hub.find(request, kind, repo_id)
    commit = repository.resolve(revision or "main")
    card = card_metadata(repository, commit)
    tags = card.get("tags") if isinstance(card.get("tags"), list) else []
    data = {
        "_id": commit.oid[:24],
        "id": repo_id,
        "modelId": repo_id,
        "author": repository.namespace,
        "sha": commit.oid,
        "lastModified": commit.date,
        "createdAt": repository.created,
        "private": repository.private,
        "gated": repository.gated and "auto",
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [*tags, *(f"license:{card['license']}" for _ in range("license" in card))],
        "cardData": card,
        "siblings": [_sibling(path, entry, request.query) for path, entry in commit.tree.items()],
        "usedStorage": sum(map(len, repository.objects.values())),
    }
    data |= {name: card[name] for name in ("pipeline_tag", "library_name") if name in card}
    if repository.repo_type == "space":
        data["sdk"] = repository.sdk
    expand = request.queries("expand")
    if "evalResults" in expand:
        data["evalResults"] = evaluation_results(repository, commit)
    return Response({key: value for key, value in data.items() if not expand or key in ("_id", "id", *expand)})


def _sibling(path, entry, query):
    sibling = {"rfilename": path}
    if query.get("blobs", "").lower() in ("1", "true"):
        sibling |= {"size": entry.size, "blobId": entry.oid}
        if entry.sha256:
            sibling["lfs"] = entry.lfs("sha256")
    return sibling


def check_access(hub, request, kind, repo_id, write=""):
    hub.find(request, kind, repo_id, content=True, write=bool(write))
    return Response({})


def list_refs(hub, request, kind, repo_id):
    repository = hub.find(request, kind, repo_id)

    def under(folder):
        start = f"refs/{folder}/"
        return [
            {"name": ref if folder == "pr" else ref.removeprefix(start), "ref": ref, "targetCommit": oid}
            for ref, oid in repository.refs.items()
            if ref.startswith(start)
        ]

    refs = {"branches": under("heads"), "tags": under("tags"), "converts": []}
    if request.query.get("include_prs") == "1":
        refs["pullRequests"] = under("pr")
    return Response(refs)


def create_branch(hub, request, kind, repo_id, name):
    repository = hub.find(request, kind, repo_id, write=True)
    start = repository.resolve(request.json().get("startingPoint") or "main")
    repository.add_ref(f"refs/heads/{name}", start.oid, "branch")
    return Response({"success": True})


def create_tag(hub, request, kind, repo_id, name):
    repository, tag = hub.find(request, kind, repo_id, write=True), request.json().get("tag") or ""
    repository.add_ref(f"refs/tags/{tag}", repository.resolve(name).oid, "tag")
    return Response({"success": True})


def delete_ref(hub, request, kind, repo_id, what, name):
    repository = hub.find(request, kind, repo_id, write=True)
    ref = f"refs/{'heads' if what == 'branch' else 'tags'}/{name}"
    if ref == MAIN:
        raise HubError(403, "Can't delete the main branch")
    if repository.refs.pop(ref, None) is None:
        raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return Response({"success": True})


def list_commits(hub, request, kind, repo_id, revision):
    repository = hub.find(request, kind, repo_id)
    found = repository.history(repository.resolve(revision))
    rows = [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.message,
            "date": commit.date,
            "authors": [{"user": commit.author, "avatar": ""}],
        }
        for commit in found
    ]
    response = paginate(hub, request, rows)
    response.headers["X-Total-Count"] = str(len(rows))
    return response


def squash(hub, request, kind, repo_id, branch):
    repository = hub.find(request, kind, repo_id, write=True)
    tree = repository.resolve(branch).tree
    del repository.refs[f"refs/heads/{branch}"]
    title = request.json().get("message") or f"Super-squash branch '{branch}'"
    repository.commit(f"refs/heads/{branch}", tree, title, author=request.token.user)
    return Response({"success": True})


def paginate(hub, request, rows):
    """A page of a listing, with a `Link` to the next."""
    start, size = int(request.query.get("cursor", 0)), int(request.query.get("limit", hub.page_size))
    headers = {}
    if start + size < len(rows):
        path = re.sub(r"[?&]cursor=\d+", "", request.path)
        link = f"{hub.url}{path}{'&' if '?' in path else '?'}cursor={start + size}"
        headers["Link"] = f'<{link}>; rel="next"'
    return Response(rows[start : start + size], headers=headers)


REPOSITORY_ROUTES = [
    route("GET", r"/api/whoami-v2", whoami),
    route("POST", r"/api/repos/create", create),
    route("DELETE", r"/api/repos/delete", delete),
    route("GET", REPO, information),
    route("GET", REPO + r"/revision/(?P<revision>[^/]+)", information),
    route("PUT", REPO + r"/settings", change_settings),
    route("GET", REPO + r"/auth-check(?P<write>/write)?", check_access),
    route("GET", REPO + r"/refs", list_refs),
    route("POST", REPO + r"/branch/(?P<name>[^/]+)", create_branch),
    route("POST", REPO + r"/tag/(?P<name>[^/]+)", create_tag),
    route("DELETE", REPO + r"/(?P<what>branch|tag)/(?P<name>[^/]+)", delete_ref),
    route("GET", REPO + r"/commits/(?P<revision>[^/]+)", list_commits),
    route("POST", REPO + r"/super-squash/(?P<branch>[^/]+)", squash),
]
