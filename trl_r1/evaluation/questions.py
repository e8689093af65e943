"""A suite's questions as one checkpoint is asked them: loaded, checked, put into words, and begun for the policy."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trl_r1.chat_template import THINK_OPEN
from trl_r1.data.judging import route_of
from trl_r1.data.mixture import load_source
from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.data.prompts import gold_text, prepare_prompts
from trl_r1.data.rendering import Prompt, PromptRenderer
from trl_r1.data.rows import check_column
from trl_r1.errors import DataError
from trl_r1.evaluation.question_checks import check_rows
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite, Mode
from trl_r1.recipe.variant_checks import PROBLEM_FIELD
from trl_r1.stage_record import DataSource
from trl_r1.verifiers import check_golds


if TYPE_CHECKING:
    from trl_r1.evaluation.benchmarks import Benchmark

logger = logging.getLogger(__name__)

ID_COLUMN = "question_id"
BARE = PromptVariant(name="")  # a question with nothing around it


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """
    A suite's questions as one checkpoint is asked them.

    Args:
        rows (`list[dict[str, Any]]`):
            The questions: `prompt`, `problem`, `solution`, `prompt_tail`, `response_format`, `question_id`, and their
            own columns.
        source ([`DataSource`]):
            Where they are from.
        renderer ([`PromptRenderer`]):
            How they are shown.
        variant ([`PromptVariant`]):
            What is said around them.
        benchmark ([`Benchmark`], *optional*):
            What they are of.
    """

    rows: list[dict[str, Any]]
    source: DataSource
    renderer: PromptRenderer
    variant: PromptVariant = BARE
    benchmark: Benchmark | None = None

    @property
    def texts(self) -> list[Prompt]:
        """What the policy reads; chats where a server shows them in its own way."""
        if self.renderer.tokenizer is None:
            return [row["prompt"] for row in self.rows]
        return [self.renderer.to_text(row["prompt"]) for row in self.rows]

    def asked_as(self, variant: PromptVariant, checkpoint: Checkpoint) -> Questions:
        """
        The same questions in other words.

        Raises:
            [`DataError`]: when the rows hold ready-made prompts.
            [`TemplateError`]: when prompts cannot be rendered.
        """
        renderer = self.renderer
        if variant.prompt_template is not None:
            renderer = PromptRenderer(renderer.tokenizer, variant.prompt_template, checkpoint.response_format)
        own = [self._made_of_question(row) for row in self.rows]
        if not all(own) and not _is_bare(variant):
            raise DataError(
                f"instruction: {variant.instruction.replace(PROBLEM_FIELD, '...')!r} cannot be put around the "
                "ready-made prompt of a row; give bare questions in a column of their own"
            )
        rows = [
            {**row, **_words(row, variant, renderer)} if bare else row
            for row, bare in zip(self.rows, own, strict=True)
        ]
        return dataclasses.replace(self, rows=rows, renderer=renderer, variant=variant)

    def _made_of_question(self, row: Mapping[str, Any]) -> bool:
        """Whether a row's prompt is its question in the words it is now asked in, and no ready-made one."""
        return row["prompt"] is None or row["prompt"] == self.variant.to_prompt(self.renderer, row["problem"])


def load_questions(
    tokenizer: Any, suite: EvaluationSuite, checkpoint: Checkpoint, variant: PromptVariant | None = None
) -> Questions:
    """
    A suite's questions, checked as training data is and shown as the checkpoint expects.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`] or `None`):
            The checkpoint's; `None` where a server keeps it to itself.
        suite ([`EvaluationSuite`]):
            Which questions.
        checkpoint ([`Checkpoint`]):
            Its templates.
        variant ([`PromptVariant`], *optional*):
            What is said around them; by default the first of the suite's own ways to ask.

    Raises:
        [`DataError`]: when they cannot be read, lack a column, need a judge, or cannot be voted on.
        [`RecipeError`]: when the benchmark is unknown.
    """
    renderer = PromptRenderer(tokenizer, checkpoint.prompt_template, checkpoint.response_format)
    questions = _of_benchmark(suite, renderer) if suite.benchmark else _of_dataset(suite, renderer)
    check_rows(questions.rows, suite)
    _name_questions(questions.rows)
    return questions.asked_as(variant or suite.ways_to_ask[0], checkpoint)


def _of_dataset(suite: EvaluationSuite, renderer: PromptRenderer) -> Questions:
    raw = load_source(str(suite.dataset_name), suite.split, name=suite.dataset_config)
    for field, column in _needed_columns(suite):
        check_column(raw.dataset, column, field, raw.name)
    dataset, dropped = prepare_prompts(raw, renderer, suite.dataset_prompt_column, suite.dataset_solution_column)
    if suite.max_rows is not None and suite.max_rows < len(dataset):
        dropped = {**dropped, "beyond_max_rows": len(dataset) - suite.max_rows}
        dataset = dataset.select(range(suite.max_rows))
    rows = [dict(row) for row in dataset]
    return Questions(rows=rows, source=raw.describe(len(rows), dropped), renderer=renderer)


def _of_benchmark(suite: EvaluationSuite, renderer: PromptRenderer) -> Questions:
    from trl_r1.evaluation.benchmarks import get_benchmark, load_benchmark

    benchmark = get_benchmark(str(suite.benchmark))
    dataset, source = load_benchmark(benchmark, data_files=suite.data_files, max_rows=suite.max_rows)
    for field, column in _needed_columns(suite):
        check_column(dataset, column, field, benchmark.name)
    rows = [{**row, "solution": gold_text(row.get("solution"))} for row in dataset]
    usable = list(_with_usable_golds(rows, benchmark.name))
    if len(usable) < len(rows):
        dropped = {**source.dropped, "gold_unusable": len(rows) - len(usable)}
        source = dataclasses.replace(source, rows_kept=len(usable), dropped=dropped)
    return Questions(rows=usable, source=source, renderer=renderer, benchmark=benchmark)


def _needed_columns(suite: EvaluationSuite) -> Iterator[tuple[str, str]]:
    named = {"group_by": suite.group_by, "cluster_by": suite.cluster_by}
    named |= {f"modes.{name}.prefill_column": mode.prefill_column for name, mode in suite.modes.items()}
    yield from ((field, column) for field, column in named.items() if column)


def _with_usable_golds(rows: Sequence[Mapping[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """
    The rows but for those whose reference answer no answer could ever be found to equal.

    Raises:
        [`DataError`]: when none is left.
    """
    golds = list(dict.fromkeys(row["solution"] for row in rows if route_of(row) == "math"))
    unusable = {gold: why for gold, why in zip(golds, check_golds(golds), strict=True) if why is not None}
    kept = [row for row in rows if not (route_of(row) == "math" and row["solution"] in unusable)]
    if unusable:
        gold, why = next(iter(unusable.items()))
        lost = len(rows) - len(kept)
        logger.warning("%s: %d reference answers are unusable, such as %r: %s", name, lost, gold, why)
    if not kept:
        raise DataError(f"{name}: no question has a reference answer that could be confirmed; mend data_files")
    yield from ({**row, "prompt": None} for row in kept)


def _name_questions(rows: Sequence[dict[str, Any]]) -> None:
    """Give each question its name: the data set's own, or a hash of what is asked; of those asked twice, numbered."""
    taken: set[str] = set()
    next_number: dict[str, int] = {}
    for row in rows:
        own = row.get(ID_COLUMN)
        name = str(own) if own not in (None, "") else hashlib.sha256(row["problem"].encode()).hexdigest()[:16]
        numbers = itertools.count(next_number.get(name, 1))
        number = next(each for each in numbers if _numbered(name, each) not in taken)
        next_number[name] = number + 1
        row[ID_COLUMN] = _numbered(name, number)
        taken.add(row[ID_COLUMN])


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} ({number})"


def _is_bare(variant: PromptVariant) -> bool:
    """Whether a variant leaves a question as it is."""
    return dataclasses.replace(variant, name="", language=None) == BARE


def _words(row: Mapping[str, Any], variant: PromptVariant, renderer: PromptRenderer) -> dict[str, Any]:
    """A row's prompt, and what of it belongs to the response."""
    return {
        "prompt": variant.to_prompt(renderer, row["problem"]),
        "prompt_tail": renderer.prompt_tail,
        "response_format": renderer.response_format,
    }


def prompts_of(questions: Questions, mode: Mode) -> tuple[list[Prompt], list[str]]:
    """
    What the policy reads in a mode, and the part of it that is put in its mouth.

    Returns:
        `tuple[list[Prompt], list[str]]`: prompts, and the prefill of each.

    Raises:
        [`DataError`]: when something is to be put in the mouth of a policy whose chats a server renders.
    """
    tails = [row["prompt_tail"] or "" for row in questions.rows]
    given = [row[mode.prefill_column] if mode.prefill_column else mode.prefill for row in questions.rows]
    prefills = [fit_prefill(str(text or ""), tail) for text, tail in zip(given, tails, strict=True)]
    prompts: list[Prompt] = []
    for text, prefill in zip(questions.texts, prefills, strict=True):
        if not prefill:
            prompts.append(text)
        elif isinstance(text, str):
            prompts.append(join_prefill(text, prefill, chat=questions.renderer.template is None))
        else:
            raise DataError(
                "prefill: a server shows chats in its own way, and nothing can be put in the policy's mouth; give its "
                "server_tokenizer"
            )
    return prompts, prefills


def fit_prefill(prefill: str, prompt_tail: str) -> str:
    """The prefill after a prompt: without its think tag where the prompt has opened one already."""
    if THINK_OPEN not in prompt_tail:
        return prefill
    return prefill.strip().removeprefix(THINK_OPEN).lstrip()


def join_prefill(prompt: str, prefill: str, chat: bool = False) -> str:
    """
    A prompt with the beginning of the response after it.

    After plain text it is set off by a space where there is none. A chat's template ends where the response begins,
    and nothing comes between: DeepSeek's `<think>` and line break follow the assistant's mark at once.
    """
    spaced = prefill and not chat and not prompt[-1:].isspace() and not prefill[0].isspace()
    return prompt + (" " if spaced else "") + prefill
