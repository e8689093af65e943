"""What a pipeline found, read from its records: one table and one static HTML file."""

from trl_r1.report.build import build_report
from trl_r1.report.methods import compare_methods
from trl_r1.report.summary import print_methods, print_summary


__all__ = ["build_report", "compare_methods", "print_methods", "print_summary"]
