"""A run on disk whose records are as a real one's, but for the training."""

import dataclasses
import json

from trl_r1.stage_record import (
    Measurement,
    Parent,
    StageRecord,
    describe_artefacts,
    describe_parent,
    hash_json,
    write_stage_record,
)


class FakeRun:
    """Writes stages whose records are as a real run's, but for the training."""

    def __init__(self, folder):
        self.folder = folder

    def stage(self, name, kind, *, weights=None, parents=(), config=None, **fields):
        """Write a stage: `parents` are (name or path, role); `weights` are the bytes of its model, if it has one."""
        place = self.folder / name
        place.mkdir(parents=True)
        if weights:
            (place / "model.safetensors").write_bytes(weights)
            (place / "training_args.bin").write_bytes(b"the Trainer's, no weights")
        else:
            (place / "train.jsonl").write_text("{}\n")
        config = {"output_dir": str(place)} | (config or {})
        if config.get("prompt_template"):  # as the scripts do
            fields.setdefault("template", {"prompt_template": "a" * 64})
        record = StageRecord(
            stage=name,
            kind=kind,
            started="2026-01-01T10:00:00+00:00",
            finished="2026-01-01T10:01:00+00:00",
            seconds=60.4,
            cpu_seconds=58.0,
            command=["trl-r1", kind, "--config", f"recipes/{name}.yaml"],
            config=config,
            config_sha256=hash_json(config),
            parents=[self._parent(parent, role) for parent, role in parents],
            versions={"python": "3.11.7", "trl": "1.16.0"},
            hardware={"cpu_count": 2, "machine": "x86_64"},
            seeds={"seed": 1},
            artefacts=describe_artefacts(place),
            **fields,
        )
        write_stage_record(place, record)
        return place

    def _parent(self, parent, role):
        local = self.folder / parent
        return describe_parent(str(local), role) if local.is_dir() else Parent(name_or_path=parent, role=role)

    def read(self, name):
        """A record as it is written."""
        return json.loads((self.folder / name / "stage.json").read_text())

    def edit(self, name, **changes):
        """Change fields of a record."""
        (self.folder / name / "stage.json").write_text(json.dumps(self.read(name) | changes))


def measured(weights_sha256, **changes):
    """An evaluation record."""
    entry = {
        "checkpoint": "zero",
        "path": "run/zero",
        "weights_sha256": weights_sha256,
        "suite": "test",
        "mode": "greedy",
        "n": 512,
        "metrics": {"accuracy": dataclasses.asdict(Measurement(value=0.9, n=512, low=0.871, high=0.923))},
        "group_by": "num_operations",
        "groups": {"2": {"accuracy": dataclasses.asdict(Measurement(value=1.0, n=100, low=0.963, high=1.0))}},
        "sampling": {"temperature": 0.0, "seed": 1},
    }
    return entry | changes
