"""The files that let a trained checkpoint be used elsewhere as it was trained, written when its weights are on disk.

| file | what for | in |
|---|---|---|
| `generation_config.json` | the paper's sampling, and every token that ends a reply | all that generates |
| `chat_template.jinja` | the template as trained (the tokenizer's own) | chat models |
| `chat_template_prefill.jinja` | the same, its generation prompt opens the thoughts | chat models |
| `prompt_template.txt` | the plain template of R1-Zero, with `{prompt}` | R1-Zero checkpoints |
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.chat_template import PROMPT_FIELD
from trl_r1.errors import CheckpointError
from trl_r1.hub.checkpoints.checks import (
    ADAPTER_CONFIG,
    as_ids,
    check_tokenizer,
    check_weights,
    disagreements,
    is_adapter,
)
from trl_r1.hub.checkpoints.prefill import prefill_template, prefills_itself, turn_end
from trl_r1.stage_record import write_json


if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

GENERATION_CONFIG: Final = "generation_config.json"
PREFILL_TEMPLATE: Final = "chat_template_prefill.jinja"
PROMPT_TEMPLATE: Final = "prompt_template.txt"
# The paper's evaluation, appendix D.1, and the advice of its release. `top_k` 0 is none: left out, it would be 50.
PAPER_SAMPLING: Final = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 0}
CHAT_ENDS: Final = ("<|im_end|>", "<|endoftext|>")  # how ChatML models end a turn and a document
_OF_THE_MACHINE: Final = ("is_local", "local_files_only")  # how a tokenizer was loaded here; transformers saves it too

logger = logging.getLogger(__name__)


def finish_checkpoint(
    folder: str | Path,
    *,
    kind: str,
    prompt_template: str | None = None,
    base_revision: str | None = None,
) -> None:
    """
    Check a checkpoint that was just saved, and write what others need to use it as it was trained.

    Doing it again changes nothing. No file is ever half written. What it writes does not change a later stage that
    starts here: TRL and our engines name every sampling value themselves.

    Args:
        folder (`str` or `Path`):
            The stage's folder, with model (or adapter) and tokenizer in it. Call it before `stage.json` is written.
        kind (`str`):
            What ran, as in the stage's record; `"reward_model"` generates nothing, so it gets no sampling.
        prompt_template (`str`, *optional*):
            Text of the plain template the policy was trained with, as an R1-Zero is; without one it is used by chat.
        base_revision (`str`, *optional*):
            Revision of the Hub model an adapter belongs to. PEFT leaves it out, and loads `main` then.

    Raises:
        [`CheckpointError`]: when weights or tokenizer are not whole, so that nobody could load them.
    """
    folder = Path(folder)
    if prompt_template is not None and prompt_template.count(PROMPT_FIELD) != 1:
        raise CheckpointError(f"prompt_template: {PROMPT_FIELD} must stand in it once, so that it can be filled")
    check_weights(folder)
    tokenizer = check_tokenizer(folder)
    for found in disagreements(folder, tokenizer):
        logger.warning("%s: %s", folder, found)
    _forget_machine(folder / "tokenizer_config.json")
    if is_adapter(folder):
        _name_revision(folder / ADAPTER_CONFIG, base_revision)
    if kind == "reward_model":
        return
    chat = prompt_template is None and tokenizer.chat_template is not None
    _write_generation_config(folder, tokenizer, chat)
    _write_or_remove(folder / PROMPT_TEMPLATE, prompt_template)
    _write_or_remove(folder / PREFILL_TEMPLATE, _prefill(folder, tokenizer) if chat else None)


def _prefill(folder: Path, tokenizer: PreTrainedTokenizerBase) -> str | None:
    template = prefill_template(tokenizer)
    if template is None:
        why = "opens the thoughts itself" if prefills_itself(tokenizer) else "cannot be changed safely"
        logger.info("%s: no %s: its chat template %s", folder, PREFILL_TEMPLATE, why)
    return template


def _write_generation_config(folder: Path, tokenizer: PreTrainedTokenizerBase, chat: bool) -> None:
    from transformers import GenerationConfig

    ends = _end_ids(folder, tokenizer, chat)
    config = GenerationConfig(
        **PAPER_SAMPLING,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends if len(ends) > 1 else ends[0],
        pad_token_id=tokenizer.pad_token_id,
    )
    config.validate(strict=True)
    _write_or_remove(folder / GENERATION_CONFIG, config.to_json_string(use_diff=True))


def _end_ids(folder: Path, tokenizer: PreTrainedTokenizerBase, chat: bool) -> list[int]:
    """
    Every id that ends a reply: the tokenizer's first, what the model declared, and what closes a turn of the chat.

    A token that only pads is none: no training showed it as an end, and training does not stop there either.
    """
    ids = [int(tokenizer.eos_token_id), *_declared_ends(folder)]  # type: ignore[arg-type]  # checked before
    if chat:
        vocabulary = tokenizer.get_vocab()
        ends = [turn_end(tokenizer), *(vocabulary.get(token) for token in CHAT_ENDS)]
        ids += [end for end in ends if end is not None and end != tokenizer.pad_token_id]
    return list(dict.fromkeys(ids))


def _declared_ends(folder: Path) -> list[int]:
    declared = _own_generation_config(folder)
    return as_ids(declared.eos_token_id) if declared else []


def _own_generation_config(folder: Path) -> GenerationConfig | None:
    """What the model says of generation; an adapter's model is its base."""
    from transformers import AutoConfig, GenerationConfig

    _read_json(folder / GENERATION_CONFIG)  # a damaged one is an error, as missing it is not
    name, revision = str(folder), "main"
    if is_adapter(folder) and not (folder / GENERATION_CONFIG).is_file():
        content = _read_json(folder / ADAPTER_CONFIG)
        name, revision = str(content.get("base_model_name_or_path")), content.get("revision") or "main"
    try:
        found: GenerationConfig = GenerationConfig.from_pretrained(name, revision=revision)
    except OSError:
        try:
            found = GenerationConfig.from_model_config(AutoConfig.from_pretrained(name, revision=revision))
        except (OSError, ValueError):  # an adapter's base that is not here: the tokenizer has to do
            return None
    return found


def _forget_machine(path: Path) -> None:
    """Leave out of a tokenizer's configuration where it was loaded from: it is no property of the tokenizer."""
    content = _read_json(path)
    kept = {key: value for key, value in content.items() if key not in _OF_THE_MACHINE}
    if kept != content:
        write_json(path, kept)


def _name_revision(path: Path, revision: str | None) -> None:
    content = _read_json(path)
    hub_id = not Path(str(content.get("base_model_name_or_path"))).exists()
    if revision and hub_id and content.get("revision") != revision:
        write_json(path, content | {"revision": revision})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error}); save the checkpoint again") from error
    return content if isinstance(content, dict) else {}


def _write_or_remove(path: Path, text: str | None) -> None:
    """Make a file hold `text`, in one step; take it away for `None`. A file that is right is left alone."""
    if text is None:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_text(encoding="utf-8") != text:
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
