"""What lighteval's answers score: the parser, the verifier and the estimators of our own evaluations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from trl_r1.chat_template import completion_text
from trl_r1.data.judging import JudgedSample, judge_samples
from trl_r1.errors import R1Error
from trl_r1.evaluation.estimators import cons_at_k, pass_at_k
from trl_r1.evaluation.suites import EvaluationSuite, SuiteVerifier
from trl_r1.evaluation.votes import votes_of
from trl_r1.generation import Completion
from trl_r1.verifiers import Verdict


ACCURACY: Final = "accuracy"  # the mean over the answers to a question, and then over questions: pass@1
UNDECIDED: Final = math.nan  # a question without a score; no zero
Texts = Sequence[Sequence[str | None]]


def score_names(suite: EvaluationSuite) -> list[str]:
    """The scores of a suite: accuracy, and its pass@k and cons@k."""
    own = [f"pass@{k}" for k in suite.pass_at if k > 1] + [f"cons@{k}" for k in suite.cons_at]
    return [ACCURACY, *own]


def score_question(samples: Sequence[JudgedSample], name: str, verifier: str = "auto") -> float:
    """
    A score of one question, by the rules of an evaluation's record.

    Args:
        samples (`Sequence[JudgedSample]`):
            All answers to it.
        name (`str`):
            A name of [`score_names`].
        verifier (`str`, *optional*, defaults to `"auto"`):
            What judged them.

    Returns:
        `float`: in [0, 1]; NaN where fewer answers could be judged than the score needs.
    """
    decided = [sample for sample in samples if sample.correct is not None]
    rights = [sample.correct is True for sample in decided]
    kind, _, number = name.partition("@")
    k = int(number or 1)
    if len(decided) < k:
        return UNDECIDED
    if kind == "pass":
        return pass_at_k(len(rights), sum(rights), k)
    if kind == "cons":
        return cons_at_k(votes_of(decided, verifier), rights, k)
    return sum(rights) / len(rights)


def mean_of_decided(values: Sequence[float]) -> float:
    """
    The mean over the questions that have a score.

    Raises:
        [`R1Error`]: when none has.
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        raise R1Error(f"no score: of none of {len(values)} questions enough answers could be judged")
    return math.fsum(known) / len(known)


class Judge:
    """
    Judges all answers of a task, once for all its scores.

    Args:
        task (`str`):
            Its name, for errors.
        num_samples (`int`):
            Answers there must be to each question.
        verifier (`str`):
            As of a suite.
        max_undecidable (`float`):
            Largest share of the answers that may be left undecided.
    """

    def __init__(self, task: str, num_samples: int, verifier: SuiteVerifier, max_undecidable: float) -> None:
        self.task = task
        self.num_samples = num_samples
        self.verifier: SuiteVerifier = verifier
        self.max_undecidable = max_undecidable
        self._answers: Texts | None = None
        self._judged: list[list[JudgedSample]] = []

    def __repr__(self) -> str:
        return f"Judge(num_samples={self.num_samples}, verifier={self.verifier!r})"

    def judge(self, questions: Sequence[Mapping[str, Any]], answers: Texts) -> list[list[JudgedSample]]:
        """
        The verdicts, by question.

        Args:
            questions (`Sequence[Mapping[str, Any]]`):
                As [`store_questions`] kept them.
            answers (`Sequence[Sequence[str]]`):
                Texts to each, as the model wrote them.

        Raises:
            [`R1Error`]: when answers are missing, or too many cannot be judged.
        """
        if self._answers != answers:
            self._check_complete(questions, answers)
            self._judged = self._by_question(questions, answers)
            self._answers = answers
            self._check_decided()
        return self._judged

    def _by_question(self, questions: Sequence[Mapping[str, Any]], answers: Texts) -> list[list[JudgedSample]]:
        groups = [[Completion(text=str(text), token_ids=(), finish_reason="stop") for text in own] for own in answers]
        flat = iter(judge_samples(questions, groups, verifier=self.verifier))
        return [[next(flat) for _ in own] for own in answers]

    def _check_complete(self, questions: Sequence[Mapping[str, Any]], answers: Texts) -> None:
        for question, own in zip(questions, answers, strict=True):
            found = sum(text is not None for text in own)
            if found != self.num_samples or len(own) != self.num_samples:
                raise R1Error(
                    f"{self.task}: question {question['question_id']} has {found} of {self.num_samples} answers; a "
                    "score of fewer would be another one: delete lighteval's cache of this model and draw them again"
                )

    def _check_decided(self) -> None:
        judgements = [found.judgement for own in self._judged for found in own if found.judgement is not None]
        reasons = Counter(found.reason for found in judgements if found.verdict is Verdict.UNDECIDABLE)
        undecided = sum(reasons.values())
        if undecided > self.max_undecidable * len(judgements):
            self._answers = None
            raise R1Error(
                f"{self.task}: {undecided} of {len(judgements)} answers could not be judged, more than "
                f"max_undecidable {self.max_undecidable:g} (most often: {reasons.most_common(1)[0][0]}); mend that "
                "and run again: lighteval keeps the answers"
            )


def text_of_answer(text: str | None, reasoning: str | None) -> str | None:
    """An answer whole: servers may give the chain apart."""
    if text is None or not reasoning:
        return text
    return completion_text([{"role": "assistant", "reasoning_content": reasoning, "content": text}])
