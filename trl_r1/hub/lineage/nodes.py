"""The parts of a lineage: stages and models, and who used what for what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trl_r1.stage_record import StageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """
    A stage, or a model that no record tells of.

    Args:
        name (`str`):
            The stage's name, a Hub id, or the path of a folder without record.
        folder (`Path` or `None`):
            Where it is; `None` for what is not on this disk.
        record ([`~trl_r1.stage_record.StageRecord`] or `None`):
            Its record; `None` for a model that came without one.
        record_sha256 (`str` or `None`):
            Hash of the `stage.json` that the record was read from.
        repo_id, revision (`str` or `None`):
            Of a model of the Hub that was used from there: its id, and the commit where it is known.
        published_as (`str` or `None`):
            Id on the Hub that a local stage was published under, as its `published.json` says.
        license (`str` or `None`), languages (`tuple[str, ...]`):
            Of a model without a record: what its card said when it was used.
        place (`str` or `None`):
            Of what is known from a published lineage only: which one of which lineage.
    """

    name: str
    folder: Path | None = None
    record: StageRecord | None = None
    record_sha256: str | None = None
    repo_id: str | None = None
    revision: str | None = None
    published_as: str | None = None
    license: str | None = None
    languages: tuple[str, ...] = ()
    place: str | None = None

    @property
    def key(self) -> str:
        """What tells it from other nodes."""
        if self.place:
            return self.place
        if self.folder:
            return str(self.folder.resolve())
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def is_hub_id(self) -> bool:
        """Whether it is a model of the Hub."""
        return self.repo_id is not None

    @property
    def hub_id(self) -> str | None:
        """Its id on the Hub, whether it was used from there or published from here."""
        return self.repo_id or self.published_as

    @property
    def repository(self) -> str | None:
        """Where it is on the Hub or, before it is published, where its recipe sends it, maybe without an owner."""
        asked = self.record.config.get("hub_model_id") if self.record else None
        return self.hub_id or (str(asked) if asked else None)


@dataclass(frozen=True, slots=True)
class LineageEdge:
    """`child` used `parent` as its `role`: `"base"`, `"teacher"`, `"reward_model"`, `"data"` and so on."""

    parent: str  # keys of nodes
    child: str
    role: str
