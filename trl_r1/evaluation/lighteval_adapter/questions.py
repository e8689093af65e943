"""The questions on disk, where lighteval reads them as any data set."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import DataError


SPLIT: Final = "test"
QUERY, QUESTION = "query", "question"  # columns: what is said to the model, and all that judges its answer, as JSON
_NOT_KEPT: Final = ("prompt",)  # said again in the query


def store_questions(
    rows: Sequence[Mapping[str, Any]], name: str, folder: str | Path | None = None, asked: str = ""
) -> Path:
    """
    Write questions where lighteval can read them, once.

    The folder's name has a hash of its content: lighteval keeps answers by the name of the data, and must not take
    those to other questions, or to the same in other words, for these.

    Args:
        rows (`Sequence[Mapping[str, Any]]`):
            Questions of [`load_questions`], in bare words or a chat of one turn.
        name (`str`):
            Of the task.
        folder (`str` or `Path`, *optional*):
            Where; by default below `HF_HOME`.
        asked (`str`, *optional*, defaults to `""`):
            Hash of the model that will answer; answers of another are not taken for its own.

    Returns:
        `Path`: a folder with one parquet file.

    Raises:
        [`DataError`]: when a question cannot be written.
    """
    kept = [{QUERY: query_of(row), QUESTION: _as_json(row)} for row in rows]
    digest = hashlib.sha256(f"{json.dumps(kept)}{asked}".encode()).hexdigest()[:16]
    parent = _default_folder() if folder is None else Path(folder)
    place = (parent / f"{name}-{digest}").absolute()
    if place.is_dir():
        return place
    from datasets import Dataset

    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{name}-") as made:
        Dataset.from_list(kept).to_parquet(Path(made) / f"{SPLIT}.parquet")
        shutil.copytree(made, f"{made}.whole")
        try:
            Path(f"{made}.whole").rename(place)
        except OSError:
            shutil.rmtree(f"{made}.whole")
            if not place.is_dir():  # or else another process was first
                raise
    return place


def query_of(row: Mapping[str, Any]) -> str:
    """
    What is said to the model; lighteval puts it into a chat.

    Raises:
        [`DataError`]: when it is a chat of several messages, which lighteval has no place for.
    """
    prompt = row["prompt"]
    if isinstance(prompt, str):
        return prompt
    if [message["role"] for message in prompt] != ["user"]:
        raise DataError(f"question {row['question_id']}: it is a chat of {len(prompt)} messages; ask in one")
    return str(prompt[0]["content"])


def _as_json(row: Mapping[str, Any]) -> str:
    try:
        return json.dumps({name: value for name, value in row.items() if name not in _NOT_KEPT}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"question {row['question_id']}: it cannot be written as JSON ({error})") from error


def _default_folder() -> Path:
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "trl_r1" / "lighteval"
