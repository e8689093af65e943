"""Routes of a loopback Hub about collections."""

import re
from dataclasses import dataclass, field

from loopback_accounts import object_id
from loopback_repositories import paginate, route
from loopback_server import Response
from loopback_storage import HubError, timestamp


_SLUG = r"/api/collections/(?P<slug>[^/]+/[^/]+)"
_LIMITS = {"title": 60, "description": 150, "note": 500}  # characters


@dataclass
class Collection:
    """A collection: its items are rows with `_id`, `id`, `type` and `note`, in order."""

    slug: str
    title: str
    namespace: str
    private: bool
    description: str | None = None
    theme: str = "purple"
    position: int = 0
    items: list = field(default_factory=list)
    updated: str = field(default_factory=timestamp)

    def describe(self):
        return {
            "slug": self.slug,
            "title": self.title,
            "description": self.description,
            "owner": {"type": "user", "name": self.namespace},
            "items": [{**item, "position": index} for index, item in enumerate(self.items)],
            "lastUpdated": self.updated,
            "position": self.position,
            "private": self.private,
            "theme": self.theme,
            "upvotes": 0,
            "isUpvotedByUser": False,
        }


def _limit(asked):
    for name, most in _LIMITS.items():
        if len(asked.get(name) or "") > most:
            raise HubError(400, f'"{name}" length must be less than or equal to {most} characters long')


def _find(hub, request, slug, write=False):
    found = hub.collections.get(slug)
    if found is None or (found.private and not hub.accounts.can_read(request.token, slug)):
        raise HubError(404, "Collection not found")
    if write:
        _require(hub, request, slug)
    return found


def _require(hub, request, slug):
    token = request.token
    fine = token is not None and token.role == "fineGrained"
    if fine and hub.accounts.role(token, slug.split("/")[0]) and token.allows("collection.write", slug):
        return
    if fine:
        raise HubError(403, "Forbidden: the token lacks the permission collection.write")
    hub.accounts.require_write(token, slug, "change")


def create(hub, request):
    asked = request.json()
    title, namespace = asked.get("title"), asked.get("namespace")
    if not title or not namespace:
        raise HubError(400, '"title" and "namespace" are required')
    _limit(asked)
    name = "-".join(re.findall(r"[a-z0-9.]+", title.lower())) or "collection"
    slug = f"{namespace}/{name}-{object_id(f'{namespace}/{title}')}"
    _require(hub, request, slug)
    if slug in hub.collections:
        raise HubError(409, "You already created a collection with this title", slug=slug)
    made = Collection(slug, title, namespace, bool(asked.get("private")), asked.get("description"))
    hub.collections[slug] = made
    return Response(made.describe())


def get(hub, request, slug):
    return Response(_find(hub, request, slug).describe())


def list_all(hub, request):
    owner, item = request.query.get("owner"), request.query.get("item", "")
    kind, _, item_id = item.partition("/")
    rows = [
        {key: value for key, value in found.describe().items() if key != "position"}
        for found in hub.collections.values()
        if (not owner or found.namespace == owner)
        and (not found.private or hub.accounts.can_read(request.token, found.slug))
        and (not item or any(row["id"] == item_id and f"{row['type']}s" == kind for row in found.items))
    ]
    return paginate(hub, request, rows)


def change(hub, request, slug):
    found, asked = _find(hub, request, slug, write=True), request.json()
    _limit(asked)
    for name in ("title", "description", "private", "theme", "position"):
        setattr(found, name, asked.get(name, getattr(found, name)))
    return Response({"success": True, "data": found.describe()})


def delete(hub, request, slug):
    _find(hub, request, slug, write=True)
    del hub.collections[slug]
    return Response({"success": True})


def add_item(hub, request, slug):
    found, asked = _find(hub, request, slug, write=True), request.json()
    kind, item_id = asked["item"]["type"], asked["item"]["id"]
    _limit(asked)
    if kind in ("model", "dataset", "space"):
        hub.find(request, f"{kind}s", item_id)
    if any(row["id"] == item_id and row["type"] == kind for row in found.items):
        raise HubError(409, f"Item {item_id} is already in the collection")
    row = {"_id": object_id(f"{slug} {kind} {item_id}"), "id": item_id, "type": kind}
    found.items.append(row | _note(asked))
    return Response(found.describe())


def _note(asked):
    return {"note": {"text": asked["note"], "html": asked["note"]}} if asked.get("note") else {}


def _item(found, item):
    for row in found.items:
        if row["_id"] == item:
            return row
    raise HubError(404, "Item not found in the collection")


def change_item(hub, request, slug, item):
    found, asked = _find(hub, request, slug, write=True), request.json()
    row = _item(found, item)
    _limit(asked)
    row |= _note(asked)
    if "position" in asked:
        found.items.remove(row)
        found.items.insert(asked["position"], row)
    return Response({"success": True})


def delete_item(hub, request, slug, item):
    found = _find(hub, request, slug, write=True)
    found.items.remove(_item(found, item))
    return Response({"success": True})


COLLECTION_ROUTES = [
    route("GET", r"/api/collections", list_all),
    route("POST", r"/api/collections", create),
    route("GET", _SLUG, get),
    route("PATCH", _SLUG, change),
    route("DELETE", _SLUG, delete),
    route("POST", _SLUG + r"/items", add_item),
    route("PATCH", _SLUG + r"/items/(?P<item>[^/]+)", change_item),
    route("DELETE", _SLUG + r"/items/(?P<item>[^/]+)", delete_item),
]
