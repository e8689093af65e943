"""Data in: prompts, SFT rows, preference pairs. Data out: what a teacher's samples leave after rejection."""

from trl_r1.data.cold_start import ModelRewriting, build_cold_start, summarise_answer
from trl_r1.data.composition import Composition, CompositionOptions, compose
from trl_r1.data.decontamination import Benchmark, decontaminate, load_benchmarks
from trl_r1.data.difficulty_estimation import DifficultyEstimate, estimate_difficulty
from trl_r1.data.filters import RejectionFilters
from trl_r1.data.judging import JudgedSample, judge_samples
from trl_r1.data.mixture import RawSource, load_source, load_sources
from trl_r1.data.preferences import load_preferences
from trl_r1.data.prompts import first_of_each_type, load_prompts, prepare_prompts
from trl_r1.data.rejection_sampling import ModelJudge, RejectionResult, rejection_sample
from trl_r1.data.rendering import PromptRenderer, render_text
from trl_r1.data.repair_tasks import MadeTask, describe_task, make_repair_tasks
from trl_r1.data.rows import PromptData, check_batch, fingerprint_rows, read_jsonl, write_jsonl
from trl_r1.data.sft import load_sft


__all__ = [
    "Benchmark",
    "Composition",
    "CompositionOptions",
    "DifficultyEstimate",
    "JudgedSample",
    "MadeTask",
    "ModelJudge",
    "ModelRewriting",
    "PromptData",
    "PromptRenderer",
    "RawSource",
    "RejectionFilters",
    "RejectionResult",
    "build_cold_start",
    "check_batch",
    "compose",
    "decontaminate",
    "describe_task",
    "estimate_difficulty",
    "fingerprint_rows",
    "first_of_each_type",
    "judge_samples",
    "load_benchmarks",
    "load_preferences",
    "load_prompts",
    "load_sft",
    "load_source",
    "load_sources",
    "make_repair_tasks",
    "prepare_prompts",
    "read_jsonl",
    "rejection_sample",
    "render_text",
    "summarise_answer",
    "write_jsonl",
]
