"""Data in: prompts, SFT rows, preference pairs. Data out: what a teacher's samples leave after rejection."""

from trl_r1.data.mixture import RawSource, load_source, load_sources
from trl_r1.data.preferences import load_preferences
from trl_r1.data.prompts import load_prompts, prepare_prompts
from trl_r1.data.rendering import PromptRenderer
from trl_r1.data.rows import PromptData, check_batch, fingerprint_rows, read_jsonl, write_jsonl
from trl_r1.data.sft import load_sft


__all__ = [
    "PromptData",
    "PromptRenderer",
    "RawSource",
    "check_batch",
    "fingerprint_rows",
    "load_preferences",
    "load_prompts",
    "load_sft",
    "load_source",
    "load_sources",
    "prepare_prompts",
    "read_jsonl",
    "write_jsonl",
]
