"""A reward that fails on one of two processes: nobody waits for it, its rows take no part, each counts its own."""

import json
from pathlib import Path

from launching import torchrun


def test_each_process_counts_its_own_rows(tmp_path):
    torchrun(Path(__file__).with_name("reward_errors.py"), tmp_path)
    first, second = (json.loads((tmp_path / f"errors_{rank}.json").read_text()) for rank in (0, 1))
    assert (first["rows"], first["failed"]) == (8, 0)
    assert (second["rows"], second["failed"]) == (8, 8)
    assert [row["unscorable_rows"] for row in first["logs"]] == [4.0, 4.0]
    assert [row["reward_errors/fails_on_rank"] for row in first["logs"]] == [0.5, 0.5]  # the mean over processes
    assert not (tmp_path / "out" / "reward_errors_0.jsonl").exists()
    lines = (tmp_path / "out" / "reward_errors_1.jsonl").read_text().splitlines()
    assert len(lines) == 8
    assert {json.loads(line)["reason"].split(":")[0] for line in lines} == {"reward 'fails_on_rank' raised OSError"}
