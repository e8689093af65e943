"""An evaluation that is stopped at any point and asked again leaves what an undisturbed one leaves."""

import dataclasses
import itertools
import json

import pytest
from generation.seeded_engine import SeededEngine

from trl_r1.errors import DataError, GenerationError, R1Error
from trl_r1.evaluation import Checkpoint, EvaluationSuite, Mode, evaluate_policy, harness, judged_job
from trl_r1.evaluation.sample_files import read_samples
from trl_r1.verifiers import Judgement, Verdict


QUESTIONS = [{"problem": f"what is {n} plus 0 ?", "solution": str(n)} for n in range(7)]


@pytest.fixture
def checkpoint(tmp_path):
    (tmp_path / "plain.txt").write_text("user : {prompt} assistant :")
    return Checkpoint(name="one", path="no/where", prompt_template=str(tmp_path / "plain.txt"))


@pytest.fixture
def suite(tmp_path):
    return make_suite(tmp_path / "questions")


def make_suite(folder, rows=QUESTIONS, **fields):
    folder.mkdir(exist_ok=True)
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    modes = {"sampled": Mode(num_samples=3), "greedy": Mode(temperature=0)}
    return EvaluationSuite(name="short", dataset_name=str(folder), **{"modes": modes, **fields})


def measure(suite, checkpoint, out, engine=None, **options):
    options = {"max_completion_length": 8, "batch_size": 4, **options}
    return evaluate_policy(engine or SeededEngine(), suite, checkpoint, out, **options)


def outcome(records, out):
    """All that must not depend on what happened in between, the bytes of the files of answers included."""
    plain = [{name: value for name, value in record.items() if name != "cost"} for record in records]
    return plain, {path.name: path.read_bytes() for path in sorted(out.glob("*.parquet"))}


class Stop(Exception):  # noqa: N818  (of no family of ours: nothing may catch it)
    """What a kill is to the process, as far as one process can tell."""


@pytest.mark.parametrize(
    ("home", "name", "calls"),
    [
        (SeededEngine, "generate_batch", 8),  # 21 answers and 7, 4 at once
        (judged_job, "judge_parsed", 8),
        (harness, "write_samples", 2),
        (harness, "evaluation_record", 2),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_stop_at_any_call_changes_nothing(suite, checkpoint, tmp_path, monkeypatch, home, name, calls, late):
    whole = outcome(measure(suite, checkpoint, tmp_path / "whole"), tmp_path / "whole")
    real, made = getattr(home, name), []
    for moment in itertools.count():
        countdown = [moment]

        def stopping(*arguments, _countdown=countdown, **options):
            if _countdown[0] == 0 and not late:
                raise Stop
            made.append(1)
            result = real(*arguments, **options)
            if _countdown[0] == 0:
                raise Stop
            _countdown[0] -= 1
            return result

        folder = tmp_path / f"stopped-{moment}"
        made.clear()
        with monkeypatch.context() as patch:
            patch.setattr(home, name, stopping)
            try:
                measure(suite, checkpoint, folder)
                break
            except Stop:
                assert (folder / ".work").is_dir()
        with monkeypatch.context() as patch:
            patch.setattr(home, name, lambda *arguments, **options: made.append(1) or real(*arguments, **options))
            assert outcome(measure(suite, checkpoint, folder), folder) == whole
        if home in (SeededEngine, judged_job):
            assert len(made) == calls + late  # what was under way alone is made twice
        assert not (folder / ".work").exists()
    assert moment == calls


def test_kept_work_is_measured_again_without_an_answer_drawn(suite, checkpoint, tmp_path):
    first, second = SeededEngine(), SeededEngine()
    whole = outcome(measure(suite, checkpoint, tmp_path, first, keep_work=True), tmp_path)
    assert outcome(measure(suite, checkpoint, tmp_path, second), tmp_path) == whole
    assert (first.drawn, second.drawn) == (8, 0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"seed": 7}, "params.seed is 7, there 42"),
        ({"max_completion_length": 9}, "params.max_new_tokens is 9, there 8"),
        ({"engine": SeededEngine("other")}, "engine.model.name is 'other', there 'seeded'"),
    ],
)
def test_answers_of_other_settings_are_refused(suite, checkpoint, tmp_path, options, named):
    measure(suite, checkpoint, tmp_path, keep_work=True)
    with pytest.raises(R1Error, match=f"holds samples of another job.*{named}"):
        measure(suite, checkpoint, tmp_path, **options)


def test_another_reference_answer_is_judged_anew_and_not_drawn(suite, checkpoint, tmp_path):
    wrong = measure(suite, checkpoint, tmp_path / "out", keep_work=True)
    other = make_suite(tmp_path / "questions", [{**row, "solution": "so"} for row in QUESTIONS])
    engine = SeededEngine()
    again = measure(other, checkpoint, tmp_path / "out", engine)
    assert engine.drawn == 0
    fresh = measure(other, checkpoint, tmp_path / "fresh")
    assert [record["metrics"] for record in again] == [record["metrics"] for record in fresh]
    assert wrong[0]["data"]["fingerprint"] != again[0]["data"]["fingerprint"]


@pytest.mark.parametrize("change", ["verifier", "versions"])
def test_verdicts_of_another_verifier_or_version_are_made_anew(suite, checkpoint, tmp_path, monkeypatch, change):
    measure(suite, checkpoint, tmp_path / "out", keep_work=True)
    judged = []
    real = judged_job.judge_parsed
    monkeypatch.setattr(judged_job, "judge_parsed", lambda *given, **more: judged.append(1) or real(*given, **more))
    engine = SeededEngine()
    monkeypatch.setattr(engine, "generate_batch", lambda *given: pytest.fail("an answer was drawn again"))
    measure(suite, checkpoint, tmp_path / "out", engine, keep_work=True)
    assert judged == []
    if change == "verifier":
        suite = dataclasses.replace(suite, verifier="auto")
    else:
        newer = {**judged_job.collect_versions(), "math-verify": "99"}
        monkeypatch.setattr(judged_job, "collect_versions", lambda: newer)
    measure(suite, checkpoint, tmp_path / "out", engine, keep_work=True)
    assert judged


def test_missing_answers_refuse_the_score_and_cost_no_other(suite, checkpoint, tmp_path):
    with pytest.raises(GenerationError, match="3 of 21 could not be had"):
        measure(suite, checkpoint, tmp_path, SeededEngine(failing={2}))
    assert not list(tmp_path.glob("samples-*"))
    mended = SeededEngine()
    records = measure(suite, checkpoint, tmp_path, mended)
    assert mended.drawn < 8
    assert outcome(records, tmp_path) == outcome(measure(suite, checkpoint, tmp_path / "w"), tmp_path / "w")


def test_verdicts_that_fail_often_refuse_the_score_and_are_made_again(suite, checkpoint, tmp_path, monkeypatch):
    whole = outcome(measure(suite, checkpoint, tmp_path / "whole"), tmp_path / "whole")
    real = judged_job.judge_parsed

    def broken(rows, parsed, verifier):
        found = real(rows, parsed, verifier)
        return [Judgement(Verdict.UNDECIDABLE, "the worker\nis gone", "fault"), *found[1:]]

    with monkeypatch.context() as patch:
        patch.setattr(judged_job, "judge_parsed", broken)
        with pytest.raises(R1Error, match=r"suites\.short: 6 of 21 answers could not be .*the worker is gone"):
            measure(suite, checkpoint, tmp_path / "out")
        assert not list((tmp_path / "out").glob("samples-*"))
        [sampled, greedy] = measure(suite, checkpoint, tmp_path / "lenient", max_undecidable=0.5)
    assert (sampled["undecidable"], greedy["undecidable"]) == (6, 2)
    assert sampled["metrics"]["accuracy"]["n"] == 15
    engine = SeededEngine()
    assert outcome(measure(suite, checkpoint, tmp_path / "out", engine), tmp_path / "out") == whole
    assert engine.drawn == 2  # of the mode that was not reached


def test_a_share_of_five_in_a_hundred_may_stay_undecided(suite, checkpoint, tmp_path, monkeypatch):
    real, seen = judged_job.judge_parsed, []

    def once(rows, parsed, verifier):
        found = real(rows, parsed, verifier)
        seen.append(1)
        return [Judgement(Verdict.UNDECIDABLE, "gone", "fault"), *found[1:]] if len(seen) == 1 else found

    monkeypatch.setattr(judged_job, "judge_parsed", once)
    [sampled, _] = measure(suite, checkpoint, tmp_path)  # 1 of 21 is .048
    assert (sampled["undecidable"], sampled["metrics"]["accuracy"]["n"]) == (1, 20)
    rows = list(read_samples(tmp_path / sampled["samples"]))
    assert [row["reason"] for row in rows if row["verdict"] == "undecidable"] == ["gone"]
    assert all(row["metrics"]["accuracy"] is None for row in rows if row["verdict"] == "undecidable")


def test_questions_of_a_judge_are_refused_with_their_number(checkpoint, tmp_path):
    rows = [{**QUESTIONS[0], "reward_type": "judge"}, *QUESTIONS]
    suite = make_suite(tmp_path / "questions", rows, verifier="auto")
    with pytest.raises(DataError, match=r"suites\.short: 1 of 8 questions have the reward_type 'judge'"):
        measure(suite, checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()
