"""Arguments of `trl-r1 compose`."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl_r1.script_arguments.sampling import DatasetOutputArguments


@dataclass
class CompositionArguments(DatasetOutputArguments):
    """
    Arguments of `trl-r1 compose`, which joins data sets into one and tells what it is made of.

    The data sets are `datasets` (or one, `dataset_name`), in any schema of supervised fine-tuning.

    Args:
        dataset_domain_column (`str`, *optional*, defaults to `"domain"`):
            Column with a row's domain.
        source_domains (`dict[str, str]`, *optional*):
            By `path` of a data set, the domain of its rows that name none. The others are `other`.
        domain_targets (`dict[str, float]`, *optional*):
            By domain, how many rows (`1000`), or which share of the result (`0.25`). All rows of the others.
        max_rows (`int`, *optional*):
            Rows in all, a random choice that keeps the domains' shares.
        near_duplicate_threshold (`float`, *optional*):
            Leave out rows whose words are as similar as this to those of an earlier row (Jaccard similarity of
            5-grams). By default only equal rows are left out.
        columns (`list[str]`, *optional*):
            Columns of the data sets to keep beside the conversation. By default all.
        tokenizer (`str`, *optional*):
            Folder or Hub id of the tokenizer that counts the tokens of the composition table.
    """

    dataset_domain_column: str = field(default="domain", metadata={"help": "Column with the domain."})
    source_domains: dict[str, str] | str | None = field(
        default=None, metadata={"help": "By data set, the domain of its rows that name none, as a mapping."}
    )
    domain_targets: dict[str, float] | str | None = field(
        default=None, metadata={"help": "By domain, rows (1000) or share of the result (0.25), as a mapping."}
    )
    max_rows: int | None = field(default=None, metadata={"help": "Rows in all."})
    near_duplicate_threshold: float | None = field(
        default=None, metadata={"help": "Leave out rows as similar as this to an earlier one."}
    )
    columns: list[str] | None = field(default=None, metadata={"help": "Columns to keep beside the conversation."})
    tokenizer: str | None = field(default=None, metadata={"help": "Tokenizer that counts the tokens of the table."})
