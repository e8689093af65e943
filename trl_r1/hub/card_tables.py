"""The rows of a model card's tables, from records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from trl_r1.hub.card_markdown import inline_code, plain
from trl_r1.hub.lineage import Lineage, LineageNode
from trl_r1.run_records import Evaluation
from trl_r1.stage_record import Measurement, StageRecord


SHOWN_TRAINING_METRICS = (
    *("loss", "reward", "reward_std", "kl", "entropy", "entropy_of_rows_with_signal"),
    *("completions/mean_length", "completions/clipped_ratio"),
    *("mean_token_accuracy", "accuracy", "margin", "num_tokens", "epoch"),
)
GROUPED_METRICS = ("accuracy", "chain_tokens")


def cell(value: Any) -> str:
    """A value as the text of one Markdown table cell."""
    return plain(f"{value:.4g}" if isinstance(value, float) else value)


def code(value: Any) -> str:
    """A value as inline code in a table cell."""
    return inline_code(value).replace("|", "\\|")


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


def result_rows(evaluations: Sequence[Evaluation]) -> list[dict[str, str]]:
    """One row a metric, and for those of `GROUPED_METRICS` one more for each group of questions."""
    rows = []
    for evaluation in evaluations:
        for name, measured in evaluation.telling_metrics.items():
            rows.append(_result_row(evaluation, "", name, measured))
            if name in GROUPED_METRICS:
                for value, metrics in evaluation.groups.items():
                    if name in metrics:
                        group = f"{evaluation.group_by} {value}"
                        rows.append(_result_row(evaluation, group, name, metrics[name]))
    return rows


def _result_row(evaluation: Evaluation, group: str, metric: str, measured: Measurement) -> dict[str, str]:
    low, high = measured.low, measured.high
    return {
        "questions": cell(f"{evaluation.suite}, {group}" if group else evaluation.suite),
        "mode": cell(evaluation.mode),
        "metric": cell(metric),
        "value": f"{measured.value:.3f}",
        "interval": "" if low is None or high is None else f"{low:.3f} to {high:.3f}",
        "n": "" if measured.n is None else cell(measured.n),
    }
