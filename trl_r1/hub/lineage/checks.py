"""What a stage's record says against what lies on disk, and against the records of its ancestors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from trl_r1.errors import RecordError
from trl_r1.hub.lineage.nodes import LineageNode
from trl_r1.run_records import EPISODE_NAME
from trl_r1.stage_record import (
    DATA_SUFFIXES,
    MERGED_NAME,
    RECORD_NAME,
    Artefact,
    Parent,
    StageRecord,
    hash_file,
    is_weight_file,
    weight_files,
)
from trl_r1.stage_record.plausibility import CLOCK_SLACK, read_moment


CHAT_TEMPLATE_FILE = "chat_template.jinja"
# What decides what a stage is. Its folder may hold logs as well, which grow, and files nobody needs for long.
CHECKED_NAMES = {
    *("config.json", "generation_config.json", "adapter_config.json", "tokenizer.json", "tokenizer_config.json"),
    *(CHAT_TEMPLATE_FILE, "chat_template_prefill.jinja", "prompt_template.txt", "resolved_config.yaml", EPISODE_NAME),
    "model.safetensors.index.json",
}


def check_files(folder: Path, record: StageRecord) -> None:
    """
    Check that a stage's files are those its record lists.

    Raises:
        [`RecordError`]: naming the first file that is gone, was changed, or holds weights the record does not know.
    """
    listed = {item.path: item for item in record.artefacts}
    for path in weight_files(folder):
        if path.name not in listed:
            raise RecordError(
                f"{folder}/{RECORD_NAME}: artefacts: no entry for {path.name}, which lies beside it; remove the file "
                "or run the stage again"
            )
    for item in record.artefacts:
        if item.path.startswith(f"{MERGED_NAME}/") and not (folder / MERGED_NAME).is_dir():
            continue  # it can be made again
        if item.path in CHECKED_NAMES or is_weight_file(item.path) or item.path.endswith(DATA_SUFFIXES):
            _check_file(folder, item)
    _check_template(folder, record, listed)


def _check_file(folder: Path, item: Artefact) -> None:
    path = folder / item.path
    if not path.is_file():
        problem = "the file is gone"
    elif (size := path.stat().st_size) != item.size:
        problem = f"{item.size} bytes, but the file has {size}"
    elif (digest := hash_file(path)) != item.sha256:
        problem = f"sha256 {item.sha256[:16]}..., but the file's is {digest[:16]}..."
    else:
        return
    raise RecordError(
        f"{folder}/{RECORD_NAME}: artefacts: {item.path}: {problem}; bring back the file as the stage left it or run "
        "the stage again"
    )


def _check_template(folder: Path, record: StageRecord, listed: dict[str, Artefact]) -> None:
    """The chat template that was trained with is the one that was saved."""
    saved, used = listed.get(CHAT_TEMPLATE_FILE), record.template.get("chat_template")
    if saved and used and saved.sha256 != used:
        raise RecordError(
            f"{folder}/{RECORD_NAME}: template.chat_template: {used[:16]}..., but {CHAT_TEMPLATE_FILE} is "
            f"{saved.sha256[:16]}...; bring the record back from a copy or run the stage again"
        )


def check_parent(parent: Parent, found: LineageNode, child: LineageNode) -> None:
    """
    Check what a stage recorded of a parent against the parent's own record.

    Raises:
        [`RecordError`]: when the two contradict each other.
    """
    problems = list(_parent_problems(parent, found))
    if problems:
        raise RecordError(
            f"{child.folder}/{RECORD_NAME}: parents: {parent.name_or_path!r}: {'; '.join(problems)}; "
            "run the stage again"
        )
    check_order(found, child)


def _parent_problems(parent: Parent, found: LineageNode) -> Iterator[str]:
    if found.folder is None:
        return
    if found.record is not None and parent.stage != found.record.stage:
        yield f"stage is {parent.stage!r}, but the folder holds {found.record.stage!r}"
    if parent.weights_sha256 is None and any(weight_files(found.folder)):
        yield "weights_sha256 is missing, but the folder holds weights"


def check_order(parent: LineageNode, child: LineageNode) -> None:
    """
    Check that a stage had finished when the one that used it started.

    Raises:
        [`RecordError`]: when it finished later: what was used is not what is there now.
    """
    if parent.record is None or child.record is None:
        return
    finished, started = read_moment(parent.record.finished), read_moment(child.record.started)
    if finished and started and finished - started > timedelta(seconds=CLOCK_SLACK):
        raise RecordError(
            f"{child.folder or child.name}: started at {child.record.started}, before {parent.name!r}, which it used, "
            f"had finished (at {parent.record.finished}); run the stage again"
        )
