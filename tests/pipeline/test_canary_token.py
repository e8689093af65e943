"""Tokens planted in the environment, a recipe and a pipeline are in no file, log, card or request body of its run."""

import gzip
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
import yaml


ROOT = Path(__file__).parents[2]
LIMIT = 3000  # seconds, of the whole run on a busy machine
# Only the first has the form of a token: nothing may rest on the form alone.
CANARIES = {
    "environment": "hf_CANARYenvironment0123456789abcdef",
    "recipe": "canary-recipe-0123456789abcdef",
    "recipe env": "canary-recipe-env-0123456789abcdef",
    "pipeline env": "canary-pipeline-env-0123456789abcdef",
}
DUMPING_REWARD = """
import os, sys
from pathlib import Path

def dump(completions, **kwargs):
    \"\"\"Write down what a reward process can read of its environment.\"\"\"
    if "reward_process" in sys.argv[0]:
        Path(os.environ["DUMP"]).write_text(repr(dict(os.environ)))
    return [0.0] * len(completions)
"""
FEW = {"max_steps": 2, "save_steps": 1, "logging_steps": 1}
KEEP_ALL = {"keep_correct": False, "keep_well_formed": False, "keep_language_consistent": False}
SHORT = {
    "base": {"max_steps": 30},
    "r1_zero": {**FEW, "prompts_per_step": 2},
    "cold_start_data": {**KEEP_ALL, "max_train_rows": 16, "num_generations": 2},
    "cold_start": {**FEW, "per_device_train_batch_size": 2},
}


class Run:
    """A copy of the tiny recipes with canaries in them, and a Hub that two of its stages publish to."""

    def __init__(self, folder, hub):
        self.folder, self.hub = folder, hub
        self.output, self.cache, self.dump = folder / "run", folder / "cache", folder / "dump.txt"
        self.said = b""
        shutil.copytree(ROOT / "recipes", folder / "recipes", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "canary_rewards.py").write_text(DUMPING_REWARD)
        for name in ("environment", "recipe"):
            hub.add_user("me", token=CANARIES[name], role="write")

    def change(self, name, **values):
        """Set fields of a YAML file of the tiny recipes; returns its content before."""
        path = self.folder / "recipes" / "tiny" / name
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump({**content, **values}, sort_keys=False), encoding="utf-8")
        return content

    def plant(self):
        """Put the canaries in, and ask for two stages to be published."""
        rewards = ["accuracy_reward", "format_reward", "canary_rewards.dump"]
        self.change(
            "r1_zero.yaml",
            reward_funcs=rewards,
            reward_weights=[1.0, 0.1, 1.0],
            reward_workers=1,
            push_to_hub=True,
            hub_token=CANARIES["recipe"],
            env={"OTHER_API_KEY": CANARIES["recipe env"]},
        )
        self.change("cold_start_data.yaml", push_to_hub=True, hub_dataset_id="me/cold-start")
        self.change("pipeline.yaml", env={"OMP_NUM_THREADS": "1", "MY_API_KEY": CANARIES["pipeline env"]})

    def start(self):
        """Run the pipeline to its end."""
        environment = os.environ | self.hub.environment(self.cache)
        paths = [environment["PYTHONPATH"], str(ROOT), str(self.folder)]
        environment |= {
            "PYTHONPATH": os.pathsep.join(paths),
            "HF_TOKEN": CANARIES["environment"],
            "DUMP": str(self.dump),
        }
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "trl_r1.cli",
                "run",
                "recipes/tiny/pipeline.yaml",
                "--output_dir",
                str(self.output),
            ],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            timeout=LIMIT,
        )
        self.said = done.stdout + done.stderr
        logs = "".join(f"\n== {log.name}\n{log.read_text()[-1500:]}" for log in self.output.glob("logs/*.log"))
        assert done.returncode == 0, self.said.decode()[-3000:] + logs

    def leaks(self):
        """Where a canary is: files of the run and of the cache, what was printed, what was sent but for headers."""
        places = {str(path): path.read_bytes() for place in (self.output, self.cache) for path in files_in(place)}
        places |= {"printed": self.said, "dump": self.dump.read_bytes() if self.dump.exists() else b""}
        for number, request in enumerate(self.hub.requests):
            places[f"request {number}, {request.method} {request.path}"] = request.path.encode() + request.body
        return sorted(f"{name} in {place}" for place, data in places.items() for name in canaries_in(data))


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def canaries_in(data):
    """Names of the canaries in bytes, those inside archives and compressed columns included."""
    layers = [data]
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            layers += [archive.read(name) for name in archive.namelist()]
    if data[:2] == b"\x1f\x8b":
        layers.append(gzip.decompress(data))
    if data[:4] == b"PAR1":
        layers.append(repr(pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()).encode())
    return {name for name, canary in CANARIES.items() if any(canary.encode() in layer for layer in layers)}


@pytest.fixture
def run(tmp_path, hub_server):
    return Run(tmp_path, hub_server)


@pytest.mark.timeout(LIMIT)
def test_a_short_run_leaks_none(run):
    evaluation = run.change("evaluation.yaml")
    run.change(
        "evaluation.yaml",
        checkpoints=[item for item in evaluation["checkpoints"] if item["name"] in ("base", "r1_zero", "cold_start")],
        suites=[{**evaluation["suites"][0], "modes": {"greedy": {"temperature": 0}}, "max_rows": 8}],
        comparisons=[],
    )
    stages = run.change("pipeline.yaml")["stages"]
    kept = {name: stages[name] for name in ("data", "base", "r1_zero", "cold_start_data", "cold_start")}
    for name, args in SHORT.items():
        kept[name]["args"] = args
    needs = ["data", "base", "r1_zero", "cold_start"]
    run.change("pipeline.yaml", stages={**kept, "evaluation": {**stages["evaluation"], "needs": needs}})
    run.plant()
    run.start()
    assert run.leaks() == []
    check_it_ran(run)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT)
def test_the_whole_tiny_run_leaks_none(run):
    run.plant()
    run.start()
    assert run.leaks() == []
    check_it_ran(run)


def check_it_ran(run):
    """The canaries had every occasion to leak."""
    assert "PATH" in run.dump.read_text()  # a reward process wrote its environment down
    assert (run.output / "r1_zero" / "training_args.bin").is_file()
    assert list((run.output / "r1_zero").glob("checkpoint-*/training_args.bin"))
    assert (run.output / ".recipes" / "r1_zero.yaml").is_file()
    assert not list(run.cache.rglob("token"))
    sent = {value for request in run.hub.requests for value in request.headers.values()}
    assert {f"Bearer {CANARIES[name]}" for name in ("environment", "recipe")} <= sent  # both were used
    assert (run.output / "cold_start_data" / "train.jsonl").read_bytes() in run.hub.files(
        "me/cold-start", repo_type="dataset"
    ).values()
    published = run.hub.files("me/r1_zero")
    assert published["model.safetensors"] == (run.output / "r1_zero" / "model.safetensors").read_bytes()
    assert published["README.md"] == (run.output / "r1_zero" / "README.md").read_bytes()  # with its results


def plant_in_file(run, data):
    (run.output / "stage").mkdir(parents=True)
    (run.output / "stage" / ".hidden").write_bytes(data)


def plant_in_archive(run, data):
    run.output.mkdir()
    with zipfile.ZipFile(run.output / "args.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", data)


def plant_in_pickle(run, data):
    run.output.mkdir()
    torch.save({"hub_token": data.decode()}, run.output / "training_args.bin")


def plant_in_table(run, data):
    run.cache.mkdir()
    table = pyarrow.table({"text": [data.decode()] * 50})
    pyarrow.parquet.write_table(table, run.cache / "rows.parquet", compression="zstd")


def plant_in_compressed_file(run, data):
    run.cache.mkdir()
    (run.cache / "log.gz").write_bytes(gzip.compress(data))


def plant_in_output(run, data):
    run.said = b"Traceback " + data


def plant_in_body(run, data):
    import urllib.request

    urllib.request.urlopen(
        urllib.request.Request(f"{run.hub.url}/api/validate-yaml", data=b'{"content": "%s"}' % data)
    )


def plant_in_address(run, data):
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError):  # nothing is there, and all the same it was asked for
        urllib.request.urlopen(f"{run.hub.url}/api/models/me/{data.decode()}")


def plant_in_reward_process(run, data):
    run.dump.write_bytes(b"{'HF_TOKEN': '%s'}" % data)


@pytest.mark.parametrize("canary", list(CANARIES))
@pytest.mark.parametrize(
    "plant",
    [
        *(plant_in_file, plant_in_archive, plant_in_pickle, plant_in_table, plant_in_compressed_file),
        *(plant_in_output, plant_in_body, plant_in_address, plant_in_reward_process),
    ],
)
def test_a_leak_would_be_found(run, plant, canary):
    assert run.leaks() == []
    plant(run, CANARIES[canary].encode())
    (found,) = run.leaks()
    assert found.startswith(canary + " in ")
