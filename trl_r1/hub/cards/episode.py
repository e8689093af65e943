"""The episode on a model card: one group of completions with what each reward function gave them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trl_r1.errors import RecordError
from trl_r1.hub.cards.markdown import cut_middle, fenced, inline_code
from trl_r1.hub.cards.tables import cell, code
from trl_r1.run_records import EPISODE_NAME
from trl_r1.stage_record import StageRecord, hash_file


PROMPT_CHARACTERS: Final = 2_000
COMPLETION_CHARACTERS: Final = 6_000


def episode_section(folder: Path, record: StageRecord) -> dict[str, Any] | None:
    """
    Read a stage's episode for its card.

    Args:
        folder (`Path`):
            Of the stage.
        record ([`~trl_r1.stage_record.StageRecord`]):
            Its record, which must name the file among the artefacts: a file that it does not name is not shown.

    Returns:
        `dict[str, Any]` or `None`: what the template prints, with all text made safe; `None` without an episode.

    Raises:
        [`RecordError`]: when the file is gone, is not the one the record names, or is damaged.
    """
    recorded = next((each for each in record.artefacts if each.path == EPISODE_NAME), None)
    if recorded is None:
        return None
    path = folder / EPISODE_NAME
    if not path.is_file():
        raise RecordError(f"{path}: {folder.name}/stage.json names it, and it is gone; bring it back or train again")
    if hash_file(path) != recorded.sha256:
        raise RecordError(f"{path}: not the file that stage.json names (other sha256); bring it back or train again")
    try:
        return _render(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: damaged episode ({error!r}); train the stage again") from error


def _render(content: Mapping[str, Any]) -> dict[str, Any]:
    totals = content["totals"]
    judged = [total for total in totals if total is not None]
    return {
        "step": int(content["step"]),
        "prompt": fenced(cut_middle(content["prompt"], PROMPT_CHARACTERS), "text"),
        "reference": inline_code(content["reference"]) if content["reference"] is not None else "",
        "totals": ", ".join(_figure(total) for total in totals),
        "tied": len(set(judged)) < 2,
        "completions": [_completion(name, each, len(totals)) for name, each in content["completions"].items()],
    }


def _completion(name: str, content: Mapping[str, Any], group: int) -> dict[str, Any]:
    label = {"best": f"Highest reward of {group}", "worst": f"Lowest reward of {group}"}[name]
    return {
        "label": label,
        "tokens": int(content["tokens"]),
        "truncated": bool(content["truncated"]),
        "text": fenced(cut_middle(content["text"], COMPLETION_CHARACTERS), "text"),
        "rewards": [
            {
                "name": code(each["name"]),
                "value": "not judged" if each["value"] is None else _figure(each["value"]),
                "weight": _figure(each["weight"]),
                "product": "" if each["value"] is None else _figure(each["value"] * each["weight"]),
            }
            for each in content["rewards"]
        ],
        "total": _figure(content["total"]),
        "advantage": _figure(content["advantage"]),
    }


def _figure(value: float | None) -> str:
    return "none" if value is None else cell(float(value))
