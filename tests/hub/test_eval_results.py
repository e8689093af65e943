"""Results where the Hub reads them: each in one place, back as they were, and gone when no record backs them."""

import dataclasses

import pytest
import yaml
from fake_run import measured
from huggingface_hub import parse_eval_result_entries

from trl_r1.errors import RecordError
from trl_r1.hub.cards import eval_results
from trl_r1.hub.cards.eval_results import benchmark_entries, index_results, write_benchmark_files
from trl_r1.run_records import Evaluation
from trl_r1.stage_record import Measurement


def evaluation(suite="exam", mode="greedy", revision="abc123", source="org/exam", **content):
    entry = measured("0" * 64, suite=suite, mode=mode, data={"source": source, "revision": revision}, **content)
    metrics = {name: Measurement(**value) for name, value in entry["metrics"].items()}
    metrics["well_formed"] = Measurement(value=0.5)
    return Evaluation(
        checkpoint="zero",
        path="run/zero",
        weights_sha256="0" * 64,
        suite=suite,
        mode=mode,
        n=512,
        metrics=metrics,
        date="2026-01-01T10:01:00+00:00",
        content=entry,
    )


def test_entries_come_back_as_they_were(tmp_path):
    files = benchmark_entries([evaluation(), evaluation(mode="sampled", task_id="hard")])
    paths = write_benchmark_files(tmp_path, files)  # a variant of a benchmark has a file of its own
    assert paths == [tmp_path / ".eval_results" / name for name in ("exam-greedy.yaml", "exam-sampled.yaml")]
    read = [parse_eval_result_entries(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in paths]
    assert read == list(files.values())
    found = [entry for (entry,) in read]
    assert [each.task_id for each in found] == ["default", "hard"]
    assert (found[0].dataset_id, found[0].dataset_revision) == ("org/exam", "abc123")
    assert (found[0].value, found[0].date) == (90.0, "2026-01-01T10:01:00+00:00")
    assert found[0].notes == "greedy; temperature 0.0, seed 1; n 512; 95 % interval 87.10 to 92.30"


def test_each_figure_stands_in_one_place():
    evaluations = [evaluation(), evaluation(suite="local", revision=None, source="data/local")]
    shown = {(each.dataset_name, each.metric_type) for each in index_results(evaluations)}
    assert shown == {("exam", "well_formed"), ("local", "accuracy"), ("local", "well_formed")}
    assert list(benchmark_entries(evaluations)) == ["exam-greedy.yaml"]


def test_what_no_record_backs_is_removed(tmp_path):
    write_benchmark_files(tmp_path, benchmark_entries([evaluation(), evaluation(suite="other")]))
    (tmp_path / ".eval_results" / ".exam-greedy.yaml.partial").write_text("- data")
    write_benchmark_files(tmp_path, benchmark_entries([evaluation()]))
    assert [path.name for path in (tmp_path / ".eval_results").iterdir()] == ["exam-greedy.yaml"]
    write_benchmark_files(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_suites_of_like_names_keep_files_of_their_own():
    suites = ["2 to 5", "2-to-5", "2 TO 5", "思考", "../../etc/passwd", "a" * 500]
    files = benchmark_entries([evaluation(suite=suite) for suite in suites])
    assert len({name.casefold() for name in files}) == len(suites)
    assert all("/" not in name and len(name) < 120 for name in files)


@pytest.mark.parametrize("broken", [{"source": "no hub id at all"}, {"source": 3}, {"task_id": 5}, {"revision": 7}])
def test_a_benchmark_that_cannot_be_one_is_an_error(broken):
    with pytest.raises(RecordError, match="evaluation of 'exam'"):
        benchmark_entries([evaluation(**broken)])


def test_a_suite_without_accuracy_is_no_benchmark_result():
    only = dataclasses.replace(evaluation(), metrics={"well_formed": Measurement(value=0.5)})
    assert benchmark_entries([only]) == {}
    assert [each.metric_type for each in index_results([only])] == ["well_formed"]


def test_variants_that_differ_in_case_have_files_of_their_own():
    names = eval_results._file_names({"MATH greedy", "math greedy", "aime"})
    assert len({name.casefold() for name in names.values()}) == 3
    assert names["aime"] == "aime.yaml"
