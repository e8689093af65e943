"""Is this answer right? Correct, wrong or undecidable; never an exception."""

from trl_r1.verifiers.verdict import Judgement, Verdict


__all__ = ["Judgement", "Verdict"]
