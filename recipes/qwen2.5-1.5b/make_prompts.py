"""
Write the prompts of all-scenario reinforcement learning: maths with an answer, general requests without one.

    python recipes/qwen2.5-1.5b/make_prompts.py --output_dir outputs/qwen2.5-1.5b/prompts --seed 0

Public data sets do not say which reward judges a row, so this adds the column `reward_type`. Maths comes from
agentica-org/DeepScaleR-Preview-Dataset (MIT), general requests from HuggingFaceH4/ultrachat_200k (MIT), of a split
that the SFT does not use. The paper has 80,000 reasoning and 66,000 general prompts (arXiv v2, table 4); the shares
here are about the same.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trl_r1.data import write_jsonl
from trl_r1.data.mixture import load_source


REASONING = "agentica-org/DeepScaleR-Preview-Dataset"
GENERAL, GENERAL_SPLIT = "HuggingFaceH4/ultrachat_200k", "train_gen"


def build_prompts(seed: int, reasoning: int, general: int) -> list[Mapping[str, Any]]:
    """
    The mixture, shuffled.

    Args:
        seed (`int`):
            Of the choice and the order.
        reasoning, general (`int`):
            Rows of each kind, or fewer where a data set has fewer.

    Returns:
        `list[Mapping[str, Any]]`: rows with `problem`, `solution` (`None` where nobody knows one) and `reward_type`.
    """
    rng = random.Random(seed)
    maths = load_source(REASONING).dataset.select_columns(["problem", "answer"])
    requests = load_source(GENERAL, GENERAL_SPLIT).dataset.select_columns(["prompt"])
    rows: list[Mapping[str, Any]] = [
        {"problem": maths[index]["problem"], "solution": maths[index]["answer"], "reward_type": "reasoning"}
        for index in rng.sample(range(len(maths)), min(reasoning, len(maths)))
    ]
    rows += [
        {"problem": requests[index]["prompt"], "solution": None, "reward_type": "helpful"}
        for index in rng.sample(range(len(requests)), min(general, len(requests)))
    ]
    rng.shuffle(rows)
    return rows


def main() -> None:
    """Writes `train.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice and the order")
    parser.add_argument("--reasoning", type=int, default=8000, help="rows of maths")
    parser.add_argument("--general", type=int, default=6000, help="general requests")
    arguments = parser.parse_args()
    rows = build_prompts(arguments.seed, arguments.reasoning, arguments.general)
    write_jsonl(arguments.output_dir / "train.jsonl", rows)


if __name__ == "__main__":
    main()
