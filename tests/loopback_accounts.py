"""Who may do what on a loopback Hub: users, organisations, tokens."""

import hashlib
from dataclasses import dataclass, field

from loopback_storage import HubError, timestamp


WRITING_ROLES = {"admin", "write", "contributor"}


@dataclass(frozen=True)
class Token:
    """A user's token: role `"read"`, `"write"` or `"fineGrained"` with permissions by user, organisation or repo."""

    user: str
    role: str
    scopes: dict = field(default_factory=dict)

    def allows(self, permission, repo_id):
        """Whether a fine-grained token holds a permission on a repository (or on its namespace)."""
        names = (repo_id, repo_id.split("/")[0])
        return any(permission in self.scopes.get(name, ()) for name in names)


class Accounts:
    """Users, the organisations they belong to, and their tokens."""

    def __init__(self):
        self.users = {}  # name -> {organisation: role in it}
        self.tokens = {}

    def add(self, name, token, role, orgs, scopes):
        self.users.setdefault(name, {}).update(orgs or {})
        self.tokens[token] = Token(name, role, dict(scopes or {}))

    def authenticate(self, headers):
        """Token of a request; `None` without one."""
        kind, _, secret = (headers.get("authorization") or "").partition(" ")
        if not kind:
            return None
        if kind != "Bearer" or secret not in self.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.tokens[secret]

    def role(self, token, namespace):
        """What a token's owner is in a namespace: `"admin"` in the own one, `None` in a stranger's."""
        return "admin" if token.user == namespace else self.users[token.user].get(namespace)

    def can_read(self, token, repo_id):
        """Whether a private repository exists for this token."""
        if token is None or self.role(token, repo_id.split("/")[0]) is None:
            return False
        needed = ("repo.content.read", "repo.write")
        return token.role != "fineGrained" or any(token.allows(name, repo_id) for name in needed)

    def require_write(self, token, repo_id, action="write to"):
        """Refuse with 401 or 403 what this token may not change."""
        if token is None:
            raise HubError(401, "Invalid username or password.")
        namespace = repo_id.split("/")[0]
        if token.role == "read":
            raise HubError(403, "Forbidden: you must use a write token to upload to a repository.")
        fine = token.role != "fineGrained" or token.allows("repo.write", repo_id)
        if not fine or self.role(token, namespace) not in WRITING_ROLES:
            raise HubError(403, f"Forbidden: you don't have the rights to {action} {repo_id} in namespace {namespace}")

    def require_create(self, token, repo_id, action):
        """A token for one repository makes none."""
        namespace = repo_id.split("/")[0]
        if token is not None and token.role == "fineGrained" and "repo.write" not in token.scopes.get(namespace, ()):
            raise HubError(403, f"Forbidden: you don't have the rights to {action} in namespace {namespace}")
        self.require_write(token, repo_id, action)

    def whoami(self, token):
        """Answer of `/api/whoami-v2`."""
        if token is None:
            raise HubError(401, "Invalid username or password.")
        access = {"displayName": "loopback", "role": token.role, "createdAt": timestamp()}
        if token.role == "fineGrained":
            scoped = [self._scope(name, list(permissions)) for name, permissions in token.scopes.items()]
            access["fineGrained"] = {"canReadGatedRepos": False, "global": [], "scoped": scoped}
        return {
            **_person("user", token.user),
            "email": f"{token.user}@example.org",
            "emailVerified": True,
            "canPay": False,
            "isPro": False,
            "periodEnd": None,
            "orgs": [
                {**_person("org", name), "isEnterprise": False, "canPay": False, "roleInOrg": role}
                for name, role in self.users[token.user].items()
            ],
            "auth": {"type": "access_token", "accessToken": access},
        }

    def _scope(self, name, permissions):
        kind = "model" if "/" in name else "user" if name in self.users else "org"
        return {"entity": {"_id": object_id(name), "type": kind, "name": name}, "permissions": permissions}


def object_id(text):
    """A database id of 24 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _person(kind, name):
    return {"type": kind, "id": object_id(name), "name": name, "fullname": name.title(), "avatarUrl": ""}
