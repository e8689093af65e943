"""What the report shows of a watched run: signals, and why a loss near 0 is fine; and nothing of either elsewhere."""

from fake_run import FakeRun

from trl_r1.report import build_report
from trl_r1.report.charts import training_charts
from trl_r1.run_records import LOSS_NOTE, RunRecords


def charts_of(tmp_path, notes=(), **logged):
    run = FakeRun(tmp_path / "run")
    history = [{"step": step, "loss": 0.0, **logged} for step in (1, 2)]
    run.stage("zero", "grpo", weights=b"zero", history=history, notes=list(notes))
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


def test_the_note_on_the_loss_stands_beside_its_curve_and_nowhere_else(tmp_path):
    note = LOSS_NOTE + "advantages of a group add up to 0."
    charts, run = charts_of(tmp_path, notes=["alarm truncated at step 2: so it is", note])
    assert [chart.note for chart in charts.values()] == [note]
    page = build_report(run.folder).read_text(encoding="utf-8")
    assert page.count(note) == 1
    assert "alarm truncated at step 2" in page.split("Where everything comes from")[1]


def test_no_note_no_word(tmp_path):
    charts, run = charts_of(tmp_path)
    assert [chart.note for chart in charts.values()] == [None]
    assert LOSS_NOTE.strip() not in build_report(run.folder).read_text(encoding="utf-8")
