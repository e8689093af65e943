"""What the report shows of a watched run: signals, and why a loss near 0 is fine; and nothing of either elsewhere."""

import pytest
from fake_run import FakeRun

from trl_r1.report import build_report
from trl_r1.report.charts import training_charts
from trl_r1.run_records import RunRecords


def charts_of(tmp_path, kind="grpo", loss=1e-9, config=None, **logged):
    run = FakeRun(tmp_path / "run")
    history = [{"step": step, "loss": loss, **logged} for step in (1, 2)]
    run.stage("zero", kind, weights=b"zero", history=history, config={"loss_type": "grpo", **(config or {})})
    return {chart.title: chart for chart in training_charts(RunRecords.read(run.folder).stages["zero"])}, run


def test_signals_have_charts_and_other_runs_have_none(tmp_path):
    logged = {
        "signals/with_signal": 0.5,
        "signals/all_wrong": 0.5,
        "signals/canary_right": 0.25,
        "signals/length_correct": 7.0,
        "completions/clipped_ratio": 0.0,
    }
    charts, _ = charts_of(tmp_path / "watched", **logged)
    assert charts.keys() == {
        "zero: loss",
        "zero: groups that teach",
        "zero: second opinion",
        "zero: length by correctness",
        "zero: truncated and clipped",
    }
    assert '"name":"all wrong"' in charts["zero: groups that teach"].html
    assert charts_of(tmp_path / "other")[0].keys() == {"zero: loss"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, True),
        ({"loss": 0.7}, False),
        ({"kind": "sft"}, False),
        ({"config": {"loss_type": "cispo"}}, False),
        ({"aux_loss": 0.1}, False),
    ],
)
def test_the_note_on_the_loss_stands_beside_its_curve_where_it_is_true(tmp_path, fields, said):
    charts, run = charts_of(tmp_path, **fields)
    note = charts["zero: loss"].note
    assert (note is not None) == said
    page = build_report(run.folder).read_text(encoding="utf-8")
    assert ("The loss is near 0, and that is fine: the advantages of a group add up to 0" in page) == said
