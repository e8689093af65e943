"""Rows go to people and come back: verdicts, edits that are verified, and all that can be wrong with the file."""

import dataclasses
import json

import pytest
from fake_run import FakeRun

from trl_r1.cli import main
from trl_r1.stage_record import describe_artefacts, read_stage_record


def chat(problem, reasoning, answer, **columns):
    turns = [
        {"role": "user", "content": problem},
        {"role": "assistant", "content": f"<think> {reasoning} </think> {answer}"},
    ]
    return {"messages": turns, "problem": problem, "solution": "9", "language": "en", **columns}


ROWS = [
    chat("4 + 5?", "four and five", r"It is \boxed{9}."),
    chat("10 - 1?", "ten less one", r"It is \boxed{9}."),
    chat("3 * 3?", "three threes — “ünïcode” \u2028", r"It is \boxed{9}."),
    chat("81 / 9?", "nine nines", r"It is \boxed{9}."),
]


@pytest.fixture
def stage(tmp_path):
    run = FakeRun(tmp_path / "run")
    place = run.stage("drawn", "script", config={"script": "make.py"})
    (place / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    run.edit("drawn", artefacts=[dataclasses.asdict(item) for item in describe_artefacts(place)])
    return place


@pytest.fixture
def exported(stage, tmp_path):
    path = tmp_path / "review.jsonl"
    assert main(["review", "export", str(stage), "--output", str(path)]) == 0
    return path


def fill(path, *changes):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    rows = [row | change for row, change in zip(rows, changes, strict=True) if change is not None]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


ACCEPT, REJECT = {"verdict": "accept"}, {"verdict": "reject", "comment": "dull"}
EDIT = {"verdict": "edit", "edited_reasoning": "I take three three times.", "edited_answer": r"So \boxed{9}."}


def take_back(stage, path, tmp_path, *options):
    output = tmp_path / "reviewed"
    return main(["review", "import", str(stage), str(path), "--output_dir", str(output), *options]), output


def test_an_export_is_flat_text_with_room_for_a_verdict(exported):
    first = json.loads(exported.read_text(encoding="utf-8").split("\n")[0])
    assert first.pop("id").startswith("0-")
    assert first == {
        "problem": "4 + 5?",
        "reasoning": "four and five",
        "answer": r"It is \boxed{9}.",
        "reference": "9",
        "verdict": "",
        "comment": "",
        "edited_reasoning": "",
        "edited_answer": "",
    }


def test_some_rows_are_a_seeded_choice(stage, tmp_path):
    def ids(name, seed):
        path = tmp_path / name
        main(["review", "export", str(stage), "--output", str(path), "--max_rows", "2", "--seed", seed])
        return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").split("\n") if line]

    assert ids("a", "1") == ids("b", "1") == sorted(ids("c", "1"))
    assert len({tuple(ids(f"s{seed}", str(seed))) for seed in range(8)}) > 1


def test_verdicts_become_a_stage(stage, exported, tmp_path):
    fill(exported, ACCEPT, REJECT, EDIT, {})
    code, output = take_back(stage, exported, tmp_path, "--unreviewed", "keep")
    assert code == 0
    rows = [json.loads(line) for line in (output / "train.jsonl").read_text(encoding="utf-8").split("\n") if line]
    assert [(row["problem"], row["review"]) for row in rows] == [
        ("4 + 5?", "accepted"),
        ("3 * 3?", "edited"),
        ("81 / 9?", "unreviewed"),
    ]
    assert rows[1]["messages"][1]["content"] == r"<think> I take three three times. </think> So \boxed{9}."
    record = read_stage_record(output)
    counts = {name: measured.value for name, measured in record.metrics.items()}
    assert counts == {"accepted": 1, "edited": 1, "rejected": 1, "unreviewed_kept": 1, "unreviewed_dropped": 0}
    assert (record.kind, record.data[0].rows_in, record.data[0].rows_kept) == ("review", 4, 3)
    assert record.data[0].dropped == {"rejected": 1}
    assert "people accepted 1, edited 1 and rejected 1" in (output / "README.md").read_text()


def test_argillas_columns_are_read(stage, exported, tmp_path):
    rows = [json.loads(line) for line in exported.read_text(encoding="utf-8").split("\n") if line]
    answers = [["accept"], ["reject"], ["accept", "accept"], ["reject", "accept"]]
    status = [["submitted"], ["submitted"], ["submitted"] * 2, ["draft", "submitted"]]
    exported.write_text(
        "".join(
            json.dumps({"id": row["id"], "verdict.responses": said, "verdict.responses.status": how}) + "\n"
            for row, said, how in zip(rows, answers, status, strict=True)
        )
    )
    code, output = take_back(stage, exported, tmp_path)
    assert code == 0
    assert read_stage_record(output).metrics["accepted"].value == 3


WRONG = {
    "rows without a verdict": ((ACCEPT, ACCEPT, ACCEPT, {}), "1 rows have no verdict; give them one, or say"),
    "rows left out": ((ACCEPT, ACCEPT, ACCEPT, None), "1 rows have no verdict"),
    "an unknown verdict": (({"verdict": "fine"}, ACCEPT, ACCEPT, ACCEPT), "line 1: verdict 'fine' is none of"),
    "an unknown id": (({"id": "77-abc"}, ACCEPT, ACCEPT, ACCEPT), "line 1: row '77-abc' is not in"),
    "a changed row": (({"id": "0-abc"} | ACCEPT, ACCEPT, ACCEPT, ACCEPT), "line 1: row '0-abc' was changed since"),
    "no id": (({"id": None}, ACCEPT, ACCEPT, ACCEPT), "line 1: has no id"),
    "the same id twice": (({"id": "x"}, {"id": "x"}, ACCEPT, ACCEPT), "line 2: id 'x' stands in line 1, too"),
    "an edit without a text": (({"verdict": "edit"}, ACCEPT, ACCEPT, ACCEPT), "line 1: edit without an edited"),
    "a text without an edit": (
        (ACCEPT | {"edited_answer": "x"}, ACCEPT, ACCEPT, ACCEPT),
        "line 1: an edited text beside",
    ),
    "a wrong edit": (
        (EDIT | {"edited_answer": r"\boxed{8}"}, ACCEPT, ACCEPT, ACCEPT),
        "line 1: the edited answer is wrong",
    ),
    "a malformed edit": (
        (EDIT | {"edited_reasoning": "a </think> b"}, ACCEPT, ACCEPT, ACCEPT),
        "line 1: the edited text is malformed: repeated_close",
    ),
    "two that differ": (
        ({"verdict": None, "verdict.responses": ["accept", "reject"]}, ACCEPT, ACCEPT, ACCEPT),
        "line 1: verdict is 'accept' and 'reject'; leave one",
    ),
    "nothing left": ((REJECT, REJECT, REJECT, REJECT), "no row is left of 4"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_by_line_and_nothing_is_written(stage, exported, tmp_path, capsys, name):
    changes, message = WRONG[name]
    fill(exported, *changes)
    code, output = take_back(stage, exported, tmp_path)
    assert code == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_nothing_that_is_there_is_overwritten(stage, exported, tmp_path, capsys):
    assert main(["review", "export", str(stage), "--output", str(exported)]) == 2
    assert "is there already" in capsys.readouterr().err
    fill(exported, ACCEPT, ACCEPT, ACCEPT, ACCEPT)
    assert main(["review", "import", str(stage), str(exported), "--output_dir", str(stage)]) == 2
    assert "holds a stage already" in capsys.readouterr().err


def test_prompt_and_completion_are_edited_in_place():
    from trl_r1.data.review import Review, _edited

    row = {"prompt": "user : 4 + 5 ? assistant : <think>", "completion": "four </think> 9", "solution": "9"}
    edited = _edited(row, Review(line=1, verdict="edit", edited_reasoning="five"))
    assert edited["completion"] == "five </think> 9"
