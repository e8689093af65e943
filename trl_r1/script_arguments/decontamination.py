"""Arguments of `trl-r1 decontaminate`."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl_r1.script_arguments.sampling import DatasetOutputArguments


@dataclass
class DecontaminationArguments(DatasetOutputArguments):
    """
    Arguments of `trl-r1 decontaminate`, which takes out of a data set what benchmarks ask.

    Args:
        benchmarks (`list[str]`):
            What must not be in the data, each `path:config:split:question_column:answer_column`: a Hub id, folder or
            file of rows, and what is not the usual. Required.
        ngram_size (`int`, *optional*, defaults to `10`):
            Words an n-gram (paper: 10). A question of fewer is compared as a whole.
        min_coverage (`float`, *optional*, defaults to `0.5`):
            Least share of a question's n-grams that a text must hold. At 0 one n-gram is enough, as in the paper.
        near_duplicate_threshold (`float`, *optional*, defaults to `0.7`):
            Least Jaccard similarity of a problem to a question. At 1 none is looked for.
        keep_renumbered (`bool`, *optional*, defaults to `False`):
            Whether problems that are a question with other numbers are reported but kept.
        trace_columns (`list[str]`, *optional*):
            Columns to search beside those of the usual names.
        samples (`list[str]`, *optional*):
            Folders or files of evaluation samples, whose scores are told with and without the questions found.
        check_only (`bool`, *optional*, defaults to `False`):
            Whether only the report is written; the command then fails when a row would be dropped.
    """

    benchmarks: list[str] = field(
        default_factory=list, metadata={"help": "What must not be in the data: path:config:split:question:answer."}
    )
    ngram_size: int = field(default=10, metadata={"help": "Words an n-gram."})
    min_coverage: float = field(
        default=0.5, metadata={"help": "Least share of a question's n-grams in a text. At 0 one is enough."}
    )
    near_duplicate_threshold: float = field(
        default=0.7, metadata={"help": "Least Jaccard similarity of a problem to a question. At 1 none is looked for."}
    )
    keep_renumbered: bool = field(
        default=False, metadata={"help": "Keep problems that are a question with other numbers."}
    )
    trace_columns: list[str] = field(
        default_factory=list, metadata={"help": "Columns to search beside those of the usual names."}
    )
    samples: list[str] = field(
        default_factory=list, metadata={"help": "Folders or files of evaluation samples to score anew."}
    )
    check_only: bool = field(
        default=False, metadata={"help": "Write the report alone, and fail when a row would be dropped."}
    )
