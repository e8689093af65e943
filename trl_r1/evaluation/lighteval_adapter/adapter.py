"""From a benchmark to a task of lighteval, checked and loaded as an evaluation of ours would."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trl_r1.data.judging import route_of
from trl_r1.errors import R1Error
from trl_r1.evaluation.harness import MAX_UNDECIDABLE
from trl_r1.evaluation.lighteval_adapter.checkpoint_checks import check_checkpoint
from trl_r1.evaluation.lighteval_adapter.questions import query_of, store_questions
from trl_r1.evaluation.lighteval_adapter.scores import Judge, score_names
from trl_r1.evaluation.questions import load_questions
from trl_r1.evaluation.suites import Checkpoint, EvaluationSuite
from trl_r1.generation.prompts import render_text
from trl_r1.generation.types import SamplingParameters
from trl_r1.recipe.suite_checks import file_name_of
from trl_r1.verifiers import Verdict, verify_math
from trl_r1.verifiers.math import use_math_verify


if TYPE_CHECKING:
    from lighteval.tasks.lighteval_task import LightevalTaskConfig

PREFIX: Final = "trl_r1_"  # lighteval has tasks called gsm8k, ifeval, aime24 of its own, and refuses a name twice
MODE: Final = "sampled"  # of a suite that names a benchmark and no modes
DEFAULTS: Final = {"max_completion_length": 256, "seed": 42, "batch_size": 256}  # a benchmark says the first itself
NEEDS_ALGEBRA: Final = (r"\arctan 1", r"\frac{\pi}{4}")  # an answer and a gold answer

logger = logging.getLogger(__name__)


def lighteval_task(
    benchmark: str,
    *,
    data_files: str | Path | None = None,
    max_rows: int | None = None,
    num_samples: int | None = None,
    max_completion_length: int | None = None,
    checkpoint: Checkpoint | None = None,
    math_verify: str | Path | None = None,
    max_undecidable: float = MAX_UNDECIDABLE,
    folder: str | Path | None = None,
) -> LightevalTaskConfig:
    """
    A benchmark as a task of lighteval, called `trl_r1_<name>`.

    The questions, the words around them, the number of samples and the longest answer are the benchmark's; our parser
    and our verifier judge, and a question of which answers are missing is refused. Lighteval takes temperature and
    nucleus from the model's arguments: give `generation_parameters={temperature:0.6,top_p:0.95}` there.

    Args:
        benchmark (`str`):
            Name or file of a [`Benchmark`].
        data_files (`str` or `Path`, *optional*):
            Local rows, instead of those on the Hub.
        max_rows (`int`, *optional*):
            The first questions only. Lighteval's own `max_samples` takes some by lot.
        num_samples (`int`, *optional*):
            Answers a question, instead of the benchmark's.
        max_completion_length (`int`, *optional*):
            Longest answer in tokens, instead of the benchmark's. Without a `checkpoint` nobody sees that it does not
            fit the model's context, and lighteval shortens it, or cuts off the beginning of the question.
        checkpoint ([`Checkpoint`], *optional*):
            The one that will be asked: a think tag its chat template opens belongs to every answer, and its
            `response_format` says how answers are read. Without it they are read as R1's, with nothing opened.
            Questions that do not fit its context are refused, and lighteval asks again once its weights, template or
            generation configuration changed: by itself it keeps answers by a folder's name alone.
        math_verify (`str` or `Path`, *optional*):
            Folder made by `pip install --target FOLDER math-verify`. Lighteval pins a version of one of its
            requirements that it cannot use, so in lighteval's environment it needs one of its own.
        max_undecidable (`float`, *optional*, defaults to `0.05`):
            As of [`evaluate_policy`].
        folder (`str` or `Path`, *optional*):
            Where to keep the questions, by default below `HF_HOME`.

    Returns:
        `lighteval.tasks.lighteval_task.LightevalTaskConfig`: for the `TASKS_TABLE` of a file given as
        `--custom-tasks`.

    Raises:
        [`R1Error`]: when lighteval is not installed, Math-Verify does not run where answers need it, or a question
            and its answer do not fit the checkpoint's context.
        [`RecipeError`] or [`DataError`]: when the benchmark is unknown, or its questions cannot be read or used.

    Example:

    ```python
    # tasks.py · lighteval accelerate "model_name=...,generation_parameters={temperature:0.6,top_p:0.95}" \\
    #     trl_r1_gsm8k --custom-tasks tasks.py
    from trl_r1.evaluation.lighteval_adapter import lighteval_task

    TASKS_TABLE = [lighteval_task("gsm8k", num_samples=4, math_verify=".venv-lighteval/math-verify")]
    ```
    """
    require_lighteval()
    if math_verify is not None:
        use_math_verify(math_verify)
    from trl_r1.evaluation.lighteval_adapter.tasks import build_task

    given = {
        "benchmark": benchmark,
        "data_files": None if data_files is None else str(data_files),
        "max_rows": max_rows,
        "num_samples": num_samples,
        "max_completion_length": max_completion_length,
    }
    suite = EvaluationSuite.from_mapping({name: value for name, value in given.items() if value is not None})
    mode = suite.modes[MODE]
    _check_counts(suite.name, mode.num_samples, suite.max_completion_length)
    name = PREFIX + file_name_of(suite.name)
    tokenizer = None if checkpoint is None else _tokenizer_of(checkpoint)
    questions = _questions(suite, checkpoint, tokenizer)
    if any(route_of(row) == "math" for row in questions):
        _check_algebra(name)
    asked = _check_asked(checkpoint, tokenizer, questions, suite.parameters(mode, **DEFAULTS), name)
    stored = store_questions(questions, name, folder, asked)
    logger.info(
        "%s: give the model generation_parameters={temperature:%g,top_p:%g}", name, mode.temperature, mode.top_p
    )
    judge = Judge(name, mode.num_samples, suite.verifier, max_undecidable)
    return build_task(name, stored, judge, score_names(suite), suite.max_completion_length)


def require_lighteval() -> None:
    """
    Check that lighteval is installed, without importing it: that takes seconds.

    Raises:
        [`R1Error`]: saying how to install it.
    """
    if find_spec("lighteval") is None:
        raise R1Error(
            "lighteval is not installed. It is no extra, as it pins versions that this package cannot use: run "
            "`pip install` in an environment of its own as docs/evaluation.md says, or see `make test-lighteval`"
        )


def _check_algebra(name: str) -> None:
    """
    Check that computer algebra runs: else a hard answer is undecided, after all were drawn.

    Raises:
        [`R1Error`]: saying how to install it.
    """
    found = verify_math(*NEEDS_ALGEBRA)
    if found.verdict is not Verdict.CORRECT:
        raise R1Error(
            f"{name}: answers cannot be compared ({found.reason}). Lighteval pins an older latex2sympy2_extended than "
            "math-verify needs: run `pip install --target FOLDER math-verify`, and give math_verify=FOLDER"
        )


def _check_counts(name: str, *counts: Any) -> None:
    for value in counts:
        if type(value) is not int or value < 1:
            raise R1Error(
                f"{name}: {value!r} is no whole number of at least 1; mend num_samples or max_completion_length"
            )


def _tokenizer_of(checkpoint: Checkpoint) -> Any:
    if checkpoint.prompt_template or checkpoint.chat_template:
        raise R1Error(
            f"checkpoints.{checkpoint.name}: lighteval shows questions by the chat template saved with a checkpoint, "
            "or bare; save the template there, and give neither prompt_template nor chat_template"
        )
    return checkpoint.load_tokenizer()


def _questions(suite: EvaluationSuite, checkpoint: Checkpoint | None, tokenizer: Any) -> list[dict[str, Any]]:
    """The questions as the checkpoint's answers to them are read; lighteval shows them by itself."""
    if checkpoint is None:
        return load_questions(None, suite, Checkpoint(name="lighteval", path="")).rows
    return load_questions(tokenizer if tokenizer.chat_template else None, suite, checkpoint).rows


def _check_asked(
    checkpoint: Checkpoint | None,
    tokenizer: Any,
    questions: Sequence[Mapping[str, Any]],
    params: SamplingParameters,
    name: str,
) -> str:
    """What [`check_checkpoint`] finds of what lighteval will show; nothing where nobody said who is asked."""
    if checkpoint is None:
        logger.warning(
            "%s: give checkpoint=, or lighteval takes kept answers of a folder's older weights for new ones, and cuts "
            "questions that are too long",
            name,
        )
        return ""
    chat = bool(tokenizer.chat_template)
    texts = [render_text(row["prompt"], tokenizer) if chat else query_of(row) for row in questions]
    return check_checkpoint(checkpoint, tokenizer, texts, params, name)
