"""
Load SFT rows under two processes, and write what each of them got, checked and said.

    torchrun --nproc_per_node 2 loading_worker.py DATA FOLDER
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[1]))
from accelerate import PartialState
from tiny_models import make_tokenizer
from trl import SFTConfig

from trl_r1.data import load_sft
from trl_r1.data.sft_check import SFTRowChecker
from trl_r1.script_arguments import R1ScriptArguments


def main(data: str, folder: str) -> None:
    """Load, and write `FOLDER/<rank>.json`."""
    checked: list[int] = []
    check = SFTRowChecker.check

    def counting(self, rows):
        checked.append(len(rows))
        return check(self, rows)

    SFTRowChecker.check = counting
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("trl_r1").addHandler(handler)
    config = SFTConfig(output_dir=folder, bf16=False, use_cpu=True, report_to="none", max_length=64)
    loaded = load_sft(R1ScriptArguments(dataset_name=data), None, make_tokenizer(), config)
    found = {
        "rows": loaded.dataset.to_list(),
        "sources": [repr(source) for source in loaded.sources],
        "checked": sum(checked),
        "warnings": [line for line in said if "dropped" in line],
        "on_disk": bool(loaded.dataset.cache_files),
    }
    path = Path(folder) / f"{os.environ['RANK']}.json"
    path.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
    PartialState().destroy_process_group()  # a process that ends with its threads of gloo may abort
