"""What is asked (suites of questions), how it is answered (modes) and of whom (checkpoints), as recipes say it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from trl_r1.chat_template import load_template
from trl_r1.errors import RecipeError
from trl_r1.generation import SamplingParameters, TransformersEngine
from trl_r1.verifiers.verdict import VerifierName


Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """
    One way to answer a suite.

    Args:
        temperature, top_p (`float`, *optional*, defaults to `1.0`):
            Temperature 0 is greedy.
        num_samples (`int`, *optional*, defaults to `1`):
            Answers a question.
        prefill (`str`, *optional*):
            Beginning of the response, put in the policy's mouth: `"<think> a"` forces a chain of thought, which tells
            what a policy can do from what it likes to do.
        prefill_column (`str`, *optional*):
            Column with a beginning for each question, instead of one for all: a chain with a slip in it, say.
        max_completion_length (`int`, *optional*):
            Longest answer in tokens, instead of the suite's.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    num_samples: int = 1
    prefill: str = ""
    prefill_column: str | None = None
    max_completion_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSuite:
    """
    Questions, how they are answered and what is measured.

    Args:
        name (`str`):
            Key in records and reports.
        dataset_name (`str`):
            Folder of JSON lines or Hub id.
        dataset_config (`str`, *optional*):
            Configuration of a Hub dataset.
        split (`str`, *optional*, defaults to `"test"`):
            Split to ask.
        modes (`dict[str, Mode]`, *optional*):
            By name; by default `sampled` at temperature 1 and `greedy`.
        group_by (`str`, *optional*):
            Column that groups the questions in a second table, such as their difficulty.
        metrics (`tuple[str, ...]`, *optional*):
            See [`resolve_metrics`]; by default all built-in ones.
        max_rows (`int`, *optional*):
            Ask only the first questions.
        dataset_prompt_column, dataset_solution_column (`str`, *optional*):
            As in training.
        language_ignored_tokens (`tuple[str, ...]`, *optional*):
            Tokens that are no words, such as labels of operands.
        max_completion_length (`int`, *optional*):
            Longest answer in tokens, instead of the evaluation's.
        verifier (`str`, *optional*, defaults to `"math"`):
            What `accuracy` means: `"math"` compares the answer with the solution, `"repair"` applies the patch to the
            row's `repair_task` and runs its hidden tests in the sandbox.
        task_id (`str`, *optional*):
            What the benchmark of a Hub dataset calls this task, for the results on the Hub; by default
            `dataset_config`, or `"default"` without one.
    """

    name: str
    dataset_name: str
    dataset_config: str | None = None
    split: str = "test"
    modes: dict[str, Mode] = field(default_factory=lambda: {"sampled": Mode(), "greedy": Mode(temperature=0)})
    group_by: str | None = None
    metrics: tuple[str, ...] = ()
    max_rows: int | None = None
    dataset_prompt_column: str = "problem"
    dataset_solution_column: str = "solution"
    language_ignored_tokens: tuple[str, ...] = ()
    max_completion_length: int | None = None
    verifier: VerifierName = "math"
    task_id: str | None = None

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> EvaluationSuite:
        """
        From a recipe's entry.

        Raises:
            [`RecipeError`]: with every field that is unknown or missing.
        """
        values = dict(values)
        where = f"suites.{values.get('name', '?')}"
        modes = values.pop("modes", None)
        problems: list[str] = []
        if modes is not None:
            if not isinstance(modes, Mapping) or not modes:
                raise RecipeError([f"{where}.modes: {modes!r} is no mapping; write {{greedy: {{temperature: 0}}}}"])
            values["modes"] = {
                name: _build(Mode, settings or {}, f"{where}.modes.{name}", problems)
                for name, settings in modes.items()
            }
        for name in ("metrics", "language_ignored_tokens"):
            if values.get(name) is not None:
                values[name] = tuple(values[name])
            else:
                values.pop(name, None)
        verifier = values.get("verifier", "math")
        if verifier not in get_args(VerifierName):
            problems.append(
                f"{where}.verifier: {verifier!r} is unknown; use one of {', '.join(get_args(VerifierName))}"
            )
        suite = _build(cls, values, where, problems)
        if problems or suite is None:
            raise RecipeError(problems)
        return suite

    def parameters(self, mode: Mode, *, max_completion_length: int, seed: int, batch_size: int) -> SamplingParameters:
        """How to sample in a mode; the mode's limit wins over the suite's, and that over the evaluation's."""
        return SamplingParameters(
            temperature=mode.temperature,
            top_p=mode.top_p,
            num_samples=mode.num_samples,
            max_new_tokens=mode.max_completion_length or self.max_completion_length or max_completion_length,
            seed=seed,
            batch_size=batch_size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """
    A policy to measure, and how it is spoken to.

    Args:
        name (`str`):
            Key in records and reports.
        path (`str`):
            Folder or Hub id.
        revision (`str`, *optional*):
            Branch, tag or commit on the Hub.
        prompt_template (`str`, *optional*):
            Plain-text template; without it the chat template shows the question.
        chat_template (`str`, *optional*):
            Instead of the tokenizer's own.
        response_format (`str`, *optional*):
            `"r1_zero"` or `"r1"`; by default what goes with the kind of prompt.
    """

    name: str
    path: str
    revision: str | None = None
    prompt_template: str | None = None
    chat_template: str | None = None
    response_format: str | None = None

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Checkpoint:
        """
        From a recipe's entry.

        Raises:
            [`RecipeError`]: with every field that is unknown or missing.
        """
        problems: list[str] = []
        checkpoint = _build(cls, dict(values), f"checkpoints.{values.get('name', '?')}", problems)
        if problems or checkpoint is None:
            raise RecipeError(problems)
        return checkpoint

    def load(self, dtype: str = "float32") -> TransformersEngine:
        """
        Load it, with its chat template.

        Args:
            dtype (`str`, *optional*, defaults to `"float32"`):
                Type of the weights.

        Raises:
            [`R1Error`]: when it cannot be loaded.
        """
        engine = TransformersEngine.from_pretrained(self.path, revision=self.revision, dtype=dtype)
        if self.chat_template:
            engine.tokenizer.chat_template = load_template(self.chat_template)
        return engine


def _build(kind: type[Entry], values: Mapping[str, Any], where: str, problems: list[str]) -> Entry | None:
    """Build a dataclass, adding what is wrong to `problems`."""
    found = list(_field_problems(kind, values, where))
    problems += found
    return None if found else kind(**values)


def _field_problems(kind: Any, values: Mapping[str, Any], where: str) -> Iterator[str]:
    fields = {spec.name: spec for spec in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(fields)}"
            yield f"{where}.{name}: no such field; {hint}"
    for name, spec in fields.items():
        needed = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        if needed and not values.get(name):
            yield f"{where}.{name}: it is missing; every entry needs one"
