"""Merge an adapter into its base, and prove that the result is the adapter.

A merged model that is garbage, or the base unchanged, looks like any other folder (unsloth#2009, #5410). So logits are
compared: of base, adapter, merged model in memory, and merged model read back from disk.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.errors import CheckpointError
from trl_r1.hub.checkpoints.checks import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    check_tokenizer,
    check_weights,
    is_adapter,
    loading_alone,
)
from trl_r1.hub.checkpoints.logit_probe import difference, probe_logits, probe_rows
from trl_r1.hub.checkpoints.merge_record import MERGE_RECORD, MergeRecord, read_merge_record
from trl_r1.hub.checkpoints.merging import auto_class, load_adapter, load_base, merge, round_weights
from trl_r1.stage_record import MERGED_NAME, hash_weights, write_json
from trl_r1.user_code import first_line


if TYPE_CHECKING:
    import torch

TOLERANCE: Final = 1e-5  # relative l2 distance of a prompt's logits in float32, the worst prompt
_TAKEN_OVER: Final = ("token", "special_tokens", "vocab", "merges", "chat_template", "prompt_template", "generation")

logger = logging.getLogger(__name__)


def loadable_checkpoint(name_or_path: str) -> str:
    """
    What a trainer can start from: the path itself, or of an adapter's folder its merged model.

    TRL 1.16 cannot load a folder that holds an adapter alone, for want of a `config.json`.

    Raises:
        [`CheckpointError`]: for an adapter that was not merged, or was trained on since.
    """
    if not is_adapter(name_or_path):
        return name_or_path
    merged = Path(name_or_path) / MERGED_NAME
    if _is_current(Path(name_or_path), merged):
        return str(merged)
    state = "was trained on since it was merged" if merged.is_dir() else "was not merged"
    code = f"from trl_r1.hub import merge_adapter; merge_adapter({name_or_path!r})"
    raise CheckpointError(
        f"model_name_or_path: {name_or_path!r} is an adapter, which trainers cannot start from, and {state}; "
        f"merge it: python -c {shlex.quote(code)}"
    )


def merge_adapter(folder: str | Path) -> Path:
    """
    Merge a stage's adapter into its base, as a complete checkpoint in `folder/merged`.

    The base is loaded unquantised on the CPU, in float32, and takes four bytes a weight. The merged weights have the
    base's type; only where its rounding would swallow at least half of what the adapter changed, they stay float32. A
    merged folder that is there already and belongs to these adapter weights is kept.

    Args:
        folder (`str` or `Path`):
            Folder of the adapter, with `adapter_config.json` and tokenizer, after
            [`~trl_r1.hub.checkpoints.files.finish_checkpoint`].

    Returns:
        `Path`: the merged folder. `merge.json` in it is the [`MergeRecord`].

    Raises:
        [`CheckpointError`]: when there is no adapter or no base, it cannot be merged, or the logits differ. No merged
            folder is left behind then.
    """
    folder = Path(folder)
    merged = folder / MERGED_NAME
    if _is_current(folder, merged):
        return merged
    if not is_adapter(folder):
        raise CheckpointError(f"{folder}: there is no adapter to merge: it has no {ADAPTER_CONFIG}, or is a model")
    check_weights(folder)
    for left in (
        merged,
        *folder.glob(f".{MERGED_NAME}.*.partial"),
    ):  # of another adapter, or of a merge that was killed
        _remove(left)
    partial = folder / f".{MERGED_NAME}.{os.getpid()}.partial"
    try:
        with _quiet(), loading_alone():
            record = _merge_into(partial, folder)
        write_json(partial / MERGE_RECORD, dataclasses.asdict(record))
        partial.replace(merged)
    finally:
        _remove(partial)
    logger.info(
        "%s: merged in %s; logits differ by %.1e from the adapter's, which differ by %.1e from the base's",
        merged,
        record.dtype,
        record.difference_on_disk,
        record.change,
    )
    return merged


def _is_current(folder: Path, merged: Path) -> bool:
    """Whether `merged` is what merging this adapter would give."""
    if not (merged / MERGE_RECORD).is_file() or not is_adapter(folder):
        return False
    try:
        record = read_merge_record(merged)
    except CheckpointError:  # damaged, so worth nothing
        return False
    return (record.adapter_weights_sha256, record.merged_weights_sha256) == (
        hash_weights(folder),
        hash_weights(merged),
    )


def _merge_into(target: Path, folder: Path, wanted: torch.dtype | None = None) -> MergeRecord:
    """Save the merged model in its base's type, or the one that is `wanted`, and compare all four."""
    import torch
    from peft import PeftConfig

    try:
        config: Any = PeftConfig.from_pretrained(str(folder))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: {ADAPTER_CONFIG} is damaged ({first_line(error)}); save it again") from error
    tokenizer = check_tokenizer(folder)
    base, stored = load_base(config, folder)
    dtype = wanted or stored
    rows = probe_rows(tokenizer, base, getattr(config, "trainable_token_indices", None))
    base_logits = probe_logits(base, rows)
    wrapped = load_adapter(base, folder)
    adapter_logits = probe_logits(wrapped, rows)
    change = difference(base_logits, adapter_logits)
    _check_it_acts(folder, change)
    model = merge(wrapped)
    del base, wrapped
    in_memory = difference(adapter_logits, probe_logits(model, rows))
    _check_equal(folder, "merged in memory", in_memory)
    expected = _logits_as_saved(model, dtype, rows, adapter_logits)
    if change > 0 and not difference(adapter_logits, expected) < change / 2:  # rounding swallows what was learned
        del model
        return _merge_into(target, folder, torch.float32)
    model.to(dtype).save_pretrained(target)
    _take_over(folder, target)
    del model
    check_weights(target)
    on_disk = probe_logits(auto_class(config).from_pretrained(target, dtype=torch.float32), rows)
    _check_equal(folder, "merged and read back", difference(expected, on_disk))
    return _record(
        config,
        folder,
        merged_weights_sha256=str(hash_weights(target)),
        dtype=_name(dtype),
        prompts=len(rows),
        positions=sum(map(len, rows)),
        change=change,
        difference_in_memory=in_memory,
        difference_on_disk=difference(adapter_logits, on_disk),
        notes=_notes(folder) + _rounding_note(stored, dtype),
    )


def _logits_as_saved(
    model: Any, dtype: torch.dtype, rows: list[list[int]], adapter_logits: list[torch.Tensor]
) -> list[torch.Tensor]:
    """What the merged model must compute when it is read back: in float32 what the adapter does, else rounded."""
    import torch

    if dtype == torch.float32:
        return adapter_logits
    round_weights(model, dtype)
    return probe_logits(model, rows)


def _record(config: Any, folder: Path, **measured: Any) -> MergeRecord:
    base = Path(str(config.base_model_name_or_path))
    return MergeRecord(
        base=str(config.base_model_name_or_path),
        base_revision=config.revision,
        base_weights_sha256=hash_weights(base) if base.is_dir() else None,
        adapter_weights_sha256=str(hash_weights(folder)),
        **measured,
    )


def _rounding_note(stored: torch.dtype, dtype: torch.dtype) -> list[str]:
    if dtype == stored:
        return []
    return [
        f"weights are {_name(dtype)}: rounding to the base's {_name(stored)} would swallow what the adapter changed"
    ]


def _check_it_acts(folder: Path, change: float) -> None:
    """An adapter whose weights are not zero, and that changes nothing, was not loaded."""
    from safetensors import safe_open

    if change != 0:
        return
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as stream:
        names = [name for name in stream.keys() if "lora_B" in name or "lora_embedding_B" in name]  # noqa: SIM118
        moved = [name for name in names if stream.get_tensor(name).any()]
    if moved:
        raise CheckpointError(
            f"{folder}: {len(moved)} weights such as {moved[0]!r} are not zero, but the adapter's logits are the "
            "base's; its weights do not reach the model, so there is nothing to merge"
        )
    logger.warning("%s: the adapter changes nothing: it was not trained, or by too little to be seen", folder)


def _check_equal(folder: Path, what: str, found: float) -> None:
    if not found <= TOLERANCE:  # not a number is a difference
        raise CheckpointError(
            f"{folder}: the model {what} is not the adapter: its logits differ by {found:.3g}, {TOLERANCE:.3g} is "
            "allowed (relative l2, worst prompt); nothing was kept, use the adapter as it is"
        )


def _notes(folder: Path) -> list[str]:
    """What a reader must know: a policy trained on a quantised base saw other weights than the merged ones."""
    import yaml

    path = folder / "resolved_config.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    used = [name for name in ("load_in_4bit", "load_in_8bit") if (settings or {}).get(name)]
    return [
        f"trained with {name}; merged into the unquantised base, and compared with the adapter on it" for name in used
    ]


def _take_over(folder: Path, target: Path) -> None:
    """Tokenizer, templates and sampling of the adapter's folder."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name.startswith(_TAKEN_OVER):
            shutil.copyfile(path, target / path.name)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars: a merge loads the model three times."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
