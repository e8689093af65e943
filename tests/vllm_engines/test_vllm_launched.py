import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from test_vllm_engine import PROMPTS, SAMPLED

from trl_r1.generation.jobs import GenerationJob


HERE = Path(__file__).parent


@pytest.mark.parametrize("policy", ["untied"], indirect=True)
def test_two_processes_of_torchrun_share_a_job(engine, policy, tmp_path):
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(HERE / "sample_share.py"), policy, str(tmp_path / "job")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    params = replace(SAMPLED, batch_size=5)
    job = GenerationJob(tmp_path / "job", PROMPTS, params, engine)
    assert [group for _, group in job.groups()] == engine.generate(PROMPTS, params)
    assert job.summary().num_completions == 24
