"""The tables and the report: from records alone, and every text of a model shown as text."""

import base64
import dataclasses
import io
import json
import re
from html.parser import HTMLParser

import pytest
from fake_run import FakeRun, measured
from rich.console import Console

from trl_r1.errors import RecordError
from trl_r1.report import build_report, print_summary
from trl_r1.report.charts import training_charts
from trl_r1.report.samples import pick_questions
from trl_r1.report.table import build_tables, to_markdown
from trl_r1.run_records import RunRecords
from trl_r1.stage_record import Measurement, hash_weights, read_stage_record, write_stage_record


ATTACK = "<script>alert('from a model')</script><img src=x onerror=alert(2)>"


def rate(value, n=512):
    return dataclasses.asdict(Measurement(value=value, n=n, low=max(0.0, value - 0.03), high=min(1.0, value + 0.03)))


def length(value, n=512):
    return dataclasses.asdict(Measurement(value=value, n=n, low=value - 1, high=value + 1))


def sample(index, group, text, verdict="correct"):
    return {
        "question": index,
        "problem": f"what is {index} ?",
        "solution": str(index),
        "group": group,
        "prefill": None,
        "text": text,
        "verdict": verdict,
        "reason": "as told",
        "defects": [],
    }


@pytest.fixture
def run(tmp_path):
    """base -> zero, both measured on questions, and zero on greetings."""
    made = FakeRun(tmp_path / "run")
    made.stage("zero", "grpo", weights=b"zero", history=[
        {"step": step, "reward": step / 4, "rewards/accuracy/mean": step / 5, "rewards/format/mean": 1.0,
         "completions/mean_length": 5.0 * step} for step in (1, 2, 3)
    ])  # fmt: skip
    made.stage("base", "script", weights=b"base")
    entries = []
    for name, accuracy in (("base", 0.1), ("zero", 0.9)):
        weights = hash_weights(made.folder / name)
        for mode in ("greedy", "sampled"):
            metrics = {"chain_tokens": length(20.0), "accuracy": rate(accuracy), "mixed": rate(0.25)}
            groups = {
                "2": {"accuracy": rate(accuracy), "chain_tokens": length(16.0)},
                "3": {"accuracy": rate(accuracy), "chain_tokens": length(20.0)},
            }
            entries.append(measured(
                weights, checkpoint=name, mode=mode, metrics=metrics, groups=groups, samples=f"{name}-{mode}.jsonl"
            ))  # fmt: skip
    rude = {"is_rude": rate(0.5), "well_formed": rate(1.0)}
    entries.append(measured(weights, suite="greetings", mode="sampled", metrics=rude, groups={}, group_by=None))
    difference = Measurement(value=0.8, n=512, low=0.77, high=0.83)
    place = made.stage("evaluation", "evaluate", evaluations=entries, metrics={"zero - base (test)": difference})
    for name in ("base", "zero"):
        rows = [sample(i, "2" if i < 4 else "3", f"{name} says {i} {ATTACK}") for i in range(8)]
        for mode in ("greedy", "sampled"):
            (place / f"{name}-{mode}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stages = [{"name": name} for name in ("base", "zero", "evaluation")]
    content = {"title": "A <b>title</b>", "seed": 3, "stages": stages, "pipeline": "p.yaml", "questions": 3}
    (made.folder / "pipeline.json").write_text(json.dumps(content))
    return made


class Page(HTMLParser):
    """Counts tags and collects what a browser would show or fetch."""

    def __init__(self):
        super().__init__()
        self.tags, self.links, self.text, self.stack = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "br", "img", "link", "input"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if "script" not in self.stack and "style" not in self.stack:
            self.text.append(data)


def parse(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_main_table(run):
    main, comparisons, greetings = build_tables(RunRecords.read(run.folder))
    assert main.columns == [
        "stage",
        "accuracy T=1",
        "accuracy greedy",
        "mixed chains",
        "chain tokens 2/3",
        "rude",
        "seconds",
    ]
    assert [[cell.value for cell in row] for row in main.rows] == [
        ["base", ".10", ".10", ".25", "16/20", "", "60"],
        ["zero", ".90", ".90", ".25", "16/20", ".50", "60"],
    ]
    assert main.rows[1][1].interval == ".87–.93"
    assert greetings.columns == ["stage", "format", "rude"]
    assert [row[0].value for row in greetings.rows] == ["zero"]
    assert [cell.value for cell in comparisons.rows[0]] == ["zero - base (test)", "+0.800", "512"]


def test_spreads_over_ways_to_ask_are_no_comparisons(run):
    difference = Measurement(value=-0.2, n=6, low=-0.3, high=-0.1)
    spread = Measurement(value=0.25, n=6, low=0.2, high=0.3)
    metrics = {
        "zero - base (test)": Measurement(value=0.8, n=512, low=0.77, high=0.83),
        "prompt spread (base, test, sampled)": spread,
        "prompt spread: zero - base (test, sampled)": difference,
    }
    place = run.folder / "evaluation"
    write_stage_record(place, dataclasses.replace(read_stage_record(place), metrics=metrics))
    _, comparisons, spreads, _ = build_tables(RunRecords.read(run.folder))
    assert [row[0].value for row in comparisons.rows] == ["zero - base (test)"]
    assert [[cell.value for cell in row] for row in spreads.rows] == [
        ["prompt spread (base, test, sampled)", ".25", "6"],
        ["prompt spread: zero - base (test, sampled)", "-0.200", "6"],
    ]
    console = Console(record=True, width=120, file=io.StringIO())
    print_summary(run.folder, console)
    assert "how much a score hangs" in console.export_text()


def test_columns_appear_only_when_filled(tmp_path):
    made = FakeRun(tmp_path / "run")
    made.stage("base", "script", weights=b"base")
    made.stage("data", "rejection_sample")
    (table,) = build_tables(RunRecords.read(made.folder))
    assert table.columns == ["stage", "seconds"]
    assert [row[0].value for row in table.rows] == ["base"]  # data is no checkpoint


def test_table_is_printed_whole(run):
    stream = io.StringIO()
    print_summary(run.folder, Console(file=stream, width=140))
    shown = stream.getvalue()
    for text in ("acc T=1", "zero", ".87 .93", "16/20", "+0.800", "181 s in all"):
        assert text in shown


def test_markdown(run):
    lines = to_markdown(build_tables(RunRecords.read(run.folder))[0]).splitlines()
    assert lines[0].startswith("| stage | accuracy T=1 |")
    assert lines[3].startswith("| zero | .90 .87–.93 |")
    assert {line.count("|") for line in lines[:4]} == {8}


def test_report_shows_models_words_as_text(run):
    page = parse(build_report(run.folder))
    assert "img" not in page.tags
    assert page.tags.count("script") == 1 + html_charts(run)  # the library, and one a chart
    assert ATTACK in "".join(page.text)
    assert "A <b>title</b>" in "".join(page.text)


def html_charts(run):
    records = RunRecords.read(run.folder)
    return len(training_charts(records.stages["zero"])) + 3  # accuracy in two modes, chain length in one


def test_report_needs_no_network(run):
    path = build_report(run.folder)
    page = parse(path)
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"@import|url\(", path.read_text(encoding="utf-8").split("</style>")[0])
    assert page.stack == []


def test_an_evaluations_pictures_stand_in_the_page(run):
    assert "Pictures" not in parse(build_report(run.folder)).text
    picture = run.folder / "evaluation" / "evaluation-test-tokens.png"
    picture.write_bytes(b"a picture")
    page = parse(build_report(run.folder))
    assert "test: score against tokens" in page.text
    [source] = [link for link in page.links if not link.startswith("#")]
    assert source == "data:image/png;base64," + base64.b64encode(b"a picture").decode()


def test_report_is_the_same_each_time(run):
    def without_ids(text):
        return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+", "id", text)

    first = without_ids(build_report(run.folder).read_text(encoding="utf-8"))
    assert without_ids(build_report(run.folder).read_text(encoding="utf-8")) == first


def test_training_curves(run):
    charts = training_charts(RunRecords.read(run.folder).stages["zero"])
    assert [chart.title for chart in charts] == ["zero: rewards", "zero: length"]
    assert '"name":"format"' in charts[0].html


def test_questions_are_spread_over_the_groups(run):
    asked = pick_questions(RunRecords.read(run.folder), 3)
    assert [question.problem for question in asked] == ["what is 0 ?", "what is 4 ?", "what is 1 ?"]
    assert [answer.stage for answer in asked[0].answers] == ["base", "zero"]
    assert asked[0].answers[1].text.startswith("zero says 0")


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("{")])
def test_lost_answers_are_an_error(run, spoil):
    spoil(run.folder / "evaluation" / "zero-greedy.jsonl")
    with pytest.raises(RecordError, match="zero-greedy"):
        build_report(run.folder)


def test_folder_without_records(tmp_path):
    with pytest.raises(RecordError, match="no stage has finished"):
        build_report(tmp_path)


def test_damaged_record_is_no_report(run):
    (run.folder / "base" / "stage.json").write_text("{")
    with pytest.raises(RecordError, match="base"):
        build_report(run.folder)
    assert not (run.folder / "report.html").exists()
