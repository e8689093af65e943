"""`trl-r1`: the pipeline, the checks and every script behind one command."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from trl_r1.errors import R1Error
from trl_r1.scripts.common import configure_logging, report_error


SCRIPTS = {
    "sft": "supervised fine-tuning: cold start, SFT after rejection sampling, distillation",
    "distill": "on-policy distillation: the student answers, a teacher corrects each token",
    "grpo": "reinforcement learning: R1-Zero, reasoning RL, all-scenario RL",
    "reward_model": "train a preference reward model",
    "generate": "sample a model and keep every sample",
    "rejection_sample": "sample from a policy, keep what is right and readable",
    "general_data": "have a teacher answer what no rule verifies, with thoughts where they help",
    "estimate_difficulty": "measure how often a model solves each problem",
    "decontaminate": "take out of a data set what benchmarks ask, or report it",
    "compose": "join data sets into one, balanced by domain, and say what it is made of",
    "evaluate": "measure checkpoints on questions, with intervals",
}
COMMANDS = {
    "run": "run a pipeline: stages in order, finished ones skipped, broken ones resumed",
    "validate": "check recipes and pipelines whole, and show how they differ from the paper and from TRL",
    "score": "score completions offline and say why; with --bench, attack the rewards",
    "report": "rebuild report.html and print the table of a pipeline's folder",
    "compare": "is one checkpoint better than another, and how sure; or several ways to train one model, side by side",
    "benchmarks": "show the benchmarks there are, how each is asked and judged, and where it is from",
    "review": "let people look at the rows of a stage, and take their verdicts back",
    "publish": "publish a finished stage or a whole pipeline on the Hub, or show what would be sent",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `trl-r1`. Returns the exit code: 0, 1 when a stage failed, 2 for wrong input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in {"-h", "--help"}:
        _print_help()
        return 0 if arguments else 2
    verb, rest = arguments[0].replace("-", "_"), arguments[1:]
    if verb in SCRIPTS:
        return int(importlib.import_module(f"trl_r1.scripts.{verb}").main(rest))
    configure_logging()
    try:
        if verb in COMMANDS:
            return int(_COMMANDS[verb](rest))
        raise R1Error(_unknown(arguments[0]))
    except R1Error as error:
        report_error(error)
        return 2


def _print_help() -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2))
    for name, meaning in {**COMMANDS, **SCRIPTS}.items():
        table.add_row(name, meaning)
    console = Console()
    console.print("usage: trl-r1 COMMAND [options]\n", highlight=False, markup=False)
    console.print(table)
    console.print("\ntrl-r1 COMMAND --help shows a command's options.", highlight=False)


def _unknown(verb: str) -> str:
    import difflib

    known = [*COMMANDS, *SCRIPTS]
    near = difflib.get_close_matches(verb, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "use one of " + ", ".join(known)
    return f"command: {verb!r} is unknown; {hint}"


def _run(arguments: Sequence[str]) -> int:
    from trl_r1.pipeline.runner import run_pipeline

    parser = argparse.ArgumentParser(prog="trl-r1 run", description=COMMANDS["run"])
    parser.add_argument("pipeline", help="pipeline YAML, for example recipes/tiny/pipeline.yaml")
    parser.add_argument("--output_dir", help="folder of all stages (default: the pipeline's own)")
    parser.add_argument("--seed", type=int, help="seed of every stage (default: the pipeline's own)")
    parser.add_argument("--jobs", type=int, help="stages at a time (default: the pipeline's own)")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="these stages and what they need")
    options = parser.parse_args(arguments)
    return run_pipeline(
        options.pipeline, output_dir=options.output_dir, seed=options.seed, jobs=options.jobs, only=options.only
    )


def _validate(arguments: Sequence[str]) -> int:
    from trl_r1.scripts.validate import validate

    parser = argparse.ArgumentParser(prog="trl-r1 validate", description=COMMANDS["validate"])
    parser.add_argument("recipes", nargs="+", help="recipe or pipeline YAML files")
    parser.add_argument("--verb", choices=sorted(SCRIPTS), help="script of the recipe (default: read from its header)")
    options = parser.parse_args(arguments)
    return validate(options.recipes, options.verb)


def _score(arguments: Sequence[str]) -> int:
    from trl_r1.scripts.score import main as score

    return score(arguments)


def _report(arguments: Sequence[str]) -> int:
    from trl_r1.report import build_report, print_summary

    parser = argparse.ArgumentParser(prog="trl-r1 report", description=COMMANDS["report"])
    parser.add_argument("folder", help="output folder of a pipeline, for example outputs/tiny")
    options = parser.parse_args(arguments)
    if not Path(options.folder).is_dir():
        raise R1Error(f"folder: {options.folder!r} does not exist; run the pipeline first")
    report = build_report(options.folder)
    print_summary(options.folder)
    from rich.console import Console

    Console().print(f"report: {os.fspath(report)}", highlight=False)
    return 0


def _compare(arguments: Sequence[str]) -> int:
    from trl_r1.scripts.compare import main as compare

    return compare(arguments)


def _benchmarks(arguments: Sequence[str]) -> int:
    from trl_r1.scripts.benchmarks import main as benchmarks

    return benchmarks(arguments)


def _review(arguments: Sequence[str]) -> int:
    from trl_r1.scripts.review import main as review

    return review(arguments)


def _publish(arguments: Sequence[str]) -> int:
    from trl_r1.scripts.publish import main as publish

    return publish(arguments)


_COMMANDS = {
    "run": _run,
    "validate": _validate,
    "score": _score,
    "report": _report,
    "compare": _compare,
    "benchmarks": _benchmarks,
    "review": _review,
    "publish": _publish,
}


if __name__ == "__main__":
    sys.exit(main())
