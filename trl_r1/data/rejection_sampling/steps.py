"""The work on one batch of samples: judge and filter, write anew, verify again. Each is a step of a job."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa

from trl_r1.chat_template import ParsedCompletion, ResponseFormat, ThinkParser
from trl_r1.data.filters import RejectionFilters, count_tokens, find_problem, format_problem
from trl_r1.data.judging import JUDGE, JudgedSample, judge_by_row, response_text, route_of
from trl_r1.data.rejection_sampling.judge import ModelJudge, check_verdict
from trl_r1.data.rejection_sampling.replies import Replies
from trl_r1.data.rejection_sampling.result import OutputFormat
from trl_r1.data.rejection_sampling.rewriting import Rewriting, Rewritten
from trl_r1.generation import Completion
from trl_r1.generation.plan import SampleRow
from trl_r1.rewards.completions import parse_completions
from trl_r1.stage_record import hash_json
from trl_r1.verifiers import Judgement, Verdict


Batch = Sequence[tuple[SampleRow, Completion]]

OUTCOMES: Final = pa.schema(
    [
        ("prompt", pa.int64()),
        ("sample", pa.int64()),
        ("reason", pa.string()),  # why it is dropped; none where it is kept
        ("text", pa.string()),  # the response, of a kept one
        ("verdict", pa.string()),
        ("verifier", pa.string()),
        ("seed", pa.int64()),
        ("tokens", pa.int64()),  # of the completion, the end token included
        ("reasoning_tokens", pa.int64()),  # of a kept one, of the text above; none without a tokenizer
        ("answer_tokens", pa.int64()),
        ("problem_key", pa.binary()),  # the same for equal problems
        ("text_key", pa.binary()),  # the same for responses that differ in spaces alone
        ("domain", pa.string()),
    ]
)
REWRITTEN: Final = pa.schema(
    [("prompt", pa.int64()), ("sample", pa.int64()), ("text", pa.string()), ("reason", pa.string())]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """
    Parses, judges and filters the samples of a batch.

    Args:
        questions (`Sequence[Mapping[str, Any]]`):
            By the number of their prompt.
        filters ([`RejectionFilters`]):
            What to keep.
        tokenizer (*optional*):
            Counts tokens.
        judge ([`ModelJudge`], *optional*):
            For what no rule decides.
        replies (`Path`):
            Folder of models' replies.
    """

    questions: Sequence[Mapping[str, Any]]
    filters: RejectionFilters
    tokenizer: Any
    judge: ModelJudge | None
    replies: Path

    def work(self, index: int, batch: Batch) -> list[dict[str, Any]]:
        """The outcome of every sample of a batch."""
        samples = self.parse(batch)
        judged = self.judge_all(samples, index, "verdicts")
        return [
            self.outcome(row, sample, find_problem(sample, self.filters, self.tokenizer), sample.text.strip())
            for (row, _), sample in zip(batch, judged, strict=True)
        ]

    def parse(self, batch: Batch) -> list[JudgedSample]:
        """Samples without a verdict yet."""
        rows = {number: self.questions[number] for number in dict.fromkeys(row.prompt for row, _ in batch)}
        texts = [response_text(rows[row.prompt], "", completion.text) for row, completion in batch]
        formats = [rows[row.prompt].get("response_format") for row, _ in batch]
        parsed = parse_completions(texts, None, formats)
        return [
            JudgedSample(
                row=rows[row.prompt],
                sample_index=row.sample,
                prefill="",
                text=text,
                parsed=read,
                judgement=None,
                completion=completion,
                verifier=route_of(rows[row.prompt]),
            )
            for (row, completion), text, read in zip(batch, texts, parsed, strict=True)
        ]

    def judge_all(self, samples: Sequence[JudgedSample], index: int, kind: str) -> list[JudgedSample]:
        """The samples with their verdicts, by the rule of their row or by the judge."""
        found = judge_by_row([sample.row for sample in samples], [sample.parsed for sample in samples])
        judged = [dataclasses.replace(s, judgement=judgement) for s, judgement in zip(samples, found, strict=True)]
        if self.judge is None:
            return judged
        names = {
            f"verdict:{place}": place
            for place, sample in enumerate(judged)
            if self.judge.takes(sample.row, sample.judgement) and self._worth_asking(sample)
        }
        questions = {name: m for name, place in names.items() if (m := self.judge.question(judged[place])) is not None}
        replies = Replies(self._replies_path(kind, index, self.judge.identity, names, samples))
        limit = self.judge.max_failures
        replies.ask(self.judge.endpoint, lambda _: questions, check_verdict, limit, "judge")
        for name, place in names.items():
            verdict = self.judge.judge(name, judged[place], replies)
            judged[place] = dataclasses.replace(judged[place], judgement=verdict, verifier=JUDGE)
        return judged

    def outcome(self, row: SampleRow, sample: JudgedSample, reason: str | None, text: str) -> dict[str, Any]:
        """What became of a sample, as the job keeps it."""
        kept = reason is None
        counted = kept and self.tokenizer is not None
        domain = sample.row.get(self.filters.domain_column)
        return {
            "prompt": row.prompt,
            "sample": row.sample,
            "reason": reason,
            "text": text if kept else None,
            "verdict": sample.judgement.verdict.value if sample.judgement else None,
            "verifier": sample.verifier if sample.judgement else None,
            "seed": sample.completion.seed,
            "tokens": sample.completion.num_tokens,
            "reasoning_tokens": count_tokens(sample.parsed.reasoning or "", self.tokenizer) if counted else None,
            "answer_tokens": count_tokens(sample.parsed.answer or "", self.tokenizer) if counted else None,
            "problem_key": key_of(sample.row["problem"]),
            "text_key": key_of(" ".join(sample.row["problem"].split()), " ".join(text.split())) if kept else None,
            "domain": None if domain is None else str(domain),
        }

    def _worth_asking(self, sample: JudgedSample) -> bool:
        """Whether the judge's verdict can make a difference: what is malformed is dropped before it is looked at."""
        return not (self.filters.keep_well_formed and format_problem(sample))

    def _replies_path(
        self, kind: str, index: int, identity: Any, names: Mapping[str, int], samples: Sequence[JudgedSample]
    ) -> Path:
        """Where the replies about a batch are kept: of these very answers, asked of this very judge."""
        asked = {name: [samples[place].row["problem"], samples[place].text] for name, place in names.items()}
        return self.replies / kind / f"{index:08}-{hash_json([identity, asked])[:12]}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revising:
    """
    Writes the kept samples of a batch anew, and verifies what became of them.

    Args:
        judging ([`Judging`]):
            Judged them first.
        rewriting ([`Rewriting`]):
            Writes them.
        output_format (`"messages"` or `"prompt_completion"`):
            Form of the rows: chat rows are in R1's format, whatever the teacher's own is.
    """

    judging: Judging
    rewriting: Rewriting
    output_format: OutputFormat

    def write(self, index: int, batch: Batch, outcomes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What became of every kept sample of a batch."""
        samples = self._kept(batch, outcomes)
        written = self._write(samples, index)
        rows = {name_of(row): row for row, _ in batch}
        return [
            {"prompt": rows[name].prompt, "sample": rows[name].sample, "text": made.text, "reason": made.reason}
            for name, made in written.items()
        ]

    def verify(
        self,
        index: int,
        batch: Batch,
        outcomes: Sequence[Mapping[str, Any]],
        written: Sequence[Mapping[str, Any]],
    ) -> list[dict[str, Any]]:
        """The outcome of every sample of a batch, with the new responses of those that are still kept."""
        samples = self._kept(batch, outcomes)
        texts = {name_of(SampleRow(row["prompt"], row["sample"])): row for row in written}
        fresh = {name: self._reparse(samples[name], row["text"]) for name, row in texts.items() if row["text"]}
        judged = dict(zip(fresh, self.judging.judge_all(list(fresh.values()), index, "again"), strict=True))
        revised = []
        for (row, _), outcome in zip(batch, outcomes, strict=True):
            name = name_of(row)
            if name not in samples:
                revised.append(dict(outcome))
                continue
            new = judged.get(name, samples[name])
            reason = self._problem(samples[name], new, texts[name])
            revised.append(self.judging.outcome(row, new, reason, new.text.strip()))
        return revised

    def _kept(self, batch: Batch, outcomes: Sequence[Mapping[str, Any]]) -> dict[str, JudgedSample]:
        """The samples kept so far, by name, with their verdicts."""
        kept = [(pair, outcome) for pair, outcome in zip(batch, outcomes, strict=True) if outcome["reason"] is None]
        samples = self.judging.parse([pair for pair, _ in kept])
        return {
            name_of(row): dataclasses.replace(sample, judgement=_judgement(outcome), verifier=outcome["verifier"])
            for ((row, _), outcome), sample in zip(kept, samples, strict=True)
        }

    def _write(self, samples: Mapping[str, JudgedSample], index: int) -> dict[str, Rewritten]:
        writer = self.rewriting
        if writer.endpoint is None or not samples:
            return writer.write(samples, Replies())
        asked = {name: [sample.row["problem"], sample.text] for name, sample in samples.items()}
        place = f"{index:08}-{hash_json([writer.identity, asked])[:12]}.json"
        replies = Replies(self.judging.replies / writer.label / place)
        replies.ask(
            writer.endpoint,
            lambda known: writer.plan(samples, known),
            writer.check,
            writer.max_failures,
            "rewriting by",
        )
        return writer.write(samples, replies)

    def _reparse(self, sample: JudgedSample, text: str) -> JudgedSample:
        """The sample with the new response, without a verdict."""
        name = cast(ResponseFormat, sample.row.get("response_format") or "r1")
        parser = ThinkParser("r1" if self.output_format == "messages" else name)
        parsed = parser.parse(text)
        return dataclasses.replace(
            sample, text=text, parsed=parsed, judgement=None, verifier=route_of(sample.row), prefill=""
        )

    def _problem(self, old: JudgedSample, new: JudgedSample, row: Mapping[str, Any]) -> str | None:
        """Why the new response is not kept."""
        label = self.rewriting.label
        if row["text"] is None:
            return f"{label}:{row['reason']}"
        parsed: ParsedCompletion = new.parsed
        if parsed.defects:
            return f"{label}:malformed:{parsed.defects[0]}"
        if (problem := self.rewriting.find_problem(old, parsed)) is not None:
            return f"{label}:{problem}"
        if old.correct and not new.correct:
            undecided = new.judgement is not None and new.judgement.verdict is Verdict.UNDECIDABLE
            return f"{label}:undecidable" if undecided else f"{label}:not_correct"
        return None


def name_of(row: SampleRow) -> str:
    """A sample's name in a batch."""
    return f"{row.prompt}.{row.sample}"


def key_of(*parts: str) -> bytes:
    """A short key that tells texts apart."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _judgement(outcome: Mapping[str, Any]) -> Judgement | None:
    return None if outcome["verdict"] is None else Judgement(Verdict(outcome["verdict"]), "", "earlier")
