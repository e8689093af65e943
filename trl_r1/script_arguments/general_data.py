"""Arguments of `trl-r1 general_data`."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl_r1.script_arguments.sampling import SamplingArguments


@dataclass
class GeneralDataArguments(SamplingArguments):
    """
    Arguments of `trl-r1 general_data`, which has a teacher answer what no rule verifies.

    Args:
        num_generations (`int`, *optional*, defaults to `1`):
            Samples a prompt.
        thinking (`str`, *optional*, defaults to `"auto"`):
            Whether an answer begins with thoughts: `"always"`, `"never"`, `"column"` (as `thinking_column` says), or
            `"auto"`: not for prompts of at most `max_trivial_words` words, and as the teacher chooses for the others.
        thinking_column (`str`, *optional*, defaults to `"thinking"`):
            Column with true or false; where it is null, as `"auto"`.
        max_trivial_words (`int`, *optional*, defaults to `3`):
            Longest prompt that needs no thoughts, such as a greeting.
        dataset_domain_column (`str`, *optional*, defaults to `"domain"`):
            Column with the domain; rows without one are `general`.
        drop_refusals (`bool`, *optional*, defaults to `True`):
            Drop answers that begin like a refusal, but to prompts whose `reward_type` is `harmless`.
        keep_language_consistent (`bool`, *optional*, defaults to `True`):
            Drop answers in another language than the prompt (of domain `translation`, only their thoughts count).
        drop_markdown_thoughts (`bool`, *optional*, defaults to `True`):
            Drop answers whose thoughts hold headings, lists, bold type or blocks of code.
        max_paragraph_words (`int`, *optional*):
            Drop answers with a longer paragraph in their thoughts.
        max_repetition (`float`, *optional*):
            Drop answers whose share of repeated 4-grams is larger.
        max_kept_per_prompt (`int`, *optional*, defaults to `1`):
            Answers kept of one prompt; `null` for no limit.
        max_rows (`int`, *optional*):
            Rows kept in all.
    """

    num_generations: int = field(default=1, metadata={"help": "Samples a prompt."})
    thinking: str = field(
        default="auto",
        metadata={
            "help": "Whether an answer begins with thoughts.",
            "choices": ["auto", "always", "never", "column"],
        },
    )
    thinking_column: str = field(default="thinking", metadata={"help": "Column that says whether to think."})
    max_trivial_words: int = field(default=3, metadata={"help": "Longest prompt that needs no thoughts."})
    dataset_domain_column: str = field(default="domain", metadata={"help": "Column with the domain."})
    drop_refusals: bool = field(default=True, metadata={"help": "Drop answers that begin like a refusal."})
    keep_language_consistent: bool = field(default=True, metadata={"help": "Drop answers in another language."})
    drop_markdown_thoughts: bool = field(default=True, metadata={"help": "Drop answers whose thoughts hold markdown."})
    max_paragraph_words: int | None = field(
        default=None, metadata={"help": "Drop answers with a longer paragraph in their thoughts."}
    )
    max_repetition: float | None = field(
        default=None, metadata={"help": "Drop answers whose share of repeated n-grams is larger."}
    )
    max_kept_per_prompt: int | None = field(default=1, metadata={"help": "Answers kept of one prompt."})
    max_rows: int | None = field(default=None, metadata={"help": "Rows kept in all."})
