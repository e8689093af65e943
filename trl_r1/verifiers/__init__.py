"""Is this answer right? Correct, wrong or undecidable; never an exception."""

from trl_r1.verifiers.math import check_gold, check_golds, verification_counts, verify_math, verify_math_batch
from trl_r1.verifiers.verdict import Judgement, Verdict


__all__ = [
    "Judgement",
    "Verdict",
    "check_gold",
    "check_golds",
    "verification_counts",
    "verify_math",
    "verify_math_batch",
]
