"""Pipelines of small Python files, so that the runner is tested without training anything."""

import io
import os
import textwrap
from pathlib import Path

import pytest
import yaml
from rich.console import Console

import trl_r1


FAKE_STAGE = """
import argparse, os, pathlib, sys, time
parser = argparse.ArgumentParser()
for name in ("output_dir", "seed", "text", "fail", "wait_for", "sleep"):
    parser.add_argument("--" + name)
options = parser.parse_args()
folder = pathlib.Path(options.output_dir)
with open(os.environ["RUN_LOG"], "a") as stream:
    stream.write(os.environ["TRL_R1_STAGE_NAME"] + "\\n")
open(os.environ["RUN_LOG"] + "." + os.environ["TRL_R1_STAGE_NAME"] + ".open", "w").close()
folder.mkdir(parents=True, exist_ok=True)
print("hello from", os.environ["TRL_R1_STAGE_NAME"], flush=True)
(folder / "half.txt").write_text((folder / "half.txt").read_text() + "+" if (folder / "half.txt").exists() else "1")
if options.wait_for:
    while not os.path.exists(options.wait_for + ".open"):
        time.sleep(0.02)
if options.sleep:
    time.sleep(float(options.sleep))
if options.fail:
    sys.exit("this went wrong\\n" + options.fail)
(folder / "out.txt").write_text(f"{options.text} {options.seed}")
"""


class World:
    """A folder with a pipeline file and the stages it may name."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "pipeline.yaml"
        self.output = folder / "out"
        self.run_log = folder / "runs.txt"
        self.text = ""

    def write(self, stages, **fields):
        content = {"output_dir": str(self.output), "stages": stages, **fields}
        self.path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return self.path

    @staticmethod
    def stage(*needs, **args):
        """Entry of a fake stage."""
        return {"script": "stage.py", "needs": list(needs), "args": args}

    def run(self, **options):
        """Run the pipeline; returns its exit code. What it showed is then in `self.text`."""
        from trl_r1.pipeline import run_pipeline

        stream = io.StringIO()
        try:
            return run_pipeline(self.path, console=Console(file=stream, width=200), **options)
        finally:
            self.text = stream.getvalue()

    @property
    def gate(self):
        """What a stage may wait for, until `open_gate`. Not a file itself: a file would be part of its fingerprint."""
        return str(self.folder / "gate")

    def open_gate(self):
        Path(self.gate + ".open").touch()

    def ran(self):
        """Names of the stages started so far, in order."""
        return self.run_log.read_text().split() if self.run_log.exists() else []


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("RUN_LOG", str(tmp_path / "runs.txt"))
    package = str(Path(trl_r1.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "stage.py").write_text(textwrap.dedent(FAKE_STAGE))
    return World(tmp_path)
