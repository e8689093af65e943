"""Rejection sampling: sample a teacher, verify, keep what is right and readable."""

from trl_r1.data.rejection_sampling.job import RejectionJob, rejection_sample
from trl_r1.data.rejection_sampling.judge import JudgeScope, ModelJudge
from trl_r1.data.rejection_sampling.replies import Replies
from trl_r1.data.rejection_sampling.result import ROW_FILE, OutputFormat, RejectionResult
from trl_r1.data.rejection_sampling.rewriting import FunctionRewriting, Refine, Rewriting, Rewritten


__all__ = [
    "ROW_FILE",
    "FunctionRewriting",
    "JudgeScope",
    "ModelJudge",
    "OutputFormat",
    "Refine",
    "RejectionJob",
    "RejectionResult",
    "Replies",
    "Rewriting",
    "Rewritten",
    "rejection_sample",
]
