"""
Join data sets into one, balanced by domain and without repetitions, and say what it is made of.

    trl-r1 compose --config recipes/tiny/sft_mixture.yaml

Writes the rows, one composition table as of table 5 of DeepSeek-R1's paper, and the record of every source.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trl_r1.errors import TemplateError
from trl_r1.scripts.common import StageRecorder, is_main_process, run_script
from trl_r1.scripts.publishing import publishing
from trl_r1.stage_record import Measurement
from trl_r1.user_code import first_line


if TYPE_CHECKING:
    from trl_r1.data.composition import Composition, CompositionOptions
    from trl_r1.recipe import Recipe

logger = logging.getLogger(__name__)


def join(recipe: Recipe) -> None:
    """Read, choose, write the rows, then the record and the card. One process does it all."""
    from trl_r1.data.composition import compose
    from trl_r1.data.mixture import load_sources
    from trl_r1.data.parquet_files import write_parquet
    from trl_r1.data.schemas import read_as
    from trl_r1.hub.cards.dataset_card import create_dataset_card
    from trl_r1.hub.lineage import write_lineage
    from trl_r1.scripts.training import check_ancestry

    if not is_main_process():
        return
    arguments = recipe.script_args
    folder = arguments.output_dir
    recorder = StageRecorder.from_recipe("compose", recipe, folder, arguments.stage_name)
    tokenizer = load_counter(arguments.tokenizer) if arguments.tokenizer else None
    read = [read_as(source, arguments, "sft") for source in load_sources(arguments, recipe.dataset_args)]
    column = read[0][1].dataset_prompt_column  # the same for all: a recipe that names one reads all of them by it
    made = compose([source for source, _ in read], options_of(arguments, column), tokenizer)
    recorder.data = made.describe()
    check_ancestry(recipe, recorder)
    write_parquet(folder, made.rows(), made.features(), len(made))
    show(made)
    recorder.seeds = {"seed": arguments.seed}
    recorder.metrics = composition_metrics(made, sum(source.rows_in for source in recorder.data))
    recipe.write_resolved(folder)
    recorder.write()
    write_lineage(folder)
    create_dataset_card(folder, license=arguments.hub_license, repo_id=recipe.hub_repo_id)


def options_of(arguments: Any, problem_column: str) -> CompositionOptions:
    """The recipe's wishes."""
    from trl_r1.data.composition import CompositionOptions

    return CompositionOptions(
        problem_column=problem_column,
        domain_column=arguments.dataset_domain_column,
        source_domains=arguments.source_domains or {},
        domain_targets=arguments.domain_targets or {},
        max_rows=arguments.max_rows,
        near_duplicate_threshold=arguments.near_duplicate_threshold,
        columns=arguments.columns,
        seed=arguments.seed,
    )


def load_counter(name: str) -> Any:
    """
    The tokenizer that counts.

    Raises:
        [`TemplateError`]: when there is none of that name.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise TemplateError(
            f"tokenizer: {name!r} cannot be loaded ({first_line(error)}); give a folder or Hub id with a tokenizer"
        ) from error


def composition_metrics(made: Composition, rows_read: int) -> dict[str, Measurement]:
    """The table, as a record holds it: `composition/<domain>/samples`, `rounds` and `tokens`, the latter as means."""
    metrics = {"rows_read": Measurement(value=float(rows_read)), "kept": Measurement(value=float(len(made)))}
    for domain, count in (*made.table.items(), ("total", made.total)):
        metrics[f"composition/{domain}/samples"] = Measurement(value=float(count.samples))
        metrics[f"composition/{domain}/rounds"] = Measurement(value=round(count.mean_rounds, 3), n=count.samples)
        if count.mean_tokens is not None:
            metrics[f"composition/{domain}/tokens"] = Measurement(value=round(count.mean_tokens, 1), n=count.samples)
    return metrics


def show(made: Composition) -> None:
    """Print the table beside the paper's."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from trl_r1.data.paper_composition import paper_row

    table = Table(title=f"{len(made):,} rows", box=SIMPLE)
    for name in ("domain", "samples", "share", "rounds", "tokens", "paper:\nsamples", "\nshare", "\ntokens"):
        table.add_column(name, justify="left" if name == "domain" else "right", no_wrap=True, vertical="bottom")
    for domain, count in (*made.table.items(), ("total", made.total)):
        tokens = "" if count.mean_tokens is None else f"{count.mean_tokens:,.1f}"
        ours = (f"{count.samples:,}", f"{count.samples / len(made):.1%}", f"{count.mean_rounds:.1f}", tokens)
        samples, share, _, paper_tokens = paper_row(domain)
        table.add_row(domain, *ours, samples, share, paper_tokens)
    Console(stderr=True).print(table, markup=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    return run_script("compose", publishing(join), argv)


if __name__ == "__main__":
    sys.exit(main())
