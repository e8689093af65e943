"""`lineage.json`, a lineage that travels with a checkpoint, and `published.json`, which says where one went."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl_r1.errors import RecordError
from trl_r1.hub.lineage.nodes import LineageEdge, LineageNode
from trl_r1.stage_record import (
    DATA_SUFFIXES,
    PUBLISHED_NAME,
    StageRecord,
    is_weight_file,
    plain_json,
    read_json_record,
    read_record_content,
)
from trl_r1.stage_record.plausibility import read_moment
from trl_r1.stage_record.typed_reading import read_typed


LINEAGE_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A node in the file."""

    name: str
    record: dict[str, Any] | None = None
    record_sha256: str | None = None
    repo_id: str | None = None
    revision: str | None = None
    published_as: str | None = None
    license: str | None = None
    languages: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    """An edge in the file, by the numbers of its nodes."""

    parent: int
    child: int
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    lineage_version: int
    nodes: list[_Node]
    edges: list[_Edge]


def encode_lineage(nodes: Sequence[LineageNode], edges: Sequence[LineageEdge]) -> dict[str, Any]:
    """
    A lineage as JSON: every record but its training curve and answers, and which of the nodes was made from which.

    It says nothing of where the folders lie, so that a moved run gives the same text.
    """
    numbers = {node.key: number for number, node in enumerate(nodes)}
    content = _File(
        lineage_version=LINEAGE_VERSION,
        nodes=[_encode_node(node) for node in nodes],
        edges=[_Edge(parent=numbers[e.parent], child=numbers[e.child], role=e.role) for e in edges],
    )
    encoded: dict[str, Any] = plain_json(dataclasses.asdict(content))
    return encoded


def _encode_node(node: LineageNode) -> _Node:
    return _Node(
        name=node.name,
        record=_encode_record(node.record) if node.record else None,
        record_sha256=node.record_sha256,
        repo_id=node.repo_id,
        revision=node.revision,
        published_as=node.published_as,
        license=node.license,
        languages=list(node.languages),
    )


def _encode_record(record: StageRecord) -> dict[str, Any]:
    """A record without what only its own card needs: its curve, and files other than weights and data."""
    kept = [item for item in record.artefacts if is_weight_file(item.path) or item.path.endswith(DATA_SUFFIXES)]
    return dataclasses.asdict(dataclasses.replace(record, history=[], artefacts=kept))


def decode_lineage(
    content: Any, path: str | Path, prefix: str = "", root: LineageNode | None = None
) -> tuple[list[LineageNode], list[LineageEdge]]:
    """
    Nodes and edges from the JSON of [`encode_lineage`].

    Args:
        content (`Any`):
            Parsed JSON.
        path (`str` or `Path`):
            Of the file, for messages.
        prefix (`str`, *optional*):
            What the keys of its nodes begin with, to tell them from those of other lineages.
        root ([`LineageNode`], *optional*):
            What the checkpoint itself, the last node, is known as.

    Raises:
        [`RecordError`]: when it is damaged: a field, a record, or an edge that does not lead from older to newer.
    """
    try:
        file = read_typed(_File, content)
    except RecordError as error:
        raise RecordError(f"{path}: damaged lineage: {error}") from error
    if file.lineage_version != LINEAGE_VERSION:
        raise RecordError(f"{path}: lineage_version is {file.lineage_version}, this trl_r1 reads {LINEAGE_VERSION}")
    count = len(file.nodes)
    if not count or not all(0 <= edge.parent < edge.child < count for edge in file.edges):
        raise RecordError(f"{path}: damaged lineage: edges do not lead from one of its {count} nodes to a later one")
    nodes = [_decode_node(node, number, path, prefix) for number, node in enumerate(file.nodes)]
    if root is not None:
        last = nodes[-1]
        nodes[-1] = dataclasses.replace(root, record=last.record, record_sha256=last.record_sha256)
    edges = [LineageEdge(nodes[edge.parent].key, nodes[edge.child].key, edge.role) for edge in file.edges]
    return nodes, edges


def _decode_node(node: _Node, number: int, path: str | Path, prefix: str) -> LineageNode:
    record = read_record_content(node.record, f"{path}: {node.name}") if node.record is not None else None
    return LineageNode(
        name=node.name,
        record=record,
        record_sha256=node.record_sha256,
        repo_id=node.repo_id,
        revision=node.revision,
        published_as=node.published_as,
        license=node.license,
        languages=tuple(node.languages),
        place=f"{prefix}{number}",
    )


def published_id(folder: Path, record: StageRecord) -> str | None:
    """
    Id of the repository a stage was published to, as its `published.json` says.

    What was published before the stage finished anew is of other weights, and does not count.

    Raises:
        [`RecordError`]: when the file is damaged.
    """
    path = folder / PUBLISHED_NAME
    if not path.is_file():
        return None
    content = read_json_record(path, fix="delete it and publish again")
    texts = content if isinstance(content, dict) else {}
    repo_id, when = (texts.get(name) for name in ("repo_id", "when"))
    moment = read_moment(when) if isinstance(when, str) else None
    if not (isinstance(repo_id, str) and repo_id) or moment is None:
        raise RecordError(f"{path}: damaged: repo_id or when is missing; delete it and publish again")
    finished = read_moment(record.finished)
    return repo_id if finished is None or moment >= finished else None
