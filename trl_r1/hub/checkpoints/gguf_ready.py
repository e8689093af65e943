"""What would stop llama.cpp's converter from turning a checkpoint's folder into a GGUF file.

Names of architectures and tensors are those of the `gguf` package (extra `gguf`), which llama.cpp publishes for its
converter. Whether the converter knows the way a tokenizer splits text, it finds out by a hash that the package lacks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import CheckpointError
from trl_r1.hub.checkpoints.checks import check_tokenizer, check_weights, disagreements, is_adapter, stored_tensors


_SENTENCEPIECE: Final = "tokenizer.model"
_CONVERTED: Final = ("F32", "F16", "BF16")  # as safetensors names them
_EXPERT: Final = re.compile(r"\.experts\.\d+\.")
_SUFFIXES: Final = (".weight", ".bias")
# Models of transformers whose layout llama.cpp knows under another's name; else a `model_type` is its own.
_SAME_AS: Final = {
    "mistral": "llama",
    "mixtral": "llama",
    "phi": "phi2",
    "cohere": "command-r",
    "gemma3_text": "gemma3",
    "deepseek_v2": "deepseek2",
    "deepseek_v3": "deepseek2",
}


def gguf_problems(folder: str | Path) -> list[str]:
    """
    Everything that would stop llama.cpp's converter, a line each; an empty list says that the folder is ready.

    Args:
        folder (`str` or `Path`):
            A checkpoint's folder. Of an adapter, ask for its `merged` folder.

    Raises:
        [`ImportError`]: when the `gguf` package is not installed.
    """
    folder = Path(folder)
    if is_adapter(folder):
        return ["it is an adapter, and GGUF holds whole models: merge it, and convert the merged folder"]
    try:
        check_weights(folder)
        tokenizer = check_tokenizer(folder)
    except CheckpointError as error:  # what follows reads these files
        return [line.removeprefix(f"{folder}: ") for line in str(error).splitlines()]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return [
        *disagreements(folder, tokenizer),
        *_tensor_problems(folder, config),
        *_dtype_problems(folder, config),
        *_tokenizer_problems(folder),
    ]


def _tensor_problems(folder: Path, config: dict[str, Any]) -> Iterator[str]:
    names = _tensor_names(str(config.get("model_type")), int(config.get("num_hidden_layers") or 0))
    if names is None:
        yield f"config.json: model_type: {config.get('model_type')!r} is no architecture that gguf names"
        return
    lost = [
        name
        for name in map(_as_converted, stored_tensors(folder))
        if names.get_name(name, try_suffixes=_SUFFIXES) is None
    ]
    if lost:
        yield f"weights: gguf has no name for {len(lost)} tensors, such as {lost[0]!r}; language models have none"


def _as_converted(name: str) -> str:
    """A tensor's name as the converter asks for it: it joins experts, and calls what ends in `_bias` a bias."""
    return _EXPERT.sub(".experts.", name).replace("_correction_bias", "_correction.bias")


def _tensor_names(model_type: str, layers: int) -> Any:
    try:
        import gguf
    except ImportError as error:
        raise ImportError("gguf_problems needs the gguf package: pip install 'trl_r1[gguf]'") from error
    wanted = {_plain(model_type), _plain(_SAME_AS.get(model_type, model_type))}
    for architecture, name in gguf.MODEL_ARCH_NAMES.items():
        if _plain(name) in wanted:
            return gguf.get_tensor_name_map(architecture, layers)
    return None


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _dtype_problems(folder: Path, config: dict[str, Any]) -> Iterator[str]:
    if config.get("quantization_config"):
        yield "config.json: quantization_config: the weights are quantised; convert those they came from"
    others = sorted({dtype for dtype, _ in stored_tensors(folder).values()} - set(_CONVERTED))
    if others:
        yield f"weights: {others} are not converted; save the model in one of {list(_CONVERTED)}"


def _tokenizer_problems(folder: Path) -> Iterator[str]:
    if not (folder / _SENTENCEPIECE).is_file():
        model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")).get("model") or {}
        if model.get("type") != "BPE":
            yield (
                f"tokenizer.json: model.type is {model.get('type')!r}; without {_SENTENCEPIECE}, llama.cpp reads BPE "
                "tokenizers alone"
            )
    if not (folder / "chat_template.jinja").is_file():
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        if not settings.get("chat_template") and not (folder / "prompt_template.txt").is_file():
            yield "chat template: there is none, so programs would guess one; save the tokenizer with its template"
