r"""
A model that writes R1-Zero's samples anew: the reasoning first, then the summary.

After the paper (DeepSeek-R1 v2, B.3.2): DeepSeek-V3 rewrites reasoning and summary, thinking in mixed languages is put
into the question's, and a summary takes the place of R1-Zero's bare answer. Nothing of how its results were checked is
published; here each is parsed, held against the sample it comes from, and verified again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trl_r1.chat_template import THINK_CLOSE, ParsedCompletion, join_response
from trl_r1.data.cold_start.examples import RewriteExample
from trl_r1.data.cold_start.faithfulness import comment_problem, length_problem, number_problem
from trl_r1.data.cold_start.instructions import ask_for_reasoning, ask_for_summary, instructions_sha256
from trl_r1.data.filters import language_of
from trl_r1.data.judging import JudgedSample, route_of
from trl_r1.data.rejection_sampling import Replies, Rewritten
from trl_r1.data.rejection_sampling.judge import NO_DEADLINE
from trl_r1.data.rejection_sampling.replies import failure_code
from trl_r1.rewards.endpoint import Endpoint, Messages
from trl_r1.rewards.words import count_words
from trl_r1.stage_record import hash_json, plain_json
from trl_r1.verifiers import Verdict, verify_math
from trl_r1.verifiers.answers.extraction import gradable_answer, last_box
from trl_r1.verifiers.choice import verify_choice


@dataclass(frozen=True, kw_only=True)
class ModelRewriting:
    """
    Rewriting of kept samples by a model behind an endpoint; an argument `refine` of [`build_cold_start`].

    Args:
        endpoint ([`~trl_r1.rewards.endpoint.Endpoint`]):
            The model. Make it with [`ModelRewriting.from_endpoint`].
        examples (`Sequence[RewriteExample]`, *optional*):
            Made by people, shown to the model as earlier turns.
        max_failures (`float`, *optional*, defaults to `0.01`):
            Largest share of a batch's questions that may stay without a reply; these samples are dropped with the
            reason. With more the job stops, and asks the missing ones again when it is started again.
        language_ignored_tokens (`tuple[str, ...]`, *optional*):
            Tokens that are no words.
    """

    endpoint: Endpoint
    examples: Sequence[RewriteExample] = ()
    max_failures: float = 0.01
    language_ignored_tokens: tuple[str, ...] = ()
    label: str = field(default="rewritten", init=False)

    @classmethod
    def from_endpoint(
        cls,
        model: str,
        base_url: str | None = None,
        api_key_env: str | None = None,
        *,
        examples: Sequence[RewriteExample] = (),
        max_failures: float = 0.01,
        language_ignored_tokens: tuple[str, ...] = (),
        max_tokens: int = 8192,
        temperature: float = 0.0,
        max_concurrency: int = 16,
        requests_per_minute: float | None = None,
        timeout: float = 600.0,
        max_retries: int = 5,
        backoff: float = 1.0,
    ) -> ModelRewriting:
        """
        From the address of a model; arguments as of [`~trl_r1.rewards.get_judge_reward`].

        Raises:
            [`RewardError`]: when a value is out of range.
        """
        endpoint = Endpoint(
            model=model,
            base_url=base_url,
            api_key_env=api_key_env,
            max_concurrency=max_concurrency,
            requests_per_minute=requests_per_minute,
            timeout=timeout,
            deadline=NO_DEADLINE,
            max_retries=max_retries,
            backoff=backoff,
            options={"max_tokens": max_tokens, "temperature": temperature},
        )
        return cls(
            endpoint=endpoint,
            examples=tuple(examples),
            max_failures=max_failures,
            language_ignored_tokens=language_ignored_tokens,
        )

    @property
    def author(self) -> str:
        """The model's name."""
        return self.endpoint.model

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the results, as JSON; `sha256` is of the instructions and examples."""
        import dataclasses

        shown = [dataclasses.asdict(example) for example in self.examples]
        identity: dict[str, Any] = plain_json(
            {
                "rewrite_model": self.endpoint.model,
                "base_url": self.endpoint.base_url,
                "options": self.endpoint.options,
                "sha256": hash_json([instructions_sha256(), shown]),
            }
        )
        return identity

    def plan(self, samples: Mapping[str, JudgedSample], replies: Replies) -> dict[str, Messages]:
        """The reasoning of every sample; the summary of those whose new reasoning is faithful."""
        questions = {
            f"reasoning:{name}": ask_for_reasoning(
                sample.row["problem"], sample.parsed.reasoning or "", self._language(sample), self.examples
            )
            for name, sample in samples.items()
        }
        for name, sample in samples.items():
            reply = replies.texts.get(f"reasoning:{name}")
            if reply is not None and self._reasoning_problem(sample, read_reply(reply)) is None:
                questions[f"summary:{name}"] = ask_for_summary(
                    sample.row["problem"], read_reply(reply), self._language(sample), self.examples
                )
        return questions

    def check(self, kind: str, reply: str) -> None:
        """Refuse an empty reply, which is worth asking again for; what else is wrong is counted by its reason."""
        if not read_reply(reply):
            raise ValueError("empty")

    def write(self, samples: Mapping[str, JudgedSample], replies: Replies) -> dict[str, Rewritten]:
        """The new response of each sample, or the first reason not to have one."""
        return {name: self._assemble(name, sample, replies) for name, sample in samples.items()}

    def find_problem(self, sample: JudgedSample, parsed: ParsedCompletion) -> str | None:
        """Why the summary is not to be kept."""
        return next(self._summary_problems(sample, parsed.reasoning or "", parsed.answer or ""), None)

    def _assemble(self, name: str, sample: JudgedSample, replies: Replies) -> Rewritten:
        texts = []
        for kind in ("reasoning", "summary"):
            key = f"{kind}:{name}"
            if key not in replies.texts:
                return Rewritten(reason=f"no_{kind}:{failure_code(replies.failures.get(key, 'not asked'))}")
            texts.append(read_reply(replies.texts[key]))
            if kind == "reasoning" and (problem := self._reasoning_problem(sample, texts[0])) is not None:
                return Rewritten(reason=problem)
        return Rewritten(join_response(*texts))

    def _reasoning_problem(self, sample: JudgedSample, text: str) -> str | None:
        """Why new reasoning is not that of the sample."""
        original = sample.parsed.reasoning or ""
        allowed = f"{sample.row['problem']}\n{sample.parsed.answer}"
        return (
            self._language_problem(sample, text)
            or comment_problem(original, text)
            or length_problem(original, text)
            or number_problem(original, allowed, text)
        )

    def _language_problem(self, sample: JudgedSample, text: str) -> str | None:
        target = self._language(sample)
        counts = count_words(text, target, ignored_tokens=self.language_ignored_tokens)
        if len(counts) > 1:
            return "mixed_language"
        return "other_language" if counts and target not in counts else None

    def _language(self, sample: JudgedSample) -> str:
        return language_of(sample.row, self.language_ignored_tokens)

    def _summary_problems(self, sample: JudgedSample, reasoning: str, summary: str) -> Iterator[str]:
        if (problem := self._language_problem(sample, summary) or comment_problem(reasoning, summary)) is not None:
            yield f"summary_{problem}"
        if route_of(sample.row) in ("code", "repair"):  # its answer is a program, which was verified itself
            return
        if last_box(summary) is None:
            yield "no_box"
        if not _same_answer(sample, summary):
            yield "other_answer"
        known = f"{sample.row['problem']}\n{sample.parsed.reasoning}\n{sample.parsed.answer}\n{reasoning}"
        if number_problem("", known, summary) is not None:
            yield "summary_new_numbers"


def read_reply(reply: str) -> str:
    """What a model wrote after its own thoughts, if it has any."""
    return reply.rpartition(THINK_CLOSE)[2].strip()


def _same_answer(sample: JudgedSample, summary: str) -> bool:
    """Whether the summary ends at the sample's own result."""
    box, before = last_box(summary) or "", gradable_answer(sample.parsed) or ""
    if route_of(sample.row) == "choice":
        found = verify_choice(before, str(sample.row["solution"]), sample.row.get("choices") or None)
        again = verify_choice(summary, str(sample.row["solution"]), sample.row.get("choices") or None)
        return found.verdict is again.verdict
    if "".join(box.split()) == "".join((last_box(before) or before).split()):
        return True
    return verify_math(rf"\boxed{{{box}}}", before).verdict is Verdict.CORRECT
