"""What of a pipeline goes to the Hub, under which names, in which order: known before anything is sent."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trl_r1.errors import PublishError
from trl_r1.hub.cards.dataset_card import is_data_stage
from trl_r1.hub.lineage import Lineage
from trl_r1.hub.publishing.access import check_names
from trl_r1.hub.publishing.published import keep_first_tag
from trl_r1.hub.publishing.target import MAIN, HubTarget, RepoType
from trl_r1.run_records import FinishedStage, RunRecords
from trl_r1.stage_record import StageRecord


REPORT, REPORT_NAME = "report", "report.html"
LONGEST_NAME: Final = 96  # letters of a repository's name, without its namespace
LONGEST_NOTE: Final = 500  # letters of an item's note in a collection
MODEL_KINDS: Final = {
    "grpo": "GRPO from",
    "sft": "supervised fine-tuning of",
    "distill": "on-policy distillation into",
    "reward_model": "a reward model trained from",
    "script": "made by a Python file",
}
HEADLINE: Final = "accuracy"  # the metric a note may have room for


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedItem:
    """
    One thing to publish.

    Args:
        name (`str`):
            The stage's name, or `"report"`.
        folder (`Path`):
            The stage's folder, or the pipeline's.
        target ([`HubTarget`]):
            Where it goes.
        note (`str`):
            A line about it, for the collection.
        stage ([`FinishedStage`] or `None`):
            `None` for the report.
    """

    name: str
    folder: Path
    target: HubTarget
    note: str
    stage: FinishedStage | None = None


def plan_pipeline(
    records: RunRecords, *, namespace: str, prefix: str | None = None, private: bool = True, token: str | None = None
) -> list[PlannedItem]:
    """
    Name a place for every checkpoint, every data set and the report of a pipeline.

    A stage whose recipe names its place (`hub_model_id`, `hub_dataset_id`) goes there; the others to
    `namespace/prefix-stage`.

    Args:
        records ([`RunRecords`]):
            Of the pipeline's folder.
        namespace (`str`):
            User or organisation.
        prefix (`str`, *optional*):
            How names begin. By default the folder's name.
        private (`bool`, *optional*, defaults to `True`):
            Whether repositories made for it are private, unless a recipe says `hub_private_repo: false`.
        token (`str`, *optional*):
            For the targets.

    Returns:
        `list[PlannedItem]`: in the pipeline's order, the report last.

    Raises:
        [`PublishError`]: naming every name that is not valid or would be two things at once.
    """
    stages = [stage for stage in records.stages.values() if repo_type_of(stage) is not None]
    if not stages:
        raise PublishError(f"folder: {str(records.folder)!r} holds no checkpoint and no data set; run the pipeline")
    prefix = make_slug(records.folder.resolve().name) if prefix is None else prefix
    taken: set[tuple[str, str]] = set()
    items = []
    for number, stage in enumerate(stages, start=1):
        kind = repo_type_of(stage) or "model"
        name = _own_name(stage, kind) or _free_name(prefix, make_slug(stage.name) or f"stage-{number}", kind, taken)
        target = _target(stage, kind, name if "/" in name else f"{namespace}/{name}", private, token)
        items.append(
            PlannedItem(name=stage.name, folder=stage.folder, target=target, note=describe_stage(stage), stage=stage)
        )
    if (records.folder / REPORT_NAME).is_file():
        target = HubTarget(
            repo_id=f"{namespace}/{_join(prefix, REPORT)}", repo_type="space", private=private, token=token
        )
        items.append(PlannedItem(name=REPORT, folder=records.folder, target=target, note=_describe_report(records)))
    if problems := list(_problems(items, prefix)):
        raise PublishError("\n".join(problems))
    return items


def repo_type_of(stage: FinishedStage) -> RepoType | None:
    """The type of repository a stage goes to; `None` for one that is not published, such as an evaluation."""
    if stage.record.kind in MODEL_KINDS and stage.is_checkpoint:
        return "model"
    return "dataset" if is_data_stage(stage.folder, stage.record) else None


def lineage_order(items: Sequence[PlannedItem]) -> list[PlannedItem]:
    """Every item after those it was made from, so that its card can name where they were published."""
    places = {str(item.folder.resolve()): item for item in items if item.stage is not None}
    ordered: dict[str, PlannedItem] = {}
    for place, item in places.items():
        for node in Lineage.from_folder(item.folder, verify_weights=False).nodes.values():
            if node.key in places:
                ordered.setdefault(node.key, places[node.key])
        ordered.setdefault(place, item)
    return [*ordered.values(), *(item for item in items if item.stage is None)]


def make_slug(text: str) -> str:
    """The letters of a name that a repository's may have; empty when there is none."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", plain)
    slug = re.sub(r"[-.]*([-.])", r"\1", slug)  # the Hub refuses "--" and ".."
    return re.sub(r"(\.git|\.ipynb)$", "", slug.strip("-._"))


def describe_stage(stage: FinishedStage) -> str:
    """One line about a stage, from its record and what was measured of it."""
    record = stage.record
    line = _describe_data(record) if repo_type_of(stage) == "dataset" else _describe_model(record)
    for evaluation in stage.evaluations:
        measured = evaluation.telling_metrics.get(HEADLINE)
        if measured is not None:
            interval = (
                "" if measured.low is None or measured.high is None else f"{measured.low:.3f} to {measured.high:.3f}"
            )
            trials = f"95 % interval {interval}, n {measured.n}" if interval else f"n {measured.n}"
            line += f"; {HEADLINE} {measured.value:.3f} ({trials}) on {evaluation.suite}, {evaluation.mode}"
            break
    return shorten(f"{stage.name}: {line}", LONGEST_NOTE)


def shorten(text: str, length: int) -> str:
    """A text on one line, cut to a length."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _own_name(stage: FinishedStage, kind: RepoType) -> str:
    """Where the stage's recipe sends it; empty if it does not say."""
    config = stage.record.config
    name = config.get("hub_dataset_id" if kind == "dataset" else "hub_model_id")
    if not name and config.get("push_to_hub"):
        name = stage.folder.resolve().name  # as the stage itself would have been pushed
    return str(name or "")


def _target(stage: FinishedStage, kind: RepoType, repo_id: str, private: bool, token: str | None) -> HubTarget:
    """The place of a stage, with the branch and tag of its recipe."""
    config = stage.record.config
    target = HubTarget(
        repo_id=repo_id,
        repo_type=kind,
        revision=str(config.get("hub_revision") or MAIN),
        tag=config.get("hub_tag"),
        private=private and config.get("hub_private_repo") is not False,
        token=token,
    )
    return keep_first_tag(stage.folder, target)


def _free_name(prefix: str, slug: str, kind: str, taken: set[tuple[str, str]]) -> str:
    """A name that no other stage has: two stages' names may differ in nothing but signs."""
    name, number = _join(prefix, slug), 2
    while (kind, name.lower()) in taken:  # the Hub ignores case here
        name, number = f"{_join(prefix, slug)}-{number}", number + 1
    taken.add((kind, name.lower()))
    return name


def _join(prefix: str, slug: str) -> str:
    return f"{prefix}-{slug}" if prefix else slug


def _problems(items: Sequence[PlannedItem], prefix: str) -> Iterator[str]:
    """What is wrong with the names, one line each."""
    places: dict[tuple[str, str, str], str] = {}
    for item in items:
        target = item.target
        if len(target.repo_id.rpartition("/")[2]) > LONGEST_NAME:
            yield (
                f"prefix: {prefix!r} makes {target.repo_id!r} of stage {item.name!r}, longer than {LONGEST_NAME} "
                "letters; give a shorter one"
            )
            continue
        try:
            check_names(target)
        except PublishError as error:
            yield f"stage {item.name!r}: {error}"
        place = (target.repo_type, target.repo_id.lower(), target.revision)
        other = places.setdefault(place, item.name)
        if other != item.name:
            yield (
                f"stages {other!r} and {item.name!r} would both be {target.repo_type} {target.repo_id!r}, branch "
                f"{target.revision!r}; give one of them another hub_revision or id"
            )


def _describe_model(record: StageRecord) -> str:
    what = MODEL_KINDS[record.kind]
    if record.kind == "script":
        return f"{what}, {record.config.get('script') or 'unnamed'}"
    bases = [parent.stage or parent.name_or_path for parent in record.parents if parent.role == "base"]
    read = ", ".join(Path(source.source).name for source in record.data) if record.kind == "sft" else ""
    return f"{what} {', '.join(bases) or 'an unrecorded base'}{f' on {read}' if read else ''}"


def _describe_data(record: StageRecord) -> str:
    if record.kind == "script":
        return f"data made by {record.config.get('script') or 'a Python file'}"
    teachers = [parent.stage or parent.name_or_path for parent in record.parents if parent.role == "teacher"]
    kept, drawn = record.metrics.get("kept"), record.metrics.get("samples")
    counts = f", {kept.value:.0f} of {drawn.value:.0f} kept" if kept and drawn else ""
    return f"samples of {', '.join(teachers) or 'an unrecorded teacher'}{counts}"


def _describe_report(records: RunRecords) -> str:
    stages = len(records.stages)
    return f"report: tables, curves and answers of all {stages} stages, in one page"
