"""The rows of a model card's tables, from records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trl_r1.hub.lineage import Lineage, LineageNode
from trl_r1.stage_record import StageRecord


SHOWN_TRAINING_METRICS = (
    *("loss", "reward", "reward_std", "kl", "entropy", "completions/mean_length", "completions/clipped_ratio"),
    *("mean_token_accuracy", "accuracy", "margin", "num_tokens", "epoch"),
)


def cell(value: Any) -> str:
    """A value as the text of one Markdown table cell."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def code(value: Any) -> str:
    """A value as inline code."""
    return f"`{cell(value).replace('`', ' ')}`"


def lineage_lines(lineage: Lineage) -> Iterator[str]:
    """One line an ancestor, oldest first, and the checkpoint itself at the end."""
    for node in lineage.nodes.values():
        used = [f"{role}: {parent.name}" for role, parent in lineage.parents(node)]
        line = f"**{cell(node.name)}** ({_kind(node)})"
        yield f"{line} from {', '.join(cell(item) for item in used)}" if used else line


def _kind(node: LineageNode) -> str:
    if node.record is not None:
        return node.record.kind
    return "model on the Hub" if node.is_hub_id else "local model without a record"


def data_rows(record: StageRecord) -> list[dict[str, str]]:
    """One row a data set the stage read."""
    return [
        {
            "source": code(source.source),
            "split": cell(source.split),
            "rows_in": cell(source.rows_in),
            "rows_kept": cell(source.rows_kept),
            "dropped": cell(", ".join(f"{count} {reason}" for reason, count in source.dropped.items()) or "none"),
            "fingerprint": code(source.fingerprint[:16]),
        }
        for source in record.data
    ]


def reward_rows(record: StageRecord) -> list[dict[str, str]]:
    """One row a reward function."""
    return [
        {
            "name": code(reward.name),
            "weight": cell(reward.weight),
            "parameters": code(json.dumps(reward.parameters, ensure_ascii=False, default=str))
            if reward.parameters
            else "",
        }
        for reward in record.rewards
    ]


def training_rows(record: StageRecord) -> list[dict[str, str]]:
    """The final training metrics worth a line."""
    shown = [name for name in SHOWN_TRAINING_METRICS if name in record.metrics]
    shown += sorted(name for name in record.metrics if name.startswith("rewards/") and name.endswith("/mean"))
    return [{"metric": cell(name), "value": cell(record.metrics[name].value)} for name in shown]


def evaluations_of(folder: Path, evaluations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The evaluation records that measured the weights in `folder`, in a fixed order."""
    found = [dict(entry) for entry in evaluations if _measures(entry, folder)]
    return sorted(found, key=lambda entry: (str(entry.get("suite")), str(entry.get("mode"))))


def _measures(entry: Mapping[str, Any], folder: Path) -> bool:
    path = entry.get("path") or entry.get("checkpoint")
    return path is not None and Path(str(path)).resolve() == folder.resolve()


def result_rows(evaluations: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """One row a metric, suite and mode."""
    rows = []
    for entry in evaluations:
        for name, measured in entry["metrics"].items():
            rows.append(
                {
                    "suite": cell(entry["suite"]),
                    "group": "",
                    "mode": cell(entry["mode"]),
                    "metric": cell(name),
                    "value": f"{measured['value']:.3f}",
                    "interval": format_interval(measured),
                    "n": cell(measured["n"]),
                }
            )
    return rows


def format_interval(measured: Mapping[str, Any]) -> str:
    """`"0.81 to 0.88"`, or nothing where none was computed."""
    low, high = measured.get("low"), measured.get("high")
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def result_notes(evaluations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How each line of the results came about."""
    return iter(())
