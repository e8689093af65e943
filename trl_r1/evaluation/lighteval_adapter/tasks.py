"""What lighteval wants of a task: a function that asks, and metrics. Imports lighteval, so is imported late."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lighteval.metrics.metrics_sample import SampleLevelComputation, SamplingMetric
from lighteval.metrics.utils.metric_utils import SampleLevelMetric
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc, SamplingMethod

from trl_r1.errors import R1Error
from trl_r1.evaluation.lighteval_adapter.questions import QUERY, QUESTION, SPLIT
from trl_r1.evaluation.lighteval_adapter.scores import Judge, mean_of_decided, score_question, text_of_answer


def build_task(
    name: str, stored: Path, judge: Judge, scores: Sequence[str], max_completion_length: int | None
) -> LightevalTaskConfig:
    """
    A task of lighteval.

    Args:
        name (`str`):
            Of the task.
        stored (`Path`):
            Folder of [`store_questions`].
        judge ([`Judge`]):
            Judges the answers.
        scores (`Sequence[str]`):
            Names of [`score_names`].
        max_completion_length (`int`, *optional*):
            Longest answer, in tokens.
    """
    return LightevalTaskConfig(
        name=name,
        prompt_function=ask,
        hf_repo=str(stored),
        hf_subset="default",
        hf_avail_splits=[SPLIT],
        evaluation_splits=[SPLIT],
        metrics=[_metric(score, judge) for score in scores],
        generation_size=max_completion_length,
        stop_sequence=[],
    )


def ask(row: Mapping[str, Any], name: str) -> Doc:
    """
    What lighteval asks for a row.

    Raises:
        [`R1Error`]: when it wants solved examples.
    """
    if row["__few_shots"]:
        raise R1Error(f"{name}: it is asked without examples, as the paper does; write {name} or {name}|0")
    gold = json.loads(row[QUESTION]).get("solution")
    return Doc(
        query=row[QUERY],
        choices=["" if gold is None else str(gold)],  # shown in lighteval's details; our verifier reads the question
        gold_index=0,
        task_name=name,
        specific={QUESTION: row[QUESTION]},
    )


class VerifierScore(SamplingMetric, SampleLevelComputation):
    """
    A score of each question from all answers to it, by the verifier of training.

    Args:
        score (`str`):
            A name of [`score_names`].
        judge ([`Judge`]):
            Shared by the scores of a task.
    """

    def __init__(self, score: str, judge: Judge) -> None:
        # not the parent's, which makes ready to compare texts: it tells lighteval that several answers are wanted
        self.score = score
        self.judge = judge

    def num_samples(self) -> int:
        """Answers a question."""
        return self.judge.num_samples

    def compute(self, responses: Sequence[ModelResponse], docs: Sequence[Doc], **kwargs: Any) -> list[float]:
        """
        The score of each question.

        Raises:
            [`R1Error`]: when answers are missing, or too many cannot be judged.
        """
        questions = [json.loads(doc.specific[QUESTION]) for doc in docs]
        judged = self.judge.judge(questions, [_texts(response) for response in responses])
        return [score_question(own, self.score, self.judge.verifier) for own in judged]


def _texts(response: ModelResponse) -> list[str | None]:
    """The answers as the model wrote them: lighteval's own reading of think tags is not used."""
    pairs = itertools.zip_longest(response.text, response.reasonings or [])
    return [text_of_answer(text, reasoning) for text, reasoning in pairs]


def _metric(score: str, judge: Judge) -> SampleLevelMetric:
    return SampleLevelMetric(
        metric_name=score,
        higher_is_better=True,
        category=SamplingMethod.GENERATIVE,
        sample_level_fn=VerifierScore(score, judge),
        corpus_level_fn=mean_of_decided,
        batched_compute=True,  # the verifier judges many at once
    )
