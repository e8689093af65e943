"""A model that judges answers against their reference, where no rule can."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from trl_r1.data.judging import JUDGE, JudgedSample, route_of
from trl_r1.data.rejection_sampling.replies import Replies, failure_code
from trl_r1.errors import RecipeError
from trl_r1.rewards.endpoint import Endpoint, Messages
from trl_r1.rewards.judge import MAX_ANSWER_CHARS, JudgeReward, get_judge_reward, read_verdict
from trl_r1.verifiers import Judgement, Verdict


JudgeScope = Literal["marked", "undecided", "all"]
NO_DEADLINE = 7 * 24 * 3600.0  # seconds; a job may take as long as it takes, each request has its own limit


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJudge:
    """
    A judge with the reference answer: question, reference and answer in, a JSON verdict out.

    Source: DeepSeek-R1 v2, B.3.3 and Listing 4 (part of the prompts are judged by DeepSeek-V3).

    Args:
        reward ([`~trl_r1.rewards.judge.JudgeReward`]):
            Holds endpoint and instructions.
        scope (`str`, *optional*, defaults to `"marked"`):
            Which rows it judges: `"marked"` those whose `reward_type` is `judge`; `"undecided"` also those that have a
            reference but that no rule decides; `"all"` every row with a reference.
        max_failures (`float`, *optional*, defaults to `0.01`):
            Largest share of answers it may leave without a verdict. These are dropped as undecidable, with the reason;
            when there are more the job stops, and goes on where it was when started again.
    """

    reward: JudgeReward
    scope: JudgeScope = "marked"
    max_failures: float = 0.01

    def __post_init__(self) -> None:
        if self.scope not in ("marked", "undecided", "all"):
            raise RecipeError([f"judge_scope: {self.scope!r} is unknown; use marked, undecided or all"])
        if not 0 <= self.max_failures <= 1:
            raise RecipeError([f"max_judge_failures: {self.max_failures} is no share; give a number from 0 to 1"])

    @classmethod
    def from_endpoint(
        cls, model: str, *, scope: JudgeScope = "marked", max_failures: float = 0.01, **options: Any
    ) -> ModelJudge:
        """From the arguments of [`~trl_r1.rewards.get_judge_reward`]."""
        reward = get_judge_reward(model, **{"deadline": NO_DEADLINE, **options})
        return cls(reward=reward, scope=scope, max_failures=max_failures)

    @property
    def endpoint(self) -> Endpoint:
        """Whom to ask."""
        return self.reward.endpoint

    @property
    def identity(self) -> dict[str, Any]:
        """What decides its verdicts, as JSON."""
        endpoint = self.endpoint
        return {
            "model": endpoint.model,
            "base_url": endpoint.base_url,
            "options": endpoint.options,
            "instructions_sha256": self.instructions_sha256,
            "scope": self.scope,
        }

    @property
    def instructions_sha256(self) -> str:
        """Hash of what the judge is told."""
        return hashlib.sha256(self.reward.instructions.encode()).hexdigest()

    def takes(self, row: Mapping[str, Any], judgement: Judgement | None) -> bool:
        """Whether it judges the answers to a row, given what the rule for the row said."""
        if row.get("solution") is None:
            return False
        undecided = judgement is None or judgement.verdict is Verdict.UNDECIDABLE
        return route_of(row) == JUDGE or self.scope == "all" or (self.scope == "undecided" and undecided)

    def question(self, sample: JudgedSample) -> Messages | None:
        """What it is asked about an answer; `None` for one that is wrong unasked: empty, or longer than 20,000."""
        answer = sample.parsed.answer or ""
        if not answer or len(answer) > MAX_ANSWER_CHARS:
            return None
        return self.reward.messages(sample.row["problem"], str(sample.row["solution"]), answer)

    def judge(self, name: str, sample: JudgedSample, replies: Replies) -> Judgement:
        """Its verdict; undecidable, with the reason, where it gave none."""
        if self.question(sample) is None:
            return Judgement(Verdict.WRONG, "no answer that can be judged", JUDGE)
        if name not in replies.texts:
            return Judgement(Verdict.UNDECIDABLE, failure_code(replies.failures.get(name, "not asked")), JUDGE)
        reward, analysis = read_verdict(replies.texts[name])
        return Judgement(Verdict.CORRECT if reward else Verdict.WRONG, analysis, JUDGE)


def check_verdict(kind: str, reply: str) -> None:
    """Refuse a reply that is no verdict, as [`~trl_r1.rewards.judge.read_verdict`] does."""
    read_verdict(reply)
