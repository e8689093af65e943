"""What the metrics of this folder share: their columns, their options, and the keys of their results."""

from __future__ import annotations

import abc
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final

import datasets
import evaluate

from trl_r1.chat_template import ParsedCompletion
from trl_r1.errors import R1Error
from trl_r1.evaluation.uncertainty import ScoreEstimate, estimate_score
from trl_r1.rewards.completions import parse_completions


PAPER: Final = """\
@article{guo2025deepseekr1,
  title = {{DeepSeek-R1}: Incentivizing Reasoning Capability in {LLMs} via Reinforcement Learning},
  author = {{DeepSeek-AI}},
  journal = {arXiv preprint arXiv:2501.12948},
  year = {2025},
}"""

# Type and meaning of every column. Verdicts are numbers: datasets reads any text, "False" too, as a true bool.
COLUMNS: Final = {
    "questions": ("large_string", "which question each answer is to: a name or a number"),
    "correct": ("float64", "whether each answer is right, 0 or 1; None where that could not be decided"),
    "answers": ("large_string", "value of each answer in a normal form; None where it gives none"),
    "predictions": ("string", "the responses, thoughts and answer"),
    "problems": ("string", "the bare questions, whose language the thoughts should be in"),
    "completion_tokens": ("float64", "tokens written for each answer"),
    "think_tokens": ("float64", "tokens of each chain of thought; 0 without one"),
}
NULLABLE: Final = {"correct", "answers", "think_tokens"}
OPTIONS: Final = {
    "clusters": "from question to what it shares with those it is not independent of; each by itself by default",
    "pass_at": "k, or several",
    "cons_at": "k, or several; all answers to a question by default",
    "prompt_tail": "end of every prompt, where a think tag may have been opened",
    "response_format": '"r1" (default), "r1_zero" or "plain"',
    "language": "two-letter code of the language to think in; that of the question by default",
    "ignored_tokens": "tokens that are no words, such as labels of operands",
}


class AnswerMetric(evaluate.Metric, abc.ABC):  # type: ignore[misc]  # evaluate has no types
    """
    A metric of several answers to each of some questions.

    Subclasses say which columns and options they take, and measure. It is abstract, so that `evaluate.load`, which
    takes the first metric it finds in a script, does not take this one.
    """

    columns: ClassVar[tuple[str, ...]]
    options: ClassVar[tuple[str, ...]] = ()
    reference: ClassVar[str] = "https://arxiv.org/abs/2501.12948"
    citation_text: ClassVar[str] = PAPER

    @abc.abstractmethod
    def measure(self, given: Given) -> dict[str, ScoreEstimate | float | None]:
        """The scores by name; a number without an interval, and `None` where there is none."""

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """
        Add a batch of answers.

        Args:
            predictions (`Sequence[str]`, *optional*):
                Responses, where the metric reads them.
            references (`None`):
                Taken for the sake of [`evaluate.combine`]; the metric has none.
            **kwargs:
                The other columns.

        Raises:
            [`R1Error`]: when a column is missing, empty, or of another length than the others.

        """
        batch = {"predictions": predictions, **kwargs}
        _check_columns({name: batch.get(name) for name in self.columns})
        # no super(): evaluate copies this method, and binds the copy
        evaluate.Metric.add_batch(
            self,
            **{name: value for name, value in batch.items() if name in self.columns or name not in COLUMNS},
        )

    def _info(self) -> evaluate.MetricInfo:
        lines = [f"    {name}: {COLUMNS[name][1]}" for name in self.columns]
        lines += [f"    {name} (optional): {OPTIONS[name]}" for name in ("clusters", *self.options)]
        return evaluate.MetricInfo(
            description=(self.__doc__ or "").strip(),
            citation=self.citation_text,
            inputs_description="\n\n".join(["", "Columns, one value an answer, and options:", "\n".join(lines)]),
            features=datasets.Features({name: datasets.Value(COLUMNS[name][0]) for name in self.columns}),
            reference_urls=[self.reference],
        )

    def _compute(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict[str, Any]:
        unknown = [name for name in kwargs if name not in COLUMNS and name not in OPTIONS]
        if unknown:
            allowed = ", ".join(("clusters", *self.options))
            raise R1Error(f"{unknown[0]}: {self.name} has no such column or option; its options are {allowed}")
        columns = {"predictions": predictions, **kwargs}
        # columns and options of the metrics that this one is combined with are none of its business
        given = Given(
            {name: list(columns[name]) for name in self.columns},
            {name: kwargs[name] for name in OPTIONS if kwargs.get(name) is not None},
        )
        result: dict[str, Any] = {}
        for name, found in self.measure(given).items():
            result |= _flat(name, found)
        if "correct" in self.columns:
            result[f"{self.name}_undecided"] = given.undecided
        return result


class Given:
    """
    The columns and options a metric was given.

    Args:
        columns (`Mapping[str, list]`):
            By name.
        options (`Mapping[str, Any]`):
            Those that were given.

    Raises:
        [`R1Error`]: when a value is `None` where there must be one, or a verdict is not 0, 1 or `None`.
    """

    def __init__(self, columns: Mapping[str, list[Any]], options: Mapping[str, Any]) -> None:
        self.columns = columns
        self.options = options
        self.questions: list[str] = columns["questions"]
        for name in columns.keys() - NULLABLE:
            nulls = sum(value is None for value in columns[name])
            if nulls:
                raise R1Error(f"{name}: {nulls} of {len(self.questions)} are None; give one value an answer")
        wrong = [value for value in columns.get("correct", []) if value not in (0, 1, None)]
        if wrong:
            raise R1Error(f"correct: {wrong[0]} is no verdict; give 0, 1, or None where it could not be decided")
        self.undecided = sum(value is None for value in columns.get("correct", []))

    @property
    def clusters(self) -> dict[str, Hashable] | None:
        """From question to cluster, questions by the names that the column holds."""
        given = self.options.get("clusters")
        if given is None:
            return None
        clusters = {str(question): cluster for question, cluster in given.items()}
        missing = [name for name in dict.fromkeys(self.questions) if name not in clusters]
        if missing:
            raise R1Error(f"clusters: {len(missing)} questions are in none, such as {missing[0]!r}; name one for each")
        return clusters

    def numbers(self, option: str) -> list[int]:
        """An option that is a number, or several."""
        value = self.options.get(option)
        if value is None:
            return []
        return list(value) if isinstance(value, Iterable) else [value]

    def by_question(self, column: str) -> dict[str, list[Any]]:
        """The values of the decided answers to each question."""
        grouped: dict[str, list[Any]] = {}
        for name, value, verdict in zip(self.questions, self.columns[column], self.columns["correct"], strict=True):
            if verdict is not None:
                grouped.setdefault(name, []).append(value)
        return grouped

    @cached_property
    def rights(self) -> dict[str, list[bool]]:
        """Whether each decided answer is right, by question."""
        return {name: [value == 1 for value in own] for name, own in self.by_question("correct").items()}

    def check_decided(self) -> None:
        """
        Refuse verdicts of which no score can be made.

        Raises:
            [`R1Error`]: when no answer is decided.
        """
        if not self.rights:
            raise R1Error("correct: no answer is decided; give 0 or 1 for some")

    def parsed(self) -> list[ParsedCompletion]:
        """The responses, split into thoughts and answer."""
        texts = self.columns["predictions"]
        tail, name = self.options.get("prompt_tail"), self.options.get("response_format")
        return parse_completions(texts, [tail] * len(texts), [name] * len(texts))

    def mean(self, values: Sequence[float | None], *, share: bool) -> ScoreEstimate | None:
        """Of a share or a count an answer; where it is `None` the answer has none. `None` where no answer has one."""
        pairs = [(name, float(value)) for name, value in zip(self.questions, values, strict=True) if value is not None]
        if not pairs:
            return None
        names, numbers = zip(*pairs, strict=True)
        return estimate_score(numbers, names, clusters=self.clusters, share=share, count=not share)


def _check_columns(batch: Mapping[str, Any]) -> None:
    missing = [name for name, values in batch.items() if values is None]
    if missing:
        raise R1Error(f"{', '.join(missing)}: missing; give one value an answer")
    lengths = {name: len(values) for name, values in batch.items()}
    if len(set(lengths.values())) > 1:
        raise R1Error(f"columns of different lengths: {lengths}; give one value an answer in each")
    if not all(lengths.values()):
        raise R1Error(f"{', '.join(lengths)}: empty; give at least one answer")


def _flat(name: str, found: ScoreEstimate | float | None) -> dict[str, Any]:
    """A score as entries of a result: its value under its own name, the rest behind it."""
    if not isinstance(found, ScoreEstimate):
        return {name: found}
    rest = found.to_dict()
    value = rest.pop("value")
    return {name: value, **{f"{name}_{field}": entry for field, entry in rest.items()}}
