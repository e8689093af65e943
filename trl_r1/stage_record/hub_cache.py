"""What the local cache of the Hub tells of a model or data set that was loaded from it: commit, weights, card."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trl_r1.stage_record.hashing import hash_file, hash_json


MAIN = "main"
CARD_NAME = "README.md"
MARKERS = ("config.json", "adapter_config.json")  # one of which every loader of models fetches
WEIGHT_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")  # in the order transformers looks
WEIGHT_FILES = ("model.safetensors", "adapter_model.safetensors", "pytorch_model.bin", "adapter_model.bin")
COMMIT = re.compile(r"[0-9a-f]{40}")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|code|multilingual")


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card's header says of rights and languages."""

    license: str | None = None
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def find_snapshot(repo_id: str, revision: str | None = None, repo_type: str = "model") -> Path | None:
    """
    Folder of the cached commit that a revision stood for when it was last loaded; its name is the commit.

    Asks no server.

    Args:
        repo_id (`str`):
            Id on the Hub.
        revision (`str`, *optional*):
            Branch, tag or commit; `main` if left out.
        repo_type (`str`, *optional*, defaults to `"model"`):
            `"model"` or `"dataset"`.
    """
    from huggingface_hub import try_to_load_from_cache

    for name in MARKERS if repo_type == "model" else (CARD_NAME,):
        try:
            found = try_to_load_from_cache(repo_id, name, revision=revision or MAIN, repo_type=repo_type)
        except ValueError:  # no valid id: a path that is gone
            return None
        if isinstance(found, str) and COMMIT.fullmatch(Path(found).parent.name):
            return Path(found).parent
    return None


def hash_snapshot_weights(snapshot: Path) -> str | None:
    """
    One hash over the weight files that a loader takes from a cached snapshot, as `hash_weights` makes of a folder.

    Other files of weights that lie beside them (another format, say) do not count; `None` when a file is not cached.
    """
    names = _loaded_weights(snapshot)
    if not names or not all((snapshot / name).is_file() for name in names):
        return None
    return hash_json([(name, hash_file(snapshot / name)) for name in sorted(names)])


def _loaded_weights(snapshot: Path) -> set[str]:
    """Names of the weight files, in transformers' order of preference: safetensors first, whole before parts."""
    for index, whole in zip(WEIGHT_INDEXES, WEIGHT_FILES[::2], strict=True):
        if (snapshot / whole).is_file():
            return {whole}
        if (snapshot / index).is_file():
            try:
                content = json.loads((snapshot / index).read_text(encoding="utf-8"))
                return {str(name) for name in content["weight_map"].values()}
            except (ValueError, LookupError, TypeError, AttributeError):
                return set()
    return {name for name in WEIGHT_FILES if (snapshot / name).is_file()}


def read_card(repo_id: str, revision: str | None = None, repo_type: str = "model") -> CardFacts:
    """
    What the card of a repository on the Hub says: of the cache, else by one small download.

    Without a card, or without the Hub, nothing is known, and nothing is raised: a run does not fail for a licence.
    """
    path = fetch_file(repo_id, CARD_NAME, revision, repo_type)
    return _read_header(path) if path else CardFacts()


def fetch_file(repo_id: str, name: str, revision: str | None = None, repo_type: str = "model") -> Path | None:
    """A small file of a repository, of the cache or downloaded; `None`, and no error, where it cannot be had."""
    import httpx2
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(repo_id, name, revision=revision, repo_type=repo_type))
    except (OSError, ValueError, EntryNotFoundError, httpx2.HTTPError) as error:
        logger.info("%s of %s is not known: %s", name, repo_id, error)
        return None


def read_local_card(folder: Path) -> CardFacts:
    """What the card in a folder says; nothing without one."""
    return _read_header(folder / CARD_NAME)


def _read_header(path: Path) -> CardFacts:
    import yaml
    from huggingface_hub.repocard import metadata_load

    try:
        header = metadata_load(path) or {}
    except (OSError, ValueError, yaml.YAMLError):  # none, or one that a stranger wrote by hand
        return CardFacts()
    licenses, tags = list(_texts(header.get("license"))), tuple(_texts(header.get("tags")))
    if licenses == ["other"]:  # one that the Hub has no identifier for stands under its name
        licenses = [*_texts(header.get("license_name")), *licenses]
    languages = dict.fromkeys(text for text in _texts(header.get("language")) if is_language(text))
    return CardFacts(license=licenses[0] if licenses else None, languages=tuple(languages), tags=tags)


def is_language(text: str) -> bool:
    """Whether a text is a language code as the Hub takes them; `"py"` of a code data set is none."""
    return text != "py" and LANGUAGE.fullmatch(text) is not None


def _texts(value: Any) -> Iterator[str]:
    """The texts of a header's field, which may hold one or a list."""
    yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text)
