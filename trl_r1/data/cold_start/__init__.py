"""Cold-start data: R1-Zero's own samples, those that are right and readable, written into R1's format."""

from trl_r1.data.cold_start.building import build_cold_start, summarise_answer
from trl_r1.data.cold_start.examples import RewriteExample, read_examples
from trl_r1.data.cold_start.rewriter import ModelRewriting


__all__ = ["ModelRewriting", "RewriteExample", "build_cold_start", "read_examples", "summarise_answer"]
