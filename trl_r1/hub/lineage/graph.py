"""The ancestry of a checkpoint, read from the records of the stages that made it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl_r1.hub.lineage.file import decode_lineage, encode_lineage
from trl_r1.hub.lineage.nodes import LineageEdge, LineageNode
from trl_r1.hub.lineage.reading import MIXED, LineageReader, is_beside
from trl_r1.stage_record import LINEAGE_NAME, DataSource, write_json


__all__ = ["Lineage", "LineageEdge", "LineageNode", "hub_data_ids", "write_lineage"]

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")  # as old records have it, which name no commit


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
                Hash the weights and the other files that decide what a stage is, its own and those of every ancestor,
                and compare with its record and with what its child recorded.

        Raises:
            [`RecordError`]: when the stage or an ancestor has lost its record, the record is damaged, says what cannot
                be or contradicts another, or a folder holds other files than its record lists.
        """
        reader = LineageReader(verify=verify_weights)
        reader.add_stage(Path(folder))
        return cls(nodes=reader.nodes, edges=reader.edges)

    @classmethod
    def from_dict(cls, content: Any) -> Lineage:
        """
        Build a lineage from what [`Lineage.to_dict`] gave.

        Raises:
            [`RecordError`]: when it is damaged.
        """
        nodes, edges = decode_lineage(content, LINEAGE_NAME)
        return cls(nodes={node.key: node for node in nodes}, edges=edges)

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
        return [node.repo_id for node in self.ancestors() if node.repo_id and node.key in used]

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

    def base_models(self) -> list[str]:
        """
        Hub ids of the nearest ancestors that are on the Hub, from the checkpoint through what each started from.

        Stages published to the checkpoint's own repository, each on its branch, are passed over: no model is its own
        base.
        """
        return list(dict.fromkeys(self._nearest_on_hub(self.root)))

    def _nearest_on_hub(self, node: LineageNode) -> Iterator[str]:
        own = self.root.repository
        for parent in self._used_as(node, "base"):
            if parent.hub_id and not (parent.published_as and own in (parent.hub_id, parent.hub_id.split("/")[-1])):
                yield parent.hub_id
            else:
                yield from self._nearest_on_hub(parent)

    def license(self) -> str | None:
        """Licence by the `hub_license` of the checkpoint or its nearest ancestor, else as the base's card said."""
        return self._license(self.root)

    def _license(self, node: LineageNode) -> str | None:
        record = node.record
        if record is None:
            return node.license
        if given := record.config.get("hub_license"):
            return str(given)
        inherited = [self._license(parent) for parent in self._used_as(node, "base")]
        on_cards = [parent.license for parent in record.parents if parent.role == "base"]
        return next((license for license in (*inherited, *on_cards) if license), None)

    def languages(self) -> list[str]:
        """Language codes: of the data first, as frequent there, then of the models it started from."""
        found: list[str] = []
        for node in self._walk({"base", "data"}):
            sources = node.record.data if node.record else []
            found += [language for source in sources for language in source.languages]
            found += node.languages
        return list(dict.fromkeys(found))

    def datasets(self) -> list[str]:
        """Hub ids of the data, down to the nearest models and data sets that have a page of their own on the Hub."""
        found: list[str] = []
        for node in self._walk({"base", "data"}, beyond_hub=False):
            if node is not self.root and node.hub_id:
                continue
            for source in node.record.data if node.record else []:
                found += hub_data_ids(source, node)
            found += [parent.hub_id for parent in self._used_as(node, "data") if parent.hub_id]
        return list(dict.fromkeys(found))

    def _used_as(self, node: LineageNode, role: str) -> list[LineageNode]:
        return [parent for used_as, parent in self.parents(node) if used_as == role]

    def _walk(self, roles: Collection[str], *, beyond_hub: bool = True) -> Iterator[LineageNode]:
        """The checkpoint and its ancestors through some roles, nearest first, data before models; each once."""
        waiting, seen = [self.root], {self.root.key}
        while waiting:
            node = waiting.pop(0)
            yield node
            if node.hub_id and node is not self.root and not beyond_hub:
                continue
            parents = sorted(
                ((role, parent) for role, parent in self.parents(node) if role in roles),
                key=lambda item: item[0] != "data",
            )
            waiting += [parent for _, parent in parents if parent.key not in seen]
            seen.update(parent.key for _, parent in parents)

    def to_dict(self) -> dict[str, Any]:
        """
        The lineage as JSON, the same for the same records wherever they lie; see [`write_lineage`].

        Where the checkpoint itself was published is left out: its first push would differ from the second.
        """
        return encode_lineage([*self.ancestors(), dataclasses.replace(self.root, published_as=None)], self.edges)


def write_lineage(folder: str | Path, *, verify_weights: bool = True) -> Path:
    """
    Write the lineage of a stage beside it, as `lineage.json`, so that it can be read where its ancestors are not.

    It holds the record of the stage and of every ancestor, but for training curves and for files that are neither
    weights nor data, with the hash of the `stage.json` that each was read from.

    Returns:
        `Path`: the file.

    Raises:
        [`RecordError`]: as [`Lineage.from_folder`].
    """
    path = Path(folder) / LINEAGE_NAME
    write_json(path, Lineage.from_folder(folder, verify_weights=verify_weights).to_dict())
    return path


def hub_data_ids(source: DataSource, child: LineageNode) -> list[str]:
    """Hub ids among the names of a source; none for a folder."""
    names = source.source.split(MIXED)
    if source.revision is not None:
        return names
    return [
        name for name in names if HUB_ID.fullmatch(name) and not Path(name).exists() and not is_beside(name, child)
    ]


def _mermaid_text(text: str) -> str:
    """Text that Mermaid takes for nothing but text."""
    return "".join(letter if letter.isalnum() or letter in " _-./:" else f"#{ord(letter)};" for letter in text)
