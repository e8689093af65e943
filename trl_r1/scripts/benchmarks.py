"""
Show the benchmarks there are, or what one of them is.

    trl-r1 benchmarks
    trl-r1 benchmarks aime_2024 mine.yaml reasoning_gym/leg_counting
    trl-r1 benchmarks --markdown
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from trl_r1.evaluation.benchmarks import Benchmark
    from trl_r1.evaluation.reports.text_table import TextTable

DESCRIPTION: Final = (
    "Benchmarks by name: how many questions, answers a question, tokens an answer, what judges, and where they are "
    "from. Named ones also show their source, and may be YAML files or families of puzzles."
)
WIDTH: Final = 160  # columns, where the table goes to a file instead of a terminal
_TESTS, _OPTION, _VALUE = "tests in the sandbox", "the option chosen", "maths"
JUDGES: Final = {  # by reader, of benchmarks whose rows say what judges them
    **dict.fromkeys(("math", "gsm8k"), _VALUE),
    **dict.fromkeys(("gpqa", "options"), _OPTION),
    **dict.fromkeys(("humaneval", "mbpp", "live_code_bench", "codeforces"), _TESTS),
    "ifeval": "instructions followed",
    "reasoning_gym": "the family's scorer",
    "repair_bank": "hidden tests after the patch",
}
COLUMNS: Final = ("name", "Hub id", "judged by", "questions", "k", "tokens")


def main(argv: Sequence[str]) -> int:
    """Entry point. Returns the exit code."""
    options = _parser().parse_args(argv)
    from rich.console import Console

    from trl_r1.evaluation.benchmarks import get_benchmark, list_benchmarks

    shown = [get_benchmark(name) for name in options.names] or list_benchmarks()
    table = benchmark_table(shown, with_source=bool(options.names))
    console = Console(emoji=False)
    if not console.is_terminal:
        console = Console(emoji=False, width=WIDTH)
    if options.markdown:
        console.print(table.to_markdown(), end="", highlight=False, markup=False, soft_wrap=True)
    else:
        console.print(table.to_rich())
    return 0


def benchmark_table(benchmarks: Sequence[Benchmark], *, with_source: bool = False) -> TextTable:
    """
    Benchmarks as a table.

    Args:
        benchmarks (`Sequence[Benchmark]`):
            Which, in this order.
        with_source (`bool`, *optional*, defaults to `False`):
            Whether to say below it where the values of each are from.
    """
    from trl_r1.evaluation.benchmarks.registry import GYM
    from trl_r1.evaluation.reports.text_table import TextTable

    caption = f"Also {GYM}<family> for every family of reasoning-gym, and YAML files of your own."
    if with_source:
        caption = "\n".join(f"{benchmark.name}: {benchmark.source}." for benchmark in benchmarks)
    return TextTable(
        title="Benchmarks",
        columns=COLUMNS,
        rows=[_cells(benchmark) for benchmark in benchmarks],
        caption=caption,
        numbers_from=3,
    )


def _cells(benchmark: Benchmark) -> list[str]:
    place = benchmark.hub_id or "made here"
    if benchmark.config:
        place += f" ({benchmark.config})"
    judge = JUDGES.get(benchmark.reader, benchmark.reader) if benchmark.verifier == "auto" else benchmark.verifier
    questions = "not known" if benchmark.num_questions is None else f"{benchmark.num_questions:,}"
    return [
        benchmark.name,
        place,
        judge,
        questions,
        f"{benchmark.num_samples}",
        f"{benchmark.max_completion_length:,}",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trl-r1 benchmarks", description=DESCRIPTION)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these only (default: all built-in ones)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser
