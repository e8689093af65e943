"""What a pipeline found, read from its records: one table and one static HTML file."""

from trl_r1.report.build import build_report
from trl_r1.report.summary import print_summary


__all__ = ["build_report", "print_summary"]
