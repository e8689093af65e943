"""What a loopback Hub keeps: content-addressed blobs, commits with parents and trees, branches, tags; as git does."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"
MAIN = "refs/heads/main"
_UNSAFE_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^/|/$|\.$|\.lock$|^-|^@$|(^|/)\.")
_SHA = re.compile(r"[0-9a-f]{7,40}")


class HubError(Exception):
    """An answer of the Hub that is an error: its status, message, `X-Error-Code` and further fields of the body."""

    def __init__(self, status, message, code=None, **body):
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


def git_hash(kind, content):
    """Name git gives to an object."""
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


def timestamp():
    """Now, as the Hub writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Entry:
    """A file of a tree: its git name (of the pointer if it is LFS), size of its content in bytes, and LFS name."""

    oid: str
    size: int
    sha256: str | None = None

    @property
    def pointer_size(self):
        return len(POINTER.format(oid=self.sha256, size=self.size))

    def lfs(self, name="oid"):
        """The `lfs` object of a listing; repository info calls the hash `sha256`, everything else `oid`."""
        return {name: self.sha256, "size": self.size, "pointerSize": self.pointer_size}


@dataclass(frozen=True)
class Commit:
    """A state of a repository: its files by path, and where it came from."""

    oid: str
    tree: dict
    parents: tuple
    title: str
    message: str
    author: str
    date: str


@dataclass
class Repository:
    """One repository with its objects and refs."""

    repo_id: str
    repo_type: str
    private: bool = False
    gated: bool = False
    sdk: str | None = None
    created: str = field(default_factory=timestamp)
    blobs: dict = field(default_factory=dict)  # git name -> bytes
    objects: dict = field(default_factory=dict)  # sha256 -> bytes, the LFS storage
    commits: dict = field(default_factory=dict)
    refs: dict = field(default_factory=dict)  # refs/heads/*, refs/tags/*, refs/pr/* -> name of a commit

    @property
    def namespace(self):
        return self.repo_id.split("/")[0]

    @property
    def path(self):
        """Its path on the web site, without a leading slash."""
        return self.repo_id if self.repo_type == "model" else f"{self.repo_type}s/{self.repo_id}"

    def store(self, content):
        """Keep a regular file."""
        oid = git_hash("blob", content)
        self.blobs[oid] = content
        return Entry(oid, len(content))

    def link(self, sha256):
        """A pointer to an object that has been uploaded."""
        if sha256 not in self.objects:
            raise HubError(
                400, f"Your push was rejected because an LFS pointer pointed to a file that does not exist: {sha256}"
            )
        size = len(self.objects[sha256])
        return Entry(self.store(POINTER.format(oid=sha256, size=size).encode()).oid, size, sha256)

    def read(self, entry):
        """Content of a file."""
        return self.blobs[entry.oid] if entry.sha256 is None else self.objects[entry.sha256]

    def find_ref(self, revision):
        """Full name of a branch, tag or pull request, or `None`."""
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in self.refs:
                return ref
        return None

    def resolve(self, revision):
        """The commit that a branch, a tag or a hash (7 digits are enough) names."""
        ref = self.find_ref(revision)
        if ref:
            return self.commits[self.refs[ref]]
        if _SHA.fullmatch(revision):
            for oid, commit in self.commits.items():
                if oid.startswith(revision):
                    return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commit(self, ref, tree, title, message="", author="system"):
        """Move `ref` to a new commit with these files."""
        parents = (self.refs[ref],) if ref in self.refs else ()
        date = timestamp()
        lines = [f"tree {tree_hash(tree)}", *(f"parent {parent}" for parent in parents), f"author {author} {date}"]
        oid = git_hash("commit", "\n".join([*lines, "", title, message, str(len(self.commits))]).encode())
        self.commits[oid] = Commit(oid, dict(sorted(tree.items())), parents, title, message, author, date)
        self.refs[ref] = oid
        return self.commits[oid]

    def add_ref(self, ref, oid, what):
        """Make a branch or a tag."""
        name = ref.split("/", 2)[2]
        if not name or _UNSAFE_REF.search(name):
            raise HubError(400, f"Invalid reference for a {what}: {ref}")
        if ref in self.refs:
            raise HubError(409, "Reference already exists" if what == "branch" else "Tag reference exists already")
        if any(other.startswith(f"{ref}/") or ref.startswith(f"{other}/") for other in self.refs):
            raise HubError(400, f"{ref} conflicts with an existing reference")
        self.refs[ref] = oid

    def history(self, commit):
        """A commit and its ancestors, newest first."""
        found = [commit]
        while found[-1].parents:
            found.append(self.commits[found[-1].parents[0]])
        return found


def folders(tree):
    """Every folder of a tree."""
    return {path[:index] for path in tree for index, letter in enumerate(path) if letter == "/"}


def tree_hash(tree, prefix=""):
    """Name git gives to a folder of a tree."""
    rows = {}
    for path, entry in tree.items():
        if path.startswith(prefix):
            name, slash, _ = path[len(prefix) :].partition("/")
            # A folder sorts as if its name ended with a slash.
            rows[name + slash] = ("40000" if slash else "100644", name, None if slash else entry.oid)
    content = b""
    for key in sorted(rows, key=str.encode):
        mode, name, oid = rows[key]
        content += f"{mode} {name}\0".encode() + bytes.fromhex(oid or tree_hash(tree, f"{prefix}{key}"))
    return git_hash("tree", content)
