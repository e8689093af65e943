r"""
Cold-start data: R1-Zero's own samples, rewritten into R1's format.

R1-Zero thinks in the open and answers with a bare value. The paper filters its samples for right answers and readable
chains, and has each answer written out as a summary. Here the summary is one sentence in the language of the question
with the answer in `\boxed{}`, unless the caller gives a better writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trl_r1.chat_template import ParsedCompletion, join_response
from trl_r1.data.filters import RejectionFilters, language_of
from trl_r1.data.rejection_sampling import Refine, RejectionResult, Rewriting, rejection_sample
from trl_r1.errors import DataError
from trl_r1.generation import GenerationEngine, SamplingParameters


SUMMARIES = {"en": r"The answer is \boxed{{{answer}}}.", "zh": r"答案是 \boxed{{{answer}}}。"}


def summarise_answer(row: Mapping[str, Any], parsed: ParsedCompletion) -> str:
    """
    A sample of R1-Zero as a response of R1: the same reasoning, the answer as a sentence.

    Languages other than English and Chinese get the box alone.
    """
    sentence = SUMMARIES.get(language_of(row), r"\boxed{{{answer}}}")
    return join_response(parsed.reasoning or "", sentence.format(answer=parsed.answer))


def build_cold_start(
    engine: GenerationEngine,
    rows: Iterable[Mapping[str, Any]],
    params: SamplingParameters,
    filters: RejectionFilters | None = None,
    *,
    refine: Refine | Rewriting = summarise_answer,
    teacher: str | None = None,
    folder: str | Path | None = None,
    progress: bool = False,
) -> RejectionResult:
    """
    Build cold-start data from an R1-Zero policy.

    Args:
        engine ([`GenerationEngine`]):
            The R1-Zero policy.
        rows (`Iterable[Mapping[str, Any]]`):
            Questions as [`load_prompts`] prepares them with the R1-Zero template.
        params ([`SamplingParameters`]):
            How to sample; the paper's temperature is 1.
        filters ([`RejectionFilters`], *optional*):
            What to keep: by default right, well formed, in the question's language, one a question.
        refine (`Callable`, *optional*, defaults to `summarise_answer`):
            Writes the response.
        teacher (`str`, *optional*):
            Name noted in every row.
        folder (`str` or `Path`, *optional*):
            Where the work is kept, to go on after a kill; see [`rejection_sample`].
        progress (`bool`, *optional*, defaults to `False`):
            Whether to draw a progress bar.

    Returns:
        [`RejectionResult`]: chat rows in R1's format.

    Raises:
        [`DataError`]: when the questions are not shown in R1-Zero's format, or nothing passes.
    """
    questions = list(rows)
    others = {row.get("response_format") for row in questions} - {"r1_zero"}
    if others:
        raise DataError(
            f"response_format: a cold start samples R1-Zero, but rows are in {sorted(map(str, others))}; "
            "set prompt_template"
        )
    return rejection_sample(
        engine, questions, params, filters, refine=refine, teacher=teacher, folder=folder, progress=progress
    )
