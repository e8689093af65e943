"""Data stages on disk, with rows whose counts add up unless a test says otherwise."""

import dataclasses
import json

from trl_r1.stage_record import DataSource, Measurement, describe_artefacts, describe_data_files


def chat_row(problem, reasoning, answer, **columns):
    """A row as rejection sampling writes it."""
    response = f"<think> {reasoning} </think> {answer}"
    turns = [{"role": "user", "content": problem}, {"role": "assistant", "content": response}]
    provenance = {"sample_index": 0, "teacher": "run/zero", "temperature": 1.0}
    return {"messages": turns, "problem": problem, **columns, **provenance}


ROWS = [
    chat_row("1 + 1 ?", "one and one", "It is 2 .", language="en", domain="maths"),
    chat_row("2 + 2 ?", "two and two make four", "It is 4 .", language="en", domain="maths"),
    chat_row("一加一？", "一加一是二", "是 2", language="zh", domain="maths"),
    chat_row("Who are you?", "a greeting", "A model .", language="en", domain="chat"),
]
METRICS = {"prompts": 5, "samples": 10, "solved_prompts": 4, "kept": 4, "dropped/wrong": 5, "dropped/duplicate": 1}


def sampled_stage(run, name, rows=ROWS, *, parents=(("zero", "teacher"),), metrics=None, config=None, **fields):
    """A finished rejection sampling."""
    counts = {key: Measurement(value=float(value)) for key, value in (METRICS | (metrics or {})).items()}
    fields.setdefault(
        "data",
        [
            DataSource(
                source="org/questions",
                split="train",
                fingerprint="f" * 64,
                rows_in=6,
                rows_kept=5,
                dropped={"unusable gold": 1},
                license="mit",
            )
        ],
    )
    place = run.stage(
        name,
        "rejection_sample",
        parents=parents,
        metrics=counts,
        config={"num_generations": 2, "seed": 1} | (config or {}),
        **fields,
    )
    write_rows(run, name, {"train.jsonl": rows})
    return place


def made_stage(run, name, files):
    """A finished Python file that wrote several files of rows."""
    place = run.stage(name, "script", config={"script": "make_data.py", "size": 3})
    (place / "train.jsonl").unlink()
    write_rows(run, name, files)
    return place


def write_rows(run, name, files):
    """Write files of rows (or raw text) and put their hashes into the stage's record."""
    place = run.folder / name
    for path, rows in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        (place / path).write_text(text, encoding="utf-8", newline="\n")
    found = [*describe_artefacts(place), *describe_data_files(place)]
    run.edit(name, artefacts=[dataclasses.asdict(item) for item in found])
