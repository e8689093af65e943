"""
Score completions offline and say why, row by row; or attack the rewards themselves with the bench.

    trl-r1 score completions.jsonl --recipe recipes/tiny/r1_zero.yaml
    trl-r1 score outputs/mine/completions --reward accuracy_reward format_reward --output scores.jsonl
    trl-r1 score --bench --recipe recipes/tiny/r1_zero.yaml
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trl_r1.errors import R1Error, RewardError
from trl_r1.scripts.common import configure_logging, report_error


if TYPE_CHECKING:
    from trl_r1.bench.completion_files import CompletionRow
    from trl_r1.rewards.registry import RewardFunction

SHOWN_ROWS = 20


@dataclass(frozen=True, slots=True)
class Scorer:
    """
    What completions are scored with.

    Args:
        rewards (`list[CheckedReward]`):
            The reward functions.
        weights (`list[float]`):
            One a reward.
        columns (`dict[str, Any]`):
            Values of columns that rows lack, such as the recipe's response format.
        renamed (`dict[str, str]`):
            The recipe's names of columns, and ours.
        questions (`list[dict[str, Any]]`):
            Rows of the dataset, whose columns a row takes over when its prompt holds their question.
    """

    rewards: list[RewardFunction]
    weights: list[float]
    columns: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    questions: list[dict[str, Any]] = field(default_factory=list)


def make_parser() -> argparse.ArgumentParser:
    """The command line of `trl-r1 score`."""
    parser = argparse.ArgumentParser(
        prog="trl-r1 score", description="score completions offline and say why; or attack the rewards with the bench"
    )
    parser.add_argument("file", nargs="?", help="JSON lines or Parquet with prompt, completion and columns, or a "
                        "folder of TRL's completion logs")  # fmt: skip
    parser.add_argument("--recipe", help="grpo recipe whose rewards, weights and response format to use")
    parser.add_argument("--reward", nargs="+", metavar="NAME", help="rewards as in reward_funcs, instead of a recipe; "
                        "parameters as '{get_x_reward: {limit: 3}}'")  # fmt: skip
    parser.add_argument("--weights", nargs="+", type=float, help="one a reward (default: the recipe's, or 1 each)")
    parser.add_argument("--dataset", help="folder of JSON lines or Hub id whose rows hold the columns that the file "
                        "lacks, such as solution")  # fmt: skip
    parser.add_argument("--tokenizer", help="counts the tokens of rows without completion_ids (default: words)")
    parser.add_argument("--output", help="JSON lines to write: one a row, with rewards, sum and reasons")
    parser.add_argument("--rows", type=int, default=SHOWN_ROWS, help=f"rows to show (default: {SHOWN_ROWS})")
    parser.add_argument("--bench", action="store_true", help="attack the rewards; without --recipe or --reward, ours")
    parser.add_argument("--kind", help="with --bench: kind of the rewards (default: what is known of each)")
    parser.add_argument("--without", nargs="+", default=[], metavar="CASE", help="with --bench: cases to leave out")
    parser.add_argument("--all", action="store_true", help="with --bench: show all cases, not only failures")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns 0, 1 when a row is malformed or a case of the bench fails, 2 for wrong input."""
    options = make_parser().parse_args(list(sys.argv[1:] if argv is None else argv))
    configure_logging()
    try:
        if options.bench == bool(options.file):
            raise R1Error("score: give a file of completions, or --bench; one of the two")
        if options.recipe and options.reward:
            raise R1Error("score: --recipe names the rewards already; leave --reward or --recipe out")
        if options.bench:
            from trl_r1.scripts.score_bench import bench_rewards

            specs = _specs(options)
            return bench_rewards(specs, kind=options.kind, without=options.without, all_cases=options.all)
        return score_file(options)
    except R1Error as error:
        report_error(error)
        return 2


def score_file(options: argparse.Namespace) -> int:
    """Score a file, print rows and summary, write the output. Returns 0, or 1 when rows were malformed."""
    from rich.console import Console

    from trl_r1.bench.completion_files import read_completions
    from trl_r1.bench.offline import score_rows
    from trl_r1.scripts.score_tables import show_rows, show_summary, write_scores

    scorer = make_scorer(options)
    rows, malformed = read_completions(options.file)
    tokenizer = _load_tokenizer(options.tokenizer)
    scored = score_rows(scorer.rewards, complete(rows, scorer), scorer.weights, tokenizer)
    console = Console(soft_wrap=False, emoji=False)  # `:x:` in a text is no emoji
    show_rows(console, scored, malformed, options.rows)
    show_summary(console, scored, malformed, scorer.weights)
    if options.output:
        write_scores(options.output, scored, malformed)
        console.print(f"scores: {options.output}", highlight=False, markup=False)
    return 1 if malformed else 0


def make_scorer(options: argparse.Namespace) -> Scorer:
    """
    Rewards, weights and columns from the command line.

    Raises:
        [`R1Error`]: when the recipe, a reward or the weights are wrong.
    """
    from trl_r1.rewards import build_rewards

    specs = _specs(options)
    if not specs:
        raise R1Error("score: no rewards; give --recipe FILE or --reward NAME ...")
    rewards = build_rewards(specs)
    recipe = _recipe(options)
    given = recipe.training_args.reward_weights if recipe is not None else None
    weights = options.weights or given or [1.0] * len(rewards)
    if len(weights) != len(rewards):
        raise R1Error(f"weights: {len(weights)} for {len(rewards)} rewards; give one for each")
    questions = _questions(options.dataset)
    if recipe is None:
        return Scorer(rewards, list(weights), questions=questions)
    script = recipe.script_args
    renamed = {script.dataset_prompt_column: "problem", script.dataset_solution_column: "solution"}
    response_format = script.response_format or ("r1_zero" if script.prompt_template else "r1")
    return Scorer(rewards, list(weights), {"response_format": response_format}, renamed, questions)


def complete(rows: Sequence[CompletionRow], scorer: Scorer) -> list[CompletionRow]:
    """Rows with the recipe's names and formats, and with the columns of their questions in the dataset."""
    questions = [_renamed(row, scorer) for row in scorer.questions]
    found: dict[str, dict[str, Any]] = {}  # completions of one prompt share it
    completed = []
    for row in rows:
        columns = _renamed(row.columns, scorer)
        text = str(columns.get("problem") or "")
        if text not in found:
            found[text] = _question_in(text, questions)
        for name, value in {**found[text], **scorer.columns}.items():
            if columns.get(name) is None:
                columns[name] = value
        completed.append(dataclasses.replace(row, columns=columns))
    return completed


def _renamed(columns: Mapping[str, Any], scorer: Scorer) -> dict[str, Any]:
    return {scorer.renamed.get(name, name): value for name, value in columns.items()}


def _question_in(text: str, questions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row whose question a text is, or else holds between words; the longest such question."""
    best: dict[str, Any] = {}
    for row in questions:
        problem = row.get("problem")
        if not isinstance(problem, str) or len(problem) <= len(best.get("problem", "")) or problem not in text:
            continue
        if re.search(rf"(?<!\w){re.escape(problem)}(?!\w)", text):  # "1 + 1?" is no question of "11 + 1?"
            best = row
    return best


def _questions(dataset: str | None) -> list[dict[str, Any]]:
    if dataset is None:
        return []
    from trl_r1.data.mixture import load_source

    return [dict(row) for row in load_source(dataset).dataset]


def _specs(options: argparse.Namespace) -> list[Any]:
    """Rewards as `reward_funcs` names them; empty when none were named."""
    recipe = _recipe(options)
    if recipe is not None:
        return list(recipe.script_args.reward_funcs)
    return [_parse_reward(text) for text in options.reward or []]


def _recipe(options: argparse.Namespace) -> Any:
    if options.recipe is None:
        return None
    from trl_r1.recipe import inspect_recipe

    return inspect_recipe(options.recipe, "grpo")


def _parse_reward(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text) if text.lstrip().startswith("{") or ": " in text else text
    except yaml.YAMLError as error:
        raise RewardError(f"reward: {text!r} is no YAML; write '{{get_x_reward: {{limit: 3}}}}'") from error


def _load_tokenizer(name_or_path: str | None) -> Any:
    if name_or_path is None:
        return None
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name_or_path)
    except (OSError, ValueError) as error:
        raise R1Error(f"tokenizer: {name_or_path!r} cannot be loaded ({str(error).splitlines()[0]})") from error


if __name__ == "__main__":
    sys.exit(main())
