"""Whether a checkpoint's folder is whole: safetensors weights that fit their configuration, and a tokenizer.

Everything is read from headers and on the meta device, so a checkpoint of any size is checked in seconds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trl_r1.errors import CheckpointError
from trl_r1.stage_record import weight_files
from trl_r1.user_code import first_line


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
_DTYPES: Final = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}  # safetensors -> torch

logger = logging.getLogger(__name__)


def is_adapter(folder: str | Path) -> bool:
    """Whether `folder` holds a PEFT adapter and no model of its own."""
    return (Path(folder) / ADAPTER_CONFIG).is_file() and not (Path(folder) / "config.json").is_file()


@contextmanager
def loading_alone() -> Iterator[None]:
    """
    Load models in this process only.

    After training under ZeRO-3, transformers spreads every model it loads over all processes; the main one, which
    finishes a stage's folder alone, would wait for the others for ever.
    """
    from transformers.integrations import deepspeed

    active = deepspeed._hf_deepspeed_config_weak_ref and deepspeed._hf_deepspeed_config_weak_ref()
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if active:
            deepspeed.set_hf_deepspeed_config(active)


def needs_own_code(folder: str | Path) -> bool:
    """Whether a model's class is not of transformers but in files of its own, which only `trust_remote_code` runs."""
    try:
        return "auto_map" in json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def check_weights(folder: str | Path) -> None:
    """
    Check that the weights of a checkpoint are whole safetensors files that fill its model, and nothing beside them.

    Args:
        folder (`str` or `Path`):
            A model's folder, or an adapter's, of which only the files are checked: see
            [`~trl_r1.hub.checkpoints.adapters.merge_adapter`] for the rest.

    Raises:
        [`CheckpointError`]: with everything that is wrong, a line each.
    """
    folder = Path(folder)
    problems = list(_file_problems(folder))
    if needs_own_code(folder):
        logger.warning(
            "%s: not checked further: its model is no class of transformers and brings its own code", folder
        )
    elif not problems and not is_adapter(folder):
        problems += _model_problems(folder)
    if problems:
        raise CheckpointError("\n".join(f"{folder}: {problem}" for problem in problems))


def check_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """
    Load the tokenizer of a checkpoint and check that any program can.

    Returns:
        [`~transformers.PreTrainedTokenizerBase`]: the fast tokenizer.

    Raises:
        [`CheckpointError`]: when there is none, or it has no `tokenizer.json` or no end token.
    """
    from transformers import AutoTokenizer

    folder = Path(folder)
    hint = "save it with tokenizer.save_pretrained"
    if not (folder / "tokenizer.json").is_file():
        raise CheckpointError(f"{folder}: there is no tokenizer.json, which fast tokenizers are read from; {hint}")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # tokenizers raises bare Exception for a file that it cannot read
        raise CheckpointError(f"{folder}: the tokenizer does not load ({first_line(error)}); {hint}") from error
    if tokenizer.eos_token_id is None:
        raise CheckpointError(
            f"{folder}: eos_token: the tokenizer names none, so nothing ends a reply; set it, {hint}"
        )
    return tokenizer


def stored_tensors(folder: str | Path) -> dict[str, tuple[str, list[int]]]:
    """Name -> (type as safetensors names it, shape) of every tensor of a folder, from the headers of its files."""
    found = {}
    for path in weight_files(folder):
        if path.suffix == ".safetensors":
            found.update(_read_header(path))
    return found


def _read_header(path: Path) -> dict[str, tuple[str, list[int]]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            slices = {name: stream.get_slice(name) for name in stream.keys()}  # noqa: SIM118  (no mapping)
            return {name: (part.get_dtype(), list(part.get_shape())) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({first_line(error)}); save it again") from error


def _file_problems(folder: Path) -> Iterator[str]:
    files = [path.name for path in weight_files(folder)]
    pickled = [name for name in files if name.endswith(".bin")]
    if pickled:
        yield f"weights: {pickled} are pickles, which run code when they are loaded; save them as safetensors"
    if not files:
        yield "weights: there are none; save the model with save_pretrained"
        return
    try:
        yield from _shard_problems(folder, [name for name in files if name.endswith(".safetensors")])
    except CheckpointError as error:
        yield str(error)


def _shard_problems(folder: Path, files: list[str]) -> Iterator[str]:
    headers = {name: _read_header(folder / name) for name in files}
    if is_adapter(folder):
        if ADAPTER_WEIGHTS not in files:
            yield f"weights: there is no {ADAPTER_WEIGHTS} beside {ADAPTER_CONFIG}; save the adapter again"
        return
    if not (folder / INDEX).is_file():
        if files != [WEIGHTS]:
            yield f"weights: without {INDEX} they must be {WEIGHTS} alone, but there are {files}; save them again"
        return
    try:
        where: dict[str, str] = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        yield f"{INDEX}: damaged ({first_line(error)}); save the model again"
        return
    missing = sorted(set(where.values()) - set(files))
    if missing:
        yield f"{INDEX}: it names {missing}, which are not there; save the model again"
    if stale := sorted(set(files) - set(where.values())):
        yield f"weights: {stale} are not in {INDEX}, left over from another save; delete them"
    lost = [name for name, file in where.items() if file in headers and name not in headers[file]]
    if lost:
        yield f"{INDEX}: {len(lost)} tensors such as {lost[0]!r} are not in the file it names; save the model again"


def _model_problems(folder: Path) -> Iterator[str]:
    """What transformers finds when it lays the weights out, on the meta device, where they take no memory."""
    import transformers
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder)
        name = (config.architectures or ["?"])[0]
        model_class = getattr(transformers, name, None)
        if model_class is None:
            yield f"config.json: architectures: {name!r} is no model of transformers; it would need code of its own"
            return
        with loading_alone():
            _, found = model_class.from_pretrained(folder, device_map={"": "meta"}, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, StrictDataclassError) as error:
        yield f"weights: they do not fit config.json ({first_line(error)}); save model and configuration together"
        return
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[key]:
            names, what = sorted(map(str, found[key])), key.removesuffix("_keys")
            yield f"weights: {len(names)} {what} for config.json, such as {names[0]}; save them again"


def disagreements(folder: str | Path, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """
    What weights, configuration and tokenizer say of each other that is not so, a line each.

    No reason to refuse what was trained: released models have some of it (Gemma 3 has a token without embedding), and
    all of it can be mended in a text file.
    """
    from transformers import AutoConfig

    folder = Path(folder)
    if is_adapter(folder) or needs_own_code(folder):
        return
    whole = AutoConfig.from_pretrained(folder)
    config = whole.get_text_config()
    declared = str(whole.dtype).removeprefix("torch.") if whole.dtype is not None else None
    stored = {_DTYPES[dtype] for dtype, _ in stored_tensors(folder).values() if dtype in _DTYPES}
    if declared and stored and declared not in stored:  # some keep a few weights, such as norms, in another type
        yield f"config.json: dtype is {declared}, but the weights are {sorted(stored)}; write there what they are"
    if len(tokenizer) > config.vocab_size:
        yield (
            f"the tokenizer has {len(tokenizer)} tokens, the model {config.vocab_size} embeddings; a text with one of "
            "the others cannot be read"
        )
    ends = as_ids(config.eos_token_id)
    if ends and tokenizer.eos_token_id not in ends:
        yield (
            f"eos_token: the tokenizer ends with {tokenizer.eos_token_id} ({tokenizer.eos_token!r}), the model's "
            f"config.json with {ends}; check which one it was trained with"
        )


def as_ids(value: int | list[int] | None) -> list[int]:
    """Token ids of a configuration's field, which holds none, one or several."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
