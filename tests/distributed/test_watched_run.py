"""Signals and alarms on two processes: what one process would have logged, and both stop at the same step."""

import json
from pathlib import Path

import pytest
from launching import torchrun
from watched_run import ROWS, signals_of, whole_rollout


def test_two_processes_log_and_stop_as_one(tmp_path):
    torchrun(Path(__file__).with_name("watched_run.py"), tmp_path)
    expected = signals_of(whole_rollout(), ROWS)
    for rank in (0, 1):
        found = json.loads((tmp_path / f"signals_{rank}.json").read_text())
        assert found == pytest.approx(expected, nan_ok=True)
        left = json.loads((tmp_path / f"stopped_{rank}.json").read_text())
        assert left == {"steps": [2, 4], "checkpoint": "checkpoint-2", "signal": [0.0] * 4}
    lines = (tmp_path / "out" / "alarms.jsonl").read_text().splitlines()
    assert [json.loads(line)["alarm"] for line in lines] == ["no_signal"]
