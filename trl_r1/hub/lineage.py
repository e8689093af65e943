"""The ancestry of a checkpoint, read from the records of the stages that made it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trl_r1.errors import RecordError
from trl_r1.stage_record import (
    DataSource,
    Parent,
    StageRecord,
    has_stage_record,
    hash_weights,
    read_stage_record,
)


DATA_DEPTH = 3  # a data set lies at most this many folders below the stage that wrote it


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """
    A stage, or a model that no record tells of.

    Args:
        name (`str`):
            The stage's name, a Hub id, or the path of a folder without record.
        folder (`Path` or `None`):
            Where it is; `None` for a Hub id.
        record ([`~trl_r1.stage_record.StageRecord`] or `None`):
            Its record; `None` for a Hub id or a folder that never had one.
    """

    name: str
    folder: Path | None = None
    record: StageRecord | None = None

    @property
    def key(self) -> str:
        """What tells it from other nodes."""
        return str(self.folder.resolve()) if self.folder else self.name

    @property
    def is_hub_id(self) -> bool:
        """Whether it is a model of the Hub."""
        return self.folder is None


@dataclass(frozen=True, slots=True)
class LineageEdge:
    """`child` used `parent` as its `role`: `"base"`, `"teacher"`, `"reward_model"`, `"data"` and so on."""

    parent: str  # keys of nodes
    child: str
    role: str


@dataclass(slots=True)
class Lineage:
    """
    A checkpoint and all it was made from. Build it with [`Lineage.from_folder`].

    Args:
        nodes (`dict[str, LineageNode]`):
            By key, every node after those it was made from; the checkpoint itself is the last.
        edges (`list[LineageEdge]`):
            What was used for what.
    """

    nodes: dict[str, LineageNode] = field(default_factory=dict)
    edges: list[LineageEdge] = field(default_factory=list)

    @classmethod
    def from_folder(cls, folder: str | Path, *, verify_weights: bool = True) -> Lineage:
        """
        Follow the records from a stage's folder to its oldest ancestors.

        Args:
            folder (`str` or `Path`):
                Folder with a `stage.json`.
            verify_weights (`bool`, *optional*, defaults to `True`):
                Hash the weights of every ancestor and compare with what its child recorded.

        Raises:
            [`RecordError`]: when the stage or an ancestor has lost its record, the record is damaged, or an ancestor
                holds other weights than those its child started from.
        """
        lineage = cls()
        lineage._add(Path(folder), verify_weights, ())
        return lineage

    @property
    def root(self) -> LineageNode:
        """The checkpoint itself."""
        return list(self.nodes.values())[-1]

    def ancestors(self) -> list[LineageNode]:
        """Every node but the checkpoint itself, oldest first."""
        return list(self.nodes.values())[:-1]

    def hub_models(self, role: str | None = None) -> list[str]:
        """Hub ids among the ancestors, those used in one role if given."""
        used = {edge.parent for edge in self.edges if role is None or edge.role == role}
        return [node.name for node in self.ancestors() if node.is_hub_id and node.key in used]

    def parents(self, node: LineageNode) -> Iterator[tuple[str, LineageNode]]:
        """Role and node of each direct parent."""
        for edge in self.edges:
            if edge.child == node.key:
                yield edge.role, self.nodes[edge.parent]

    def to_mermaid(self) -> str:
        """The graph as Mermaid source, which the Hub and GitHub draw."""
        numbers = {key: f"n{index}" for index, key in enumerate(self.nodes)}
        lines = ["graph LR"]
        for key, node in self.nodes.items():
            shape = '(["{}"])' if node.record is None else '["{}"]'
            lines.append(f"    {numbers[key]}{shape.format(_mermaid_text(node.name))}")
        for edge in self.edges:
            lines.append(f"    {numbers[edge.parent]} -->|{_mermaid_text(edge.role)}| {numbers[edge.child]}")
        return "\n".join(lines)

    def _add(self, folder: Path, verify: bool, below: tuple[str, ...]) -> LineageNode:
        """Add a stage after all it was made from."""
        record = read_stage_record(folder)
        node = LineageNode(name=record.stage, folder=folder, record=record)
        if node.key in below:
            raise RecordError(f"{folder}: its record names itself among its ancestors; run the stage again")
        if node.key in self.nodes:
            return node
        for role, parent in self._find_parents(node, verify, (*below, node.key)):
            edge = LineageEdge(parent.key, node.key, role)
            if edge not in self.edges:
                self.edges.append(edge)
        self.nodes[node.key] = node
        return node

    def _find_parents(
        self, node: LineageNode, verify: bool, below: tuple[str, ...]
    ) -> Iterator[tuple[str, LineageNode]]:
        if node.folder is None or node.record is None:
            return
        for parent in node.record.parents:
            yield parent.role, self._add_parent(parent, node, verify, below)
        for source in node.record.data:
            folder = _find_data_stage(source, node)
            if folder is not None:
                yield "data", self._add(folder, verify, below)

    def _add_parent(self, parent: Parent, child: LineageNode, verify: bool, below: tuple[str, ...]) -> LineageNode:
        """Add a model that a stage used, with its own ancestors if a record tells of them."""
        if parent.stage is None and parent.weights_sha256 is None:  # no folder when it was used: a model of the Hub
            return self._add_leaf(LineageNode(name=parent.name_or_path))
        folders = [path for path in _candidates(Path(parent.name_or_path), child) if path.is_dir()]
        if not folders:
            raise RecordError(
                f"{child.folder}: its {parent.role} {parent.name_or_path!r} is gone; bring the folder back or run the "
                "pipeline again"
            )
        if verify and parent.weights_sha256:
            folders = [path for path in folders if hash_weights(path) == parent.weights_sha256]
        if not folders:
            raise RecordError(
                f"{parent.name_or_path}: holds other weights than those {child.folder} was made from; "
                "run the pipeline again"
            )
        folder = folders[0]
        if parent.stage is None and not has_stage_record(folder):
            return self._add_leaf(LineageNode(name=parent.name_or_path, folder=folder))
        return self._add(folder, verify, below)

    def _add_leaf(self, node: LineageNode) -> LineageNode:
        return self.nodes.setdefault(node.key, node)


def _candidates(path: Path, child: LineageNode) -> list[Path]:
    """Where a recorded path may lead: first to its place beside the child, which may have been moved with it."""
    found = [path]
    if child.folder and child.record and (home := child.record.config.get("output_dir")):
        home = Path(str(home)).parent
        if path.is_relative_to(home):
            found.insert(0, child.folder.parent / path.relative_to(home))
    return found


def _find_data_stage(source: DataSource, child: LineageNode) -> Path | None:
    """Folder of the stage that wrote a data set; `None` for data from elsewhere."""
    for path in _candidates(Path(source.source), child):
        for folder in (path, *list(path.parents)[:DATA_DEPTH]):
            if path.exists() and has_stage_record(folder):
                return folder
    return None


def _mermaid_text(text: str) -> str:
    """Text that Mermaid takes for nothing but text."""
    return "".join(letter if letter.isalnum() or letter in " _-./:" else f"#{ord(letter)};" for letter in text)
