"""docs/paper.md says what the code does."""

import dataclasses
import re
from pathlib import Path

import pytest
from trl import GRPOConfig

from trl_r1.configs import PRESETS
from trl_r1.presets import PUBLISHED


DOCUMENT = (Path(__file__).parents[1] / "docs" / "paper.md").read_text(encoding="utf-8")
SECTIONS = {
    match.group(1): body
    for body in DOCUMENT.split("\n## ")
    if (match := re.match(r"[^\n]*preset `(\w+)`", body.splitlines()[0]))
}
DEFAULTS = {spec.name: spec.default for spec in dataclasses.fields(GRPOConfig)}


def cells_of(text, columns):
    """Rows of the tables with so many columns, by the field in the first one."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row for row in rows if len(row) == columns}


def shown(value):
    """A value as the tables print it."""
    value = getattr(value, "value", value)
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    return str(value)


def test_every_preset_has_a_section():
    assert SECTIONS.keys() == PRESETS.keys()


@pytest.mark.parametrize("preset", PRESETS)
def test_table_is_the_preset(preset):
    rows = cells_of(SECTIONS[preset], 5)
    shared = PRESETS["r1_zero_paper"] if preset == "r1_paper" else {}
    assert rows.keys() == {name for name, value in PRESETS[preset].items() if shared.get(name) != value}
    assert {name: row[4] for name, row in rows.items()} == {name: shown(PRESETS[preset][name]) for name in rows}
    assert {name: row[3] for name, row in rows.items()} == {
        name: shown(DEFAULTS[name]) if name in DEFAULTS else "" for name in rows
    }


def test_unpublished_fields_hold_trls_default():
    rows = cells_of(SECTIONS["r1_zero_paper"], 3)
    assert {"epsilon", "lr_scheduler_type", "top_p", "mask_truncated_completions"} <= rows.keys()
    assert {name: row[2] for name, row in rows.items()} == {name: shown(DEFAULTS[name]) for name in rows}
    assert not rows.keys() & PRESETS["r1_zero_paper"].keys()


def test_other_stages():
    rows = cells_of(DOCUMENT.split("## Supervised fine-tuning")[1].split("\n## ")[0], 5)
    for column, verb in ((1, "sft"), (3, "reward_model")):
        assert float(rows["learning_rate"][column]) == PUBLISHED[verb]["learning_rate"]
        assert rows["max_length"][column].replace(",", "") == str(PUBLISHED[verb]["max_length"])
        assert rows["num_train_epochs"][column].startswith(str(PUBLISHED[verb]["num_train_epochs"]))
