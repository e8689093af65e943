"""What evaluations found, for people and for programs: tables and pictures, from records and answers alone."""

from trl_r1.evaluation.reports.agreement_table import agreement_table
from trl_r1.evaluation.reports.comparison_table import comparison_table
from trl_r1.evaluation.reports.files import picture_files, question_rates, write_reports
from trl_r1.evaluation.reports.parts import difference_table, part_tables, read_parts
from trl_r1.evaluation.reports.pictures import draw_heat_map, draw_score_against_tokens
from trl_r1.evaluation.reports.results import Result, read_results, result_tables, to_csv, to_json, to_markdown
from trl_r1.evaluation.reports.text_table import TextTable


__all__ = [
    "Result",
    "TextTable",
    "agreement_table",
    "comparison_table",
    "difference_table",
    "draw_heat_map",
    "draw_score_against_tokens",
    "part_tables",
    "picture_files",
    "question_rates",
    "read_parts",
    "read_results",
    "result_tables",
    "to_csv",
    "to_json",
    "to_markdown",
    "write_reports",
]
