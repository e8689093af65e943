"""Tables and pictures of evaluations, from records and answers."""

import csv
import io
import json
import math

import pytest
from rich.console import Console

from trl_r1.errors import R1Error
from trl_r1.evaluation.reports import (
    TextTable,
    draw_heat_map,
    draw_score_against_tokens,
    part_tables,
    pictures,
    question_rates,
    read_parts,
    read_results,
    result_tables,
    to_csv,
    to_json,
    to_markdown,
    write_reports,
)
from trl_r1.evaluation.sample_files import write_samples
from trl_r1.stage_record import Measurement


PNG = b"\x89PNG\r\n\x1a\n"


def record(checkpoint="base", mode="sampled", value=0.5, **fields):
    """A record as the harness writes it, as far as reports read it."""
    measured = {"value": value, "n": 40, "low": value - 0.1, "high": value + 0.1}
    estimate = {
        **{"value": value, "low": value - 0.1, "high": value + 0.1, "num_questions": 10, "num_samples": 40},
        **{"sampling_low": value - 0.05, "sampling_high": value + 0.05, "question_sd": 0.2, "sampling_sd": 0.3},
        **{"num_clusters": 10, "method": "wilson"},
    }
    return {
        "checkpoint": checkpoint,
        "suite": "sums",
        "mode": mode,
        "n": 40,
        "undecidable": 1,
        "truncated": 3,
        "metrics": {"chain_tokens": {"value": 12.25, "n": 40, "low": 11.0, "high": 13.5}, "accuracy": measured},
        "uncertainty": {"accuracy": estimate},
        "samples": f"samples-{checkpoint}-sums-{mode}.parquet",
        **fields,
    }


def test_both_spreads_are_in_every_form():
    results = read_results([record(), record("zero", value=0.75)])
    [table] = result_tables(results)
    assert table.columns == ["checkpoint", "mode", "accuracy", "chain_tokens"]
    assert table.rows[1][:3] == ["zero", "sampled", "0.750 (0.650 to 0.850) [0.700 to 0.800]"]
    assert table.caption.startswith("10 questions, 40 answers, at most 1 could not be judged, at most 3 were cut")
    console = Console(width=160, file=io.StringIO())
    console.print(table.to_rich())
    for text in (console.file.getvalue(), to_markdown(results)):
        assert "0.750 (0.650 to 0.850) [0.700 to 0.800]" in text
    rows = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert [row["metric"] for row in rows] == ["chain_tokens", "accuracy"] * 2
    assert float(rows[3]["sampling_low"]) == 0.7
    assert json.loads(to_json(results))[3]["question_sd"] == 0.2


def test_records_of_earlier_versions_have_one_interval():
    old = record()
    del old["uncertainty"]
    [_, accuracy] = read_results([old])
    assert (accuracy.num_samples, accuracy.sampling_low, accuracy.method) == (40, None, None)
    assert result_tables([accuracy])[0].rows[0][2] == "0.500 (0.400 to 0.600)"


def test_ways_to_ask_are_told_apart():
    [table] = result_tables(read_results([record(variant="plain"), record(variant="polite")]))
    assert table.columns[:3] == ["checkpoint", "mode", "asked as"]
    assert [row[2] for row in table.rows] == ["plain", "polite"]


def test_parts_of_the_questions_and_comparisons_have_tables_of_their_own(tmp_path):
    def part(value):
        return {"accuracy": {"value": value, "n": 20, "low": value - 0.1, "high": value + 0.1}}

    records = [record(group_by="digits", groups={"2": part(0.4), "3": part(0.6)}, by_difficulty={"easy": part(0.9)})]
    by_digits, by_difficulty = part_tables(read_parts(records))
    assert by_digits.title == "sums by digits"
    assert by_digits.columns == ["checkpoint", "mode", "digits", "accuracy"]
    assert by_digits.rows[1] == ["base", "sampled", "3", "0.600 (0.500 to 0.700)"]
    assert by_difficulty.rows == [["base", "sampled", "easy", "0.900 (0.800 to 1.000)"]]
    assert by_difficulty.caption.startswith("Hard: solved in less than a third")
    write_samples(tmp_path / records[0]["samples"], answers([0.5]))
    write_reports(records, tmp_path, {"b - a (sums)": Measurement(value=0.25, n=1200, low=0.125, high=0.375)})
    text = (tmp_path / "evaluation.md").read_text()
    assert "| b - a (sums) | +0.250 (0.125 to 0.375) | 1,200 |" in text
    assert text.index("### sums\n") < text.index("### comparisons") < text.index("### sums by digits")
    rows = list(csv.DictReader((tmp_path / "evaluation.csv").open()))
    assert [(row["parted_by"], row["part"], row["value"]) for row in rows] == [
        ("", "", "12.25"),
        ("", "", "0.5"),
        *(("digits", "2", "0.4"), ("digits", "3", "0.6"), ("difficulty", "easy", "0.9")),
    ]


def test_no_number_loses_its_end_in_a_narrow_terminal():
    table = TextTable(title="t", columns=["a name", "p"] * 5, rows=[["a_very_long_name", "1.2e-10"] * 5])
    console = Console(width=60, file=io.StringIO())
    console.print(table.to_rich())
    assert "…" not in console.file.getvalue()


def test_names_of_anybody_break_no_table():
    bad = record("a|b<script>\n[x](y)")
    assert r"| a\|b\<script> [x]\(y) | sampled |" in to_markdown(read_results([bad]))
    assert "'=cmd()" in to_csv(read_results([record("=cmd()")]))
    console = Console(width=100, file=io.StringIO())
    console.print(TextTable(title="[bold]t", columns=["[red]a"], rows=[["[/nothing]"]]).to_rich())
    assert "[/nothing]" in console.file.getvalue()


def answers(rates):
    return [
        {
            "question": place,
            "sample": sample,
            "question_id": f"q{place}",
            "problem": "?",
            "metrics": {"accuracy": sample < rate * 4, "chain_tokens": 3.0},
        }
        for place, rate in enumerate(rates)
        for sample in range(4)
    ]


def test_an_evaluation_leaves_tables_and_pictures(tmp_path):
    records = [record(), record("zero", value=0.75)]
    for each, rates in zip(records, ([0, 0.5, 1], [0.25, 1, 1]), strict=True):
        write_samples(tmp_path / each["samples"], answers(rates))
    assert question_rates(records, tmp_path, "sums") == {
        "base / sampled": {"q0": 0.0, "q1": 0.5, "q2": 1.0},
        "zero / sampled": {"q0": 0.25, "q1": 1.0, "q2": 1.0},
    }
    written = write_reports(records, tmp_path)
    assert {path.name for path in written} == {
        *("evaluation.md", "evaluation.csv", "evaluation.json"),
        *("evaluation-sums-tokens.png", "evaluation-sums-questions.png"),
    }
    assert all(path.read_bytes().startswith(PNG) for path in written if path.suffix == ".png")
    again = {path: path.read_bytes() for path in written}
    assert {path: path.read_bytes() for path in write_reports(records, tmp_path)} == again
    assert write_reports([], tmp_path / "none") == []


def test_the_heat_map_sorts_by_difficulty_and_bands_what_is_too_many():
    grid, questions = pictures.heat_grid({"a": {"easy": 1.0, "hard": 0.0}, "b": {"easy": 1.0, "new": 0.5}})
    assert questions == 3
    assert [row[0] for row in grid[:1]] == [0.0]
    assert math.isnan(grid[0][1])
    assert grid[2] == [1.0, 1.0]
    many = {"a": {str(place): float(place % 2) for place in range(1000)}}
    grid, questions = pictures.heat_grid(many)
    assert (len(grid), questions) == (pictures.MOST_ROWS, 1000)
    assert sum(row[0] for row in grid) / len(grid) == pytest.approx(0.5, abs=0.01)
    assert draw_heat_map({}, "none") is None
    assert draw_heat_map({"a": {}}, "none") is None


def test_what_has_no_tokens_or_no_score_is_not_drawn():
    no_score = record(metrics={"chain_tokens": {"value": 3.0, "n": 4}}, uncertainty={})
    assert draw_score_against_tokens(read_results([no_score]), "sums") is None
    odd = record("题 $x_1$", metrics={"accuracy": {"value": 0.5}, "completion_tokens": {"value": 0.0}}, uncertainty={})
    assert draw_score_against_tokens(read_results([odd]), "sums").startswith(PNG)


def test_a_missing_library_is_told_with_its_extra(monkeypatch):
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(R1Error, match=r"pip install trl_r1\[report\]"):
        draw_heat_map({"a": {"q": 1.0}}, "t")
