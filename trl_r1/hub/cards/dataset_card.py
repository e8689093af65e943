"""The card of a data set that a stage made: counted from its rows, and read from its record and its ancestors'."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import RecordError
from trl_r1.hub.cards import dataset_tables
from trl_r1.hub.cards import tables as card_tables
from trl_r1.hub.cards.dataset_counts import SamplingCounts, filter_lines, read_counts
from trl_r1.hub.cards.dataset_files import DataFile, find_data_files, hub_configs, read_rows
from trl_r1.hub.cards.dataset_kinds import (
    COUNTED,
    GENERAL,
    MADE,
    REVIEWED,
    SUMMARIES,
    TAGS,
    derived_license,
    general_filter_lines,
    kind_sections,
    row_lines,
)
from trl_r1.hub.cards.dataset_rows import RowSummary, example_block
from trl_r1.hub.cards.facts import commands, configuration, reproduction
from trl_r1.hub.cards.licenses import license_fields
from trl_r1.hub.cards.markdown import one_line
from trl_r1.hub.cards.text import render, seal, write_whole
from trl_r1.hub.cards.together import CARD_NAME, write_cards
from trl_r1.hub.cards.usage import cite
from trl_r1.hub.lineage import Lineage
from trl_r1.hub.publishing.published import read_published
from trl_r1.hub.publishing.target import MAIN
from trl_r1.run_records import FinishedStage, RunRecords
from trl_r1.stage_record import DATA_SUFFIXES, StageRecord, read_stage_record, weight_files
from trl_r1.stage_record.kinds import ROW_VERBS, SAMPLING_VERBS


if TYPE_CHECKING:
    from huggingface_hub import DatasetCardData

SIZES: Final = (
    *((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M")),
    *((10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B")),
    *((10**12, "100B<n<1T"), (float("inf"), "n>1T")),
)
TEXT_COLUMNS: Final = frozenset({"messages", "prompt", "completion", "problem", "question", "response", "chosen"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    """A data stage's folder, read and checked."""

    folder: Path
    record: StageRecord
    lineage: Lineage
    files: list[DataFile]
    splits: dict[tuple[str, str], RowSummary]  # by configuration and split
    total: RowSummary
    first: str  # the configuration to look at first
    counts: SamplingCounts | None
    repo_id: str  # on the Hub, or the folder
    revision: str


def create_dataset_card(
    folder: str | Path,
    *,
    license: str | None = None,
    pipeline: Mapping[str, Any] | None = None,
    verify_weights: bool = True,
    repo_id: str | None = None,
) -> str:
    """
    Write the card (`README.md`) of a data set: of a verb that leaves rows, or of a Python file that wrote some.

    The text depends on the records and the rows alone: the same give the same card.

    Args:
        folder (`str` or `Path`):
            Folder of the stage, with its `stage.json`.
        license (`str`, *optional*):
            Licence of the data, such as `"apache-2.0"`; one that the Hub has no identifier for becomes `other` with
            its name. By default the record's `hub_license`, or else that of all it was made from where they agree;
            without one the card names none: it is the owner's to choose.
        pipeline (`Mapping[str, Any]`, *optional*):
            `pipeline.json` of the run the stage belongs to, for the command that makes it with all its ancestors.
        verify_weights (`bool`, *optional*, defaults to `True`):
            Whether to check that every ancestor still holds the weights its child was made from.
        repo_id (`str`, *optional*):
            Where it will be on the Hub, for the lines that load it. By default what the record or an earlier
            publication says, or else the folder.

    Returns:
        `str`: the card.

    Raises:
        [`RecordError`]: when a record is missing, damaged or contradicted, when the rows are not those it has the
            hashes of, or when the counts do not add up.
    """
    data = _read(Path(folder), verify_weights, repo_id)
    derived = derived_license(data.record)
    license = license or data.record.config.get("hub_license") or derived
    sections = {
        "card_data": _metadata(data, license).to_yaml().strip(),
        **_introduction(data),
        **_origin(data),
        **_contents(data),
        **kind_sections(data.record),
        "limits": list(dataset_tables.limit_lines(data.record, data.counts, license)),
        "commands": commands(data.record, pipeline or {}),
        "reproduction": list(reproduction(data.folder, data.record)),
        "config": configuration(data.record),
        "notes": [card_tables.cell(note) for note in data.record.notes],
        "citation": cite(data.record) if data.counts else "",
    }
    text = render("dataset_card.md", sections)
    text = seal(text.encode("utf-8", "backslashreplace").decode("utf-8"))  # half a surrogate pair is in no file
    write_whole(data.folder / CARD_NAME, text)
    return text


def create_dataset_cards(pipeline_folder: str | Path) -> list[Path]:
    """
    Write the card of every data set of a pipeline.

    Args:
        pipeline_folder (`str` or `Path`):
            Folder that holds the stages' folders, and `pipeline.json` with the licence if one was named.

    Returns:
        `list[Path]`: the cards.

    Raises:
        [`RecordError`]: as [`create_dataset_card`], once every card that can be written is.
    """
    records = RunRecords.read(pipeline_folder)
    stages = [stage for stage in records.stages.values() if is_data_stage(stage.folder, stage.record)]

    def write(stage: FinishedStage) -> None:
        license = stage.record.config.get("hub_license") or records.content.get("license")
        create_dataset_card(stage.folder, license=license, pipeline=records.content)

    for stage in records.stages.values():
        if stage not in stages and _has_unrecorded_rows(stage):
            logger.warning(
                "%s: no card: its record, of an earlier version, names no file of rows; for a card delete the folder "
                "and run the pipeline again, which makes all that needs it again, too",
                stage.folder,
            )
    return write_cards(stages, write)


def _has_unrecorded_rows(stage: FinishedStage) -> bool:
    if stage.record.kind != MADE or stage.is_checkpoint:
        return False
    return any(path.suffix in DATA_SUFFIXES for path in stage.folder.rglob("*"))


def is_data_stage(folder: str | Path, record: StageRecord) -> bool:
    """Whether a stage left a data set: a verb that leaves rows, or a Python file that wrote rows and no weights."""
    if record.kind in COUNTED:
        return True
    written = any(item.path.endswith(DATA_SUFFIXES) for item in record.artefacts)  # not of a check alone
    return record.kind in SUMMARIES and written and not any(weight_files(folder))


def _read(folder: Path, verify_weights: bool, repo_id: str | None) -> _Data:
    record = read_stage_record(folder)
    if record.kind not in SUMMARIES or any(weight_files(folder)):
        raise RecordError(f"{folder}: a {record.kind} stage that leaves no data set; a card of data is for rows")
    found = find_data_files(folder, record)
    lineage = Lineage.from_folder(folder, verify_weights=verify_weights)
    named, revision = _place(folder, record)
    splits: dict[tuple[str, str], RowSummary] = {}
    total = RowSummary()
    for item in found:
        summary = RowSummary.of(read_rows(folder / item.path))
        splits.setdefault((item.config, item.split), RowSummary()).merge(summary)
        total.merge(summary)
    if not total.rows:
        raise RecordError(f"{folder}: its files hold no row; run the stage again")
    return _Data(
        folder=folder,
        record=record,
        lineage=lineage,
        files=found,
        splits=splits,
        total=total,
        first=_first_config(splits),
        counts=read_counts(folder, record, total) if record.kind in COUNTED else None,
        repo_id=repo_id or named or str(record.config.get("output_dir") or folder),
        revision=revision,
    )


def _first_config(splits: Mapping[tuple[str, str], RowSummary]) -> str:
    """The configuration to look at first: the one with most splits, and of those the one with most rows."""
    sizes: dict[str, tuple[int, int]] = {}
    for (config, _), summary in splits.items():
        number, rows = sizes.get(config, (0, 0))
        sizes[config] = (number + 1, rows + summary.rows)
    return max(sizes, key=lambda config: sizes[config])


def _place(folder: Path, record: StageRecord) -> tuple[str | None, str]:
    """The data set's name and branch on the Hub, if its record or an earlier publication says them."""
    config = record.config
    published = read_published(folder)
    if published.get("repo_type") != "dataset":
        published = {}
    named = config.get("hub_dataset_id")
    branch = str(config.get("hub_revision") or MAIN)
    if named and "/" in str(named):
        return str(named), branch
    return published.get("repo_id"), str(published.get("revision") or branch)


def _metadata(data: _Data, license: str | None) -> DatasetCardData:
    """What the Hub reads: the card's YAML header."""
    from huggingface_hub import DatasetCardData

    tags = ["trl_r1"]
    if data.total.lengths.rows:
        tags.append("reasoning-data")
    tags += TAGS.get(data.record.kind, ())
    languages = data.total.languages() or data.lineage.languages()
    return DatasetCardData(
        pretty_name=one_line(data.record.stage),
        language=languages or None,
        task_categories=["text-generation"] if TEXT_COLUMNS & data.total.columns.keys() else None,
        tags=tags,
        size_categories=[next(name for limit, name in SIZES if data.total.rows < limit)],
        source_datasets=data.lineage.datasets() or None,
        configs=hub_configs(data.files, data.first),
        **license_fields(license, bases=()),
    )


def _introduction(data: _Data) -> dict[str, Any]:
    """Name, summary, first facts and how to read it."""
    configs = list(dict.fromkeys(item.config for item in data.files))
    several = len(configs) > 1
    revision = None if data.revision == MAIN else data.revision
    lines = [
        dataset_tables.loading_line(data.repo_id, revision, config if several else None, split)
        for config, split in data.splits
        if config == data.first
    ]
    return {
        "name": card_tables.cell(data.record.stage),
        "summary": SUMMARIES[data.record.kind],
        "facts": list(dataset_tables.fact_lines(data.total, len(configs), data.counts)),
        "loading": lines,
    }


def _origin(data: _Data) -> dict[str, Any]:
    """How it was made, and from what."""
    record, counts = data.record, data.counts
    filters = general_filter_lines(record) if record.kind == GENERAL else filter_lines(record)
    return {
        "making": list(_making_lines(data)),
        "counts": dataset_tables.count_rows(counts) if counts else [],
        "filters": [card_tables.cell(line) for line in filters] if counts else [],
        "dropped": dataset_tables.dropped_rows(counts) if counts else [],
        "lineage": list(card_tables.lineage_lines(data.lineage)),
        "mermaid": data.lineage.to_mermaid() if data.lineage.edges else "",
        "data": [
            row | {"license": card_tables.cell(source.license or "not recorded")}
            for row, source in zip(card_tables.data_rows(record), record.data, strict=True)
        ],
    }


def _making_lines(data: _Data) -> Iterator[str]:
    if data.record.kind in SAMPLING_VERBS:
        return dataset_tables.sampling_lines(data.record, data.lineage)
    if data.record.kind in (*ROW_VERBS, REVIEWED):
        return row_lines(data.record)
    return dataset_tables.script_lines(data.record)


def _contents(data: _Data) -> dict[str, Any]:
    """What the rows are."""
    several = len({item.config for item in data.files}) > 1
    groups = dataset_tables.listed_groups if several else dataset_tables.group_rows
    whole = data.splits[next(key for key in data.splits if key[0] == data.first)]
    example, is_whole = example_block(whole.example or {})
    title = "One row" + (f" of `{data.first}`" if several else "")
    return {
        "lengths": data.total.lengths.rows > 0,
        "several": several,
        "splits": dataset_tables.split_rows(data.files, data.splits),
        "groups": groups(data.splits),
        "columns": dataset_tables.column_rows(data.splits),
        "example_title": f"{title}, whole:" if is_whole else f"{title}, shortened:",
        "example": example,
        "contamination": card_tables.contamination_rows(data.record),
    }
