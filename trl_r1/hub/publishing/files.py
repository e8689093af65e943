"""Which files of a finished folder go to the Hub, and whether they may."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from trl_r1.errors import PublishError, RecordError
from trl_r1.hub.publishing.target import PublishedFile, RepoType
from trl_r1.stage_record import (
    DATA_SUFFIXES,
    PUBLISHED_NAME,
    RECORD_NAME,
    StageRecord,
    has_stage_record,
    read_stage_record,
)
from trl_r1.stage_record.kinds import TRAINING_VERBS


CARD_NAME = "README.md"
MODEL_KINDS = TRAINING_VERBS
WEIGHTS = "*.safetensors"
DATA = tuple(f"*{suffix}" for suffix in DATA_SUFFIXES)
TEXTS = ("*.json", "*.jinja", "*.md", "*.txt", "*.yaml", "*.yml", "*.tiktoken", "*.py", "LICENSE", "NOTICE")
BINARIES = ("*.model", "*.png", "*.svg")
MODEL_FILES = (WEIGHTS, *TEXTS, *BINARIES)
MODEL_FOLDERS = {  # below a checkpoint's folder, and what of them is sent
    ".eval_results": ("*.yaml",),
    "additional_chat_templates": ("*.jinja",),
    "merged": MODEL_FILES,
    "merged/additional_chat_templates": ("*.jinja",),
}
DATA_FILES = (*DATA, *TEXTS, *BINARIES)
STATE = (
    PUBLISHED_NAME,
    "progress.json",
    "trainer_state.json",
    "whole.json",
    "training_args.bin",
    "*.partial",
    "*.tmp",
)
STATE_FOLDERS = ("checkpoint-*", "completions", "logs", "runs", "wandb", "tensorboard")
UNSCANNED = (WEIGHTS, "*.parquet", *BINARIES)  # compressed or numbers: no token shows in their bytes
AGAIN = "publish again when nothing writes to the folder any more"
BLOCK = 1 << 20  # bytes read at a time
LONGEST_TOKEN = 512  # bytes; how far one may reach over the end of a block
TOKEN_PATTERN = re.compile(rb"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{30,}")


def read_finished(folder: str | Path) -> StageRecord:
    """
    The record of a finished stage.

    Raises:
        [`PublishError`]: when the folder holds none, or a damaged one.
    """
    if not Path(folder).is_dir():
        raise PublishError(f"folder: {str(folder)!r} does not exist; name the folder of a finished stage")
    if not has_stage_record(folder):
        raise PublishError(
            f"folder: {str(folder)!r} has no {RECORD_NAME}, so its stage has not finished; run the stage again, "
            "it goes on from its last checkpoint"
        )
    try:
        return read_stage_record(folder)
    except RecordError as error:
        raise PublishError(f"folder: nothing is sent without a sound record; {error}") from error


def plan_files(folder: str | Path, *, token: str | None = None, include: Sequence[str] = ()) -> list[PublishedFile]:
    """
    What would be sent of a finished stage: weights or data, configuration, tokenizer, templates, card, records.

    Left out are checkpoints, the Trainer's own files, logs, tables of completions and all that is hidden.

    Args:
        folder (`str` or `Path`):
            With `stage.json`.
        token (`str`, *optional*):
            No file may hold it. Whatever looks like a token of the Hub is looked for in any case.
        include (`Sequence[str]`, *optional*):
            Patterns of more paths, such as `"completions/*"`.

    Returns:
        `list[PublishedFile]`: in the order of their paths.

    Raises:
        [`PublishError`]: when the stage has not finished, its weights or data are not those it recorded, or a file
            holds a token.
    """
    record = read_finished(folder)
    folder = Path(folder)
    try:
        paths = publishable(folder, include)
    except OSError as error:
        raise PublishError(f"{error.filename}: cannot be read ({error.strerror}); mend its rights") from error
    files = [describe_file(folder, path, token) for path in paths]
    _check_recorded(folder, record, files, include)
    return files


def publishable(folder: Path, include: Sequence[str] = ()) -> list[Path]:
    """Paths of the files to send, in order."""
    own = _model_paths(folder) if has_weights(folder) else _data_paths(folder)
    return sorted({*own, *_included(folder, include)}, key=lambda path: path.relative_to(folder).as_posix())


def has_weights(folder: Path) -> bool:
    """Whether the folder holds a model, safetensors that is, rather than data."""
    return any(folder.glob(WEIGHTS))


def repo_type_of(folder: str | Path, record: StageRecord) -> RepoType:
    """The type of repository for what a stage made."""
    return "model" if record.kind in MODEL_KINDS or has_weights(Path(folder)) else "dataset"


def hash_files(files: Sequence[PublishedFile]) -> str:
    """One hash over names and content of files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{file.sha256}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _model_paths(folder: Path) -> Iterator[Path]:
    yield from _matching(folder, MODEL_FILES)
    for name, patterns in MODEL_FOLDERS.items():
        if (folder / name).is_dir():
            yield from _matching(folder / name, patterns)


def _data_paths(folder: Path) -> Iterator[Path]:
    """Data may lie in folders, one a subset."""
    for path in folder.rglob("*"):
        parents = path.relative_to(folder).parts[:-1]
        hidden = any(part.startswith(".") for part in parents)
        state = any(fnmatch(part, pattern) for part in parents for pattern in STATE_FOLDERS)
        if not hidden and not state and _wanted(path, DATA_FILES):
            yield path


def _included(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        found = [
            path
            for path in folder.rglob("*")
            if path.is_file()
            and fnmatch(path.relative_to(folder).as_posix(), pattern)
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
        if not found:
            raise PublishError(f"include: {pattern!r} matches no file in {str(folder)!r}; correct it or leave it out")
        yield from found


def _matching(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    return (path for path in folder.iterdir() if _wanted(path, patterns))


def _wanted(path: Path, patterns: Sequence[str]) -> bool:
    name = path.name
    if name.startswith(".") or any(fnmatch(name, pattern) for pattern in STATE):
        return False
    return any(fnmatch(name, pattern) for pattern in patterns) and path.is_file()


def describe_file(folder: Path, path: Path, token: str | None) -> PublishedFile:
    """
    Size and hash of a file, read once; on the way, whether a token shows in it.

    Raises:
        [`PublishError`]: when one does, or the file cannot be read or sent under its name.
    """
    name = path.relative_to(folder).as_posix()
    _check_name(name)
    scanned = not any(fnmatch(path.name, pattern) for pattern in UNSCANNED)
    digest, size, tail = hashlib.sha256(), 0, b""
    try:
        with path.open("rb") as stream:
            modified = os.fstat(stream.fileno()).st_mtime_ns
            while block := stream.read(BLOCK):
                digest.update(block)
                size += len(block)
                if scanned:
                    _check_secret(name, tail + block, token)
                    tail = block[-LONGEST_TOKEN:]
    except OSError as error:
        raise PublishError(f"{name}: cannot be read ({error.strerror}); mend the file's rights or the disk") from error
    return PublishedFile(path=name, size=size, sha256=digest.hexdigest(), modified=modified)


def check_unchanged(folder: Path, files: Sequence[PublishedFile]) -> None:
    """
    Check that files still hold what was hashed and looked through: a large one is sent under that hash unread.

    Raises:
        [`PublishError`]: naming the file that does not.
    """
    for file in files:
        path = folder / file.path
        try:
            now = path.stat()
        except OSError as error:
            raise _gone(file) from error
        if (now.st_size, now.st_mtime_ns) == (file.size, file.modified):
            continue
        if now.st_size != file.size or describe_file(folder, path, None).sha256 != file.sha256:
            raise PublishError(f"{file.path}: changed since publishing began; {AGAIN}")


def read_local(folder: Path, file: PublishedFile) -> bytes:
    """
    The bytes of a small file.

    Raises:
        [`PublishError`]: when it is there no longer, as in a folder that a run empties meanwhile.
    """
    try:
        return (folder / file.path).read_bytes()
    except OSError as error:
        raise _gone(file) from error


def _gone(file: PublishedFile) -> PublishError:
    return PublishError(f"{file.path}: gone since publishing began; {AGAIN}")


def _check_name(name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PublishError(f"{name!r}: a file name that is no UTF-8; rename the file") from error
    if any(ord(letter) < 32 for letter in name) or "\\" in name:
        raise PublishError(f"{name!r}: a file name the Hub does not take; rename the file")


def _check_secret(name: str, text: bytes, token: str | None) -> None:
    if (token and token.encode() in text) or TOKEN_PATTERN.search(text):
        raise PublishError(
            f"{name}: holds what looks like a token of the Hub, so nothing is sent; take it out of the file (of rows: "
            "where they come from, and run the stage again, since its record holds their hash), and revoke it at "
            "https://huggingface.co/settings/tokens if it is one and anybody else has the file"
        )


def _check_recorded(folder: Path, record: StageRecord, files: Sequence[PublishedFile], include: Sequence[str]) -> None:
    """Weights, or data, are those that the record vouches for: all of them, and no others."""
    weights = has_weights(folder)
    if record.kind in MODEL_KINDS and not weights:
        raise PublishError(f"folder: no *.safetensors in {str(folder)!r}; save the model with save_pretrained")
    recorded = {item.path: item.sha256 for item in record.artefacts if _is_evidenced(item.path, weights)}
    found = {file.path: file.sha256 for file in files if _is_evidenced(file.path, weights)}
    for path in sorted(recorded.keys() | found.keys()):
        if path not in found:
            raise PublishError(f"{path}: stage.json lists it and {str(folder)!r} lacks it; run the stage again")
        if path in recorded and found[path] != recorded[path]:
            raise PublishError(f"{path}: not the bytes that stage.json recorded; bring those back, or run it again")
        if path not in recorded and not any(fnmatch(path, pattern) for pattern in include):
            raise PublishError(f"{path}: stage.json does not list it; take it out, or run the stage again")


def _is_evidenced(path: str, weights: bool) -> bool:
    """Whether a record must vouch for a path: weights beside the record in a model's folder, data anywhere else."""
    if weights:
        return "/" not in path and (fnmatch(path, WEIGHTS) or path.endswith(".safetensors.index.json"))
    return any(fnmatch(path, pattern) for pattern in DATA)
