"""
Write the prompts of all-scenario reinforcement learning: maths with an answer, general requests without one.

    python recipes/qwen2.5-1.5b/make_prompts.py --output_dir outputs/qwen2.5-1.5b/prompts --seed 0

Public data sets do not say which reward judges a row, so this adds the column `reward_type`. Maths comes from
agentica-org/DeepScaleR-Preview-Dataset (MIT), general requests from HuggingFaceH4/ultrachat_200k (MIT), of a split
that the SFT does not use. The paper has 80,000 reasoning and 66,000 general prompts (arXiv v2, table 4); the shares
here are about the same. A record beside the rows says where they came from, so that the card of what is trained on
them can say it too.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trl_r1.data import write_jsonl
from trl_r1.data.mixture import RawSource, load_source
from trl_r1.scripts.common import STAGE_NAME_VARIABLE, StageRecorder


REASONING = "agentica-org/DeepScaleR-Preview-Dataset"
GENERAL, GENERAL_SPLIT = "HuggingFaceH4/ultrachat_200k", "train_gen"


def draw_rows(source: RawSource, count: int, rng: random.Random) -> list[Mapping[str, Any]]:
    """Rows at random without repetition, or all where there are fewer."""
    return [source.dataset[index] for index in rng.sample(range(len(source.dataset)), min(count, len(source.dataset)))]


def maths_prompt(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A question that a rule decides."""
    return {"problem": row["problem"], "solution": row["answer"], "reward_type": "reasoning"}


def general_prompt(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request that a reward model decides."""
    return {"problem": row["prompt"], "solution": None, "reward_type": "helpful"}


def main() -> None:
    """Writes `train.jsonl`, and last its record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice and the order")
    parser.add_argument("--reasoning", type=int, default=8000, help="rows of maths, or fewer where there are fewer")
    parser.add_argument("--general", type=int, default=6000, help="general requests, or fewer where there are fewer")
    arguments = parser.parse_args()
    folder, config = str(arguments.output_dir), {**vars(arguments), "output_dir": str(arguments.output_dir)}
    stage = os.environ.get(STAGE_NAME_VARIABLE) or arguments.output_dir.name
    command = ["python", "recipes/qwen2.5-1.5b/make_prompts.py", *(f"--{name}={config[name]}" for name in config)]
    recorder = StageRecorder(kind="script", output_dir=folder, config=config, command=command, stage=stage)
    rng = random.Random(arguments.seed)
    maths, requests = load_source(REASONING), load_source(GENERAL, GENERAL_SPLIT)
    questions = [maths_prompt(row) for row in draw_rows(maths, arguments.reasoning, rng)]
    rows = questions + [general_prompt(row) for row in draw_rows(requests, arguments.general, rng)]
    rng.shuffle(rows)
    write_jsonl(arguments.output_dir / "train.jsonl", rows)
    for source, kept in ((maths, len(questions)), (requests, len(rows) - len(questions))):
        left_out = len(source.dataset) - kept
        recorder.data.append(source.describe(kept, {"not_drawn": left_out} if left_out else {}))
    recorder.seeds = {"seed": arguments.seed}
    recorder.write()


if __name__ == "__main__":
    main()
