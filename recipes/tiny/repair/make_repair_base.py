"""
Pre-train the raw base model of the tiny world of repairs: it can write diffs, and mostly patches the symptom.

    python recipes/tiny/repair/make_repair_base.py --output_dir outputs/tiny/repair/base --seed 0

The model and its training are those of `recipes/tiny/make_base.py`, the corpus is that of `programs.py`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[1]))
from make_base import Size, pretrain
from programs import build_tokenizer, sample_document

from trl_r1.scripts.common import configure_logging


STEPS = 2200


def main() -> None:
    """Pre-trains and saves a checkpoint that loads with `AutoModelForCausalLM` and `AutoTokenizer`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", required=True, help="folder of the checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights and of the corpus")
    parser.add_argument("--max_steps", type=int, default=STEPS, help="training steps")
    arguments = parser.parse_args()
    configure_logging()
    size = Size(64, 3, 4, max_steps=arguments.max_steps, learning_rate=3e-3)
    pretrain(build_tokenizer(), size, arguments.output_dir, arguments.seed, sample=sample_document)


if __name__ == "__main__":
    main()
