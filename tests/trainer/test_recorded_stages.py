"""`fast` off and on over rollouts of a stage of the tiny pipeline, with its own data, rewards and sizes."""

import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest


sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from recorded_stages import L2, ROOT, compare, prepare, stages


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_r1_zero_makes_the_same_steps(tmp_path):
    outputs = tmp_path / "made"
    for script, options in (("make_data.py", []), ("make_base.py", ["--max_steps", "300"])):
        part = outputs / script.removeprefix("make_").removesuffix(".py")
        command = [sys.executable, f"recipes/tiny/{script}", "--output_dir", str(part), *options]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    prepare(tmp_path, outputs)
    with chdir(tmp_path):
        rows = compare("r1_zero", stages()["r1_zero"], rollouts=2, prompts=8, accumulation=2)
    assert len(rows) == 2
    for row in rows:
        assert row["equal_tokens"] == row["rows"] == 64
        assert row["equal_rewards"]
        assert row["gradient_norm"] > 0
        assert row["l2"] <= max(L2, row["error"])  # TRL's own distance from float64
        assert not row["refused"]
