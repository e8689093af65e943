"""The rows of a model card's tables, from records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from trl_r1.hub.cards.markdown import inline_code, plain
from trl_r1.hub.lineage import Lineage, LineageNode
from trl_r1.run_records import Evaluation
from trl_r1.stage_record import Measurement, StageRecord


SHOWN_TRAINING_METRICS = (
    *("loss", "reward", "reward_std", "kl", "entropy", "entropy_of_rows_with_signal"),
    *("completions/mean_length", "completions/clipped_ratio"),
    *("mean_token_accuracy", "accuracy", "margin", "num_tokens", "epoch"),
)
MOST_DIGITS = 10**12  # of a number written out
MAIN_METRIC = "accuracy"
GROUPED_METRICS = ("accuracy", "chain_tokens")
MEANINGS = {
    "accuracy": "share of answers that are right, by the verifier of training",
    "well_formed": "share of completions without a format defect",
    "language_consistency": "share of the thoughts' words that are in the question's language",
    "mixed": "share of thoughts with words of more than one language",
    "chain_tokens": "tokens between the think tags",
    "completion_tokens": "tokens written, the end token included",
}


def cell(value: Any) -> str:
    """A value as the text of one Markdown table cell."""
    return plain(number(value) if isinstance(value, float) else value)


def number(value: float) -> str:
    """A number with four digits, or all of them if it is whole."""
    return f"{value + 0.0:,.0f}" if value.is_integer() and abs(value) < MOST_DIGITS else f"{value:.4g}"


def code(value: Any) -> str:
    """A value as inline code in a table cell."""
    return inline_code(value).replace("|", "\\|")


def lineage_lines(lineage: Lineage) -> Iterator[str]:
    """One line an ancestor, oldest first, and the checkpoint itself at the end."""
    for node in lineage.nodes.values():
        used = [f"{role}: {parent.name}" for role, parent in lineage.parents(node)]
        line = f"**{cell(node.name)}** ({_kind(node)})"
        yield f"{line} from {', '.join(cell(item) for item in used)}" if used else line


def ancestry_rows(lineage: Lineage) -> list[dict[str, str]]:
    """One row for each use of a model, oldest first."""
    rows = []
    for node in lineage.nodes.values():
        recorded = (
            {}
            if node.record is None
            else {(each.role, each.stage or each.name_or_path): each for each in node.record.parents}
        )
        for role, parent in lineage.parents(node):
            if role == "data":  # its rows are counted in their own table, its files hashed in its own record
                continue
            found = recorded.get((role, parent.name))
            rows.append(
                {
                    "used": cell(parent.name),
                    "role": cell(role.replace("_", " ")),
                    "by": cell(node.name),
                    "revision": code(found.revision) if found and found.revision else "",
                    "weights": code(found.weights_sha256[:16]) if found and found.weights_sha256 else "",
                    "license": cell(found.license) if found and found.license else "",
                }
            )
    return rows


def contamination_rows(record: StageRecord) -> list[dict[str, str]]:
    """One row a benchmark and method that the training data were searched for."""
    return [
        {
            "benchmark": code(each.benchmark),
            "method": cell(each.method),
            "questions": f"{each.questions:,}",
            "hits": f"{each.hits:,}",
            "rows_checked": f"{each.rows_checked:,}",
            "removed": f"{each.removed:,}",
            "notes": cell(each.notes),
        }
        for each in record.contamination
    ]


def _kind(node: LineageNode) -> str:
    if node.record is not None:
        return node.record.kind
    return "model on the Hub" if node.is_hub_id else "local model without a record"


def data_rows(record: StageRecord) -> list[dict[str, str]]:
    """One row a data set the stage read."""
    return [
        {
            "source": code(source.source) + (f" at {code(source.revision[:12])}" if source.revision else ""),
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


def result_rows(
    evaluations: Sequence[Evaluation], before: Sequence[Evaluation] = ()
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """
    The rows of the result tables.

    Args:
        evaluations (`Sequence[Evaluation]`):
            What was measured.
        before (`Sequence[Evaluation]`, *optional*):
            The same of the model it started from; put beside what was measured under the same conditions.

    Returns:
        `tuple[list[dict[str, str]], list[dict[str, str]]]`: first the one figure of each suite and mode that tells
        most, its accuracy where it has one; then all others, with those of groups of questions.
    """
    main: list[dict[str, str]] = []
    others: list[dict[str, str]] = []
    earlier = {each.conditions: each for each in before}
    for evaluation in evaluations:
        base = earlier.get(evaluation.conditions)
        metrics = evaluation.telling_metrics
        first = MAIN_METRIC if MAIN_METRIC in metrics else next(iter(metrics), None)
        for name, measured in metrics.items():
            row = _result_row(evaluation, "", name, measured)
            row["before"] = with_interval(base.telling_metrics.get(name) if base else None)
            (main if name == first else others).append(row)
            if name in GROUPED_METRICS:
                for value, grouped in evaluation.groups.items():
                    if name in grouped:
                        group = f"{evaluation.group_by} {value}"
                        row = _result_row(evaluation, group, name, grouped[name])
                        row["before"] = with_interval(base.groups.get(value, {}).get(name) if base else None)
                        others.append(row)
    return main, others


def metric_meanings(evaluations: Sequence[Evaluation]) -> list[str]:
    """What the built-in metrics among the results mean."""
    shown = {name for evaluation in evaluations for name in evaluation.telling_metrics}
    return [f"{code(name)}: {meaning}" for name, meaning in MEANINGS.items() if name in shown]


def with_interval(measured: Measurement | None) -> str:
    """A figure with its 95 % interval in brackets; empty for what was not measured."""
    if measured is None:
        return ""
    known = measured.low is not None and measured.high is not None
    return f"{measured.value:.3f}" + (f" ({measured.low:.3f} to {measured.high:.3f})" if known else "")


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
