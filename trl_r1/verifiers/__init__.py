"""Is this answer right? Correct, wrong or undecidable; never an exception."""

from trl_r1.verifiers.code import CodeJudgement, check_sandbox, verify_code, verify_code_batch
from trl_r1.verifiers.code_tests import check_code_tests
from trl_r1.verifiers.math import (
    check_gold,
    check_golds,
    slowest_verification,
    verification_counts,
    verify_math,
    verify_math_batch,
)
from trl_r1.verifiers.repair import RepairJudgement, check_tasks, verify_repair, verify_repair_batch
from trl_r1.verifiers.repair_task import RepairTask, RepairTest
from trl_r1.verifiers.verdict import Judgement, Verdict


__all__ = [
    "CodeJudgement",
    "Judgement",
    "RepairJudgement",
    "RepairTask",
    "RepairTest",
    "Verdict",
    "check_code_tests",
    "check_gold",
    "check_golds",
    "check_sandbox",
    "check_tasks",
    "slowest_verification",
    "verification_counts",
    "verify_code",
    "verify_code_batch",
    "verify_math",
    "verify_math_batch",
    "verify_repair",
    "verify_repair_batch",
]
