"""The verbs of `trl-r1` that run a stage: `kind` in a record, `script` in a pipeline, and a recipe's header."""

from __future__ import annotations

from typing import Final


TRAINING_VERBS: Final = ("grpo", "sft", "reward_model", "distill")
# Verbs that ask a model, and those that only work on rows: both leave a data set.
SAMPLING_VERBS: Final = ("generate", "rejection_sample", "general_data", "estimate_difficulty")
ROW_VERBS: Final = ("decontaminate", "compose")
DATA_VERBS: Final = (*SAMPLING_VERBS, *ROW_VERBS)
VERBS: Final = (*TRAINING_VERBS, *DATA_VERBS, "evaluate")
KINDS: Final = (*VERBS, "review", "script")
