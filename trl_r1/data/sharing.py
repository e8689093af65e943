"""Work on rows shared over the processes of a launcher, each with its own workers, and kept on disk between starts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.stage_record import hash_file, hash_json


if TYPE_CHECKING:
    from datasets import Dataset, Features

Batch = dict[str, list[Any]]

ROWS_AT_ONCE = 64  # of 32,768 tokens: some hundred MB of Python objects in each worker


def map_batches(
    dataset: Dataset,
    function: Callable[[Batch], Batch],
    features: Features,
    *,
    key: str,
    workers: int | None = None,
    desc: str | None = None,
) -> Dataset:
    """
    New rows for the rows of a dataset: on disk where the dataset is, and read from there at the next start.

    Args:
        dataset ([`~datasets.Dataset`]):
            The rows.
        function (`Callable`):
            Columns of a batch of rows to columns of new rows, as many as it likes.
        features ([`~datasets.Features`]):
            Of the new rows.
        key (`str`):
            What decides the result beside the rows: another key is computed anew.
        workers (`int`, *optional*):
            Processes of this process.
        desc (`str`, *optional*):
            Shown beside the progress.
    """
    fingerprint = hash_json([dataset._fingerprint, key])[:40]  # the only name `datasets` gives to its own rows
    return dataset.map(
        function,
        batched=True,
        batch_size=ROWS_AT_ONCE,
        remove_columns=dataset.column_names,
        features=features,
        num_proc=min(workers, max(1, len(dataset) // ROWS_AT_ONCE)) if workers and workers > 1 else None,
        new_fingerprint=fingerprint,
        desc=desc,
    )


def map_shared(dataset: Dataset, function: Callable[[Dataset], Sequence[Any]]) -> list[Any]:
    """
    One result a row, where each process of the launcher works on a share of the rows and all get every result.

    Args:
        dataset ([`~datasets.Dataset`]):
            The rows, the same in all processes.
        function (`Callable`):
            Some of the rows to their results, which can be pickled.
    """
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState()
    ends = [len(dataset) * rank // state.num_processes for rank in range(state.num_processes + 1)]
    share = dataset.select(range(ends[state.process_index], ends[state.process_index + 1]))
    results = list(function(share)) if len(share) else []
    if state.num_processes == 1:
        return results
    gathered: list[Any] = gather_object(results)
    return gathered


def main_process_first() -> AbstractContextManager[Any]:
    """
    Context in which the first process of each machine works before the others, which then find its files.

    Processes that do not speak to each other, as those of a sampling verb, each do the work.
    """
    import torch
    from accelerate import PartialState

    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return nullcontext()
    context: AbstractContextManager[Any] = PartialState().local_main_process_first()
    return context


@functools.cache
def code_key(*modules: str) -> str:
    """Hash of modules' files: what they wrote is not read any more once one of them has changed."""
    import importlib

    files = [importlib.import_module(name).__file__ for name in modules]
    return hash_json([hash_file(Path(file)) for file in files if file])


def tokenizer_key(tokenizer: Any) -> str:
    """Hash of all of a tokenizer that decides its tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
    return hash_json([text, tokenizer.chat_template, tokenizer.eos_token, type(tokenizer).__name__])
