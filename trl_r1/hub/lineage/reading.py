"""Following the records from a stage to its oldest ancestors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl_r1.errors import RecordError
from trl_r1.hub.lineage.checks import check_files, check_order, check_parent
from trl_r1.hub.lineage.file import decode_lineage, published_id
from trl_r1.hub.lineage.nodes import LineageEdge, LineageNode
from trl_r1.stage_record import (
    LINEAGE_NAME,
    RECORD_NAME,
    DataSource,
    Parent,
    check_plausible,
    has_stage_record,
    hash_file,
    hash_json,
    hash_weights,
    is_weight_file,
    read_json_record,
    read_stage_record,
    stage_folder,
)
from trl_r1.stage_record.hub_cache import find_snapshot, hash_snapshot_weights


MIXED = " + "  # between the names of a mixture with fractions, which is one source
DATA_DEPTH = 3  # a data set lies at most this many folders below the stage that wrote it

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class LineageReader:
    """
    Collects nodes and edges, every node after those it was made from.

    Args:
        verify (`bool`):
            Whether to hash files and compare them with the records.
    """

    verify: bool
    nodes: dict[str, LineageNode] = field(default_factory=dict)
    edges: list[LineageEdge] = field(default_factory=list)

    def add_stage(self, folder: Path, below: tuple[str, ...] = ()) -> LineageNode:
        """
        Add a stage after all it was made from.

        Raises:
            [`RecordError`]: when its record, or one it leads to, is missing, damaged or contradicted.
        """
        record = read_stage_record(folder)
        node = LineageNode(
            name=record.stage,
            folder=folder,
            record=record,
            record_sha256=hash_file(folder / RECORD_NAME),
            published_as=published_id(folder, record),
        )
        if node.key in below:
            raise RecordError(f"{folder}: its record names itself among its ancestors; run the stage again")
        if node.key in self.nodes:
            return self.nodes[node.key]
        check_plausible(record, folder / RECORD_NAME)
        for role, parent in self._find_parents(node, (*below, node.key)):
            self._link(parent.key, node.key, role)
        if self.verify:
            check_files(folder, record)
        self.nodes[node.key] = node
        return node

    def _link(self, parent: str, child: str, role: str) -> None:
        edge = LineageEdge(parent, child, role)
        if edge not in self.edges:
            self.edges.append(edge)

    def _find_parents(self, node: LineageNode, below: tuple[str, ...]) -> Iterator[tuple[str, LineageNode]]:
        if node.folder is None or node.record is None:
            return
        for parent in node.record.parents:
            found = self._add_parent(parent, node, below)
            check_parent(parent, found, node)
            yield parent.role, found
        for source in node.record.data:
            for folder in find_data_stages(source, node):
                found = self.add_stage(folder, below)
                check_order(found, node)
                yield "data", found

    def _add_parent(self, parent: Parent, child: LineageNode, below: tuple[str, ...]) -> LineageNode:
        """Add a model that a stage used, with its own ancestors if a record tells of them."""
        folders = [path for path in _candidates(Path(parent.name_or_path), child) if path.is_dir()]
        if parent.revision is not None or (parent.stage is None and parent.weights_sha256 is None):
            known = parent.weights_sha256 if parent.revision is not None else None
            if known and any(hash_weights(path) == known for path in folders):
                raise RecordError(
                    f"{child.folder}/{RECORD_NAME}: parents: {parent.name_or_path!r}: revision {parent.revision!r}, "
                    "but it is a folder; bring the record back from a copy or run the stage again"
                )
            return self._add_hub_model(parent, child)
        if not folders:
            raise RecordError(
                f"{child.folder}: its {parent.role} {parent.name_or_path!r} is gone; bring the folder back or run the "
                "pipeline again"
            )
        if self.verify and parent.weights_sha256:
            folders = [path for path in folders if hash_weights(path) == parent.weights_sha256]
        if not folders:
            raise RecordError(
                f"{parent.name_or_path}: holds other weights than those {child.folder} was made from; "
                "run the pipeline again"
            )
        folder = folders[0]
        home = stage_folder(folder)
        if parent.stage is None and home is None:
            return self._add_leaf(LineageNode(name=parent.name_or_path, folder=folder, **_card_of(parent)))
        return self.add_stage(home or folder, below)

    def _add_leaf(self, node: LineageNode) -> LineageNode:
        return self.nodes.setdefault(node.key, node)

    def _add_hub_model(self, parent: Parent, child: LineageNode) -> LineageNode:
        """A model of the Hub: with its own ancestors, where it was published with its lineage."""
        name, revision = parent.name_or_path, parent.revision
        leaf = LineageNode(name=name, repo_id=name, revision=revision, **_card_of(parent))
        if leaf.key in self.nodes:
            return self.nodes[leaf.key]
        snapshot = find_snapshot(name, revision) if revision else None
        if snapshot is None:
            return self._add_leaf(leaf)
        if self.verify and parent.weights_sha256 not in (None, weights := hash_snapshot_weights(snapshot)) and weights:
            raise RecordError(
                f"{child.folder}/{RECORD_NAME}: parents: {name!r} at {revision}: weights_sha256 "
                f"{parent.weights_sha256}, but the cache holds {weights}; load it anew or run the stage again"
            )
        if not (snapshot / LINEAGE_NAME).is_file():
            return self._add_leaf(leaf)
        return self._graft(leaf, snapshot, parent.weights_sha256)

    def _graft(self, leaf: LineageNode, snapshot: Path, weights: str | None) -> LineageNode:
        """Go on through a lineage that was published; one that does not fit the weights beside it says nothing."""
        path = snapshot / LINEAGE_NAME
        try:
            nodes, edges = decode_lineage(read_json_record(path), path, prefix=f"{leaf.key}#", root=leaf)
        except RecordError as error:
            logger.warning("%s: its published lineage is left out: %s", leaf.key, error)
            return self._add_leaf(leaf)
        root = nodes[-1]
        recorded = _recorded_weights(root, snapshot)
        if weights and recorded != weights:
            logger.warning("%s: its published lineage is left out: it is of other weights", leaf.key)
            return self._add_leaf(leaf)
        for node in nodes:
            self._add_leaf(node)
        for edge in edges:
            self._link(edge.parent, edge.child, edge.role)
        return root


def _card_of(parent: Parent) -> dict[str, Any]:
    return {"license": parent.license, "languages": tuple(parent.languages)}


def _recorded_weights(node: LineageNode, snapshot: Path) -> str | None:
    """The hash of a snapshot's weight files, as the record that lies beside them has it."""
    items = node.record.artefacts if node.record else []
    digests = sorted((item.path, item.sha256) for item in items if is_weight_file(item.path) and "/" not in item.path)
    digests = [(path, digest) for path, digest in digests if (snapshot / path).is_file()]
    return hash_json(digests) if digests else None


def _candidates(path: Path, child: LineageNode) -> list[Path]:
    """Where a recorded path may lead: first to its place beside the child, which may have been moved with it."""
    beside = _beside(path, child)
    return [path] if beside is None else [beside, path]


def _beside(path: Path, child: LineageNode) -> Path | None:
    """Where a path within the child's pipeline leads now; `None` for one from elsewhere."""
    home = Path(str(child.record.config.get("output_dir") or "")).parent if child.record else Path()
    if child.folder is None or home == Path() or not path.is_relative_to(home):
        return None
    return child.folder.parent / path.relative_to(home)


def is_beside(name: str, child: LineageNode) -> bool:
    """Whether a recorded path lies within the child's pipeline."""
    return _beside(Path(name), child) is not None


def find_data_stages(source: DataSource, child: LineageNode) -> Iterator[Path]:
    """
    Folders of the stages that wrote a data set; none for data from elsewhere.

    Raises:
        [`RecordError`]: when it lay beside the child, and is gone.
    """
    whole = any(path.exists() for path in _candidates(Path(source.source), child))
    if source.revision is not None:  # of the Hub
        if whole:
            raise RecordError(
                f"{child.folder}/{RECORD_NAME}: data: {source.source!r}: revision {source.revision!r}, but it is a "
                "folder; bring the record back from a copy or run the stage again"
            )
        return
    for name in [source.source] if whole else source.source.split(MIXED):
        places = _candidates(Path(name), child)
        if len(places) > 1 and not any(path.exists() for path in places):
            raise RecordError(
                f"{child.folder}: its data {name!r} is gone; bring the folder back or run the pipeline again"
            )
        found = [
            folder for path in places if path.exists() for folder in _with_parents(path) if has_stage_record(folder)
        ]
        yield from (folder for folder in found[:1] if not _is_same(folder, child.folder))  # rows laid in its own


def recorded_folders(name: str) -> list[Path]:
    """Folders of the stages that left a model or data set of a recipe; none for what is from elsewhere."""
    paths = [Path(part) for part in ([name] if Path(name).exists() else name.split(MIXED))]
    homes = [[place for place in _with_parents(path) if has_stage_record(place)] for path in paths if path.exists()]
    return [found[0] for found in homes if found]


def _is_same(folder: Path, other: Path | None) -> bool:
    return other is not None and folder.resolve() == other.resolve()


def _with_parents(path: Path) -> list[Path]:
    return [path, *list(path.parents)[:DATA_DEPTH]]
