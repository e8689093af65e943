"""What is asked (suites of questions), how it is answered (modes) and of whom (checkpoints), as recipes say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trl_r1.chat_template import load_template
from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.errors import R1Error, RecipeError
from trl_r1.evaluation.entries import build_entry, read_variants, with_benchmark
from trl_r1.generation import GenerationEngine, SamplingParameters
from trl_r1.generation.engine_loading import load_engine
from trl_r1.recipe.suite_checks import SUITE_VERIFIERS
from trl_r1.recipe.variant_checks import PROBLEM_FIELD
from trl_r1.script_arguments import EngineArguments
from trl_r1.verifiers.verdict import VerifierName


SuiteVerifier = Literal["auto"] | VerifierName


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
        verifier (`str`, *optional*, defaults to `"math"`, of a benchmark to its own):
            What `accuracy` means: `"math"` compares the answer with the solution, `"repair"` applies the patch to the
            row's `repair_task` and runs its hidden tests in the sandbox, `"auto"` does what each row's columns ask for
            (see [`~trl_r1.data.judging.route_of`]).
        benchmark (`str`, *optional*):
            Name or file of a [`Benchmark`] instead of `dataset_name`: what is not given here is the benchmark's.
        data_files (`str`, *optional*):
            Local rows of the benchmark, instead of those on the Hub.
        instruction (`str`, *optional*, defaults to `"{problem}"`, of a benchmark to its own):
            What is said around the question, which stands in the place of `{problem}`.
        system_prompt (`str`, *optional*):
            First message of the chat. The paper uses none.
        cluster_by (`str`, *optional*):
            Column whose values name questions that are not independent of one another: intervals allow for it.
        pass_at (`tuple[int, ...]`, *optional*):
            The k of every `pass@k`; at most the number of samples.
        cons_at (`tuple[int, ...]`, *optional*):
            The k of every `cons@k`, the majority's answer.
        prompt_variants (`tuple[PromptVariant, ...]`, *optional*):
            Ways to ask, each measured by itself. A variant stands in the place of `instruction` and `system_prompt`.
        task_id (`str`, *optional*):
            What the benchmark of a Hub dataset calls this task, for the results on the Hub; by default
            `dataset_config`, or `"default"` without one.
    """

    name: str
    dataset_name: str | None = None
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
    verifier: SuiteVerifier = "math"
    task_id: str | None = None
    benchmark: str | None = None
    data_files: str | None = None
    instruction: str = PROBLEM_FIELD
    system_prompt: str | None = None
    cluster_by: str | None = None
    pass_at: tuple[int, ...] = ()
    cons_at: tuple[int, ...] = ()
    prompt_variants: tuple[PromptVariant, ...] = ()

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> EvaluationSuite:
        """
        From a recipe's entry.

        Raises:
            [`RecipeError`]: with every field that is unknown or missing.
        """
        values = {name: value for name, value in values.items() if value is not None}
        problems: list[str] = []
        if "benchmark" in values:
            values = with_benchmark(values)
        where = f"suites.{values.get('name', '?')}"
        modes = values.pop("modes", None)
        if modes is not None:
            if not isinstance(modes, Mapping) or not modes:
                raise RecipeError([f"{where}.modes: {modes!r} is no mapping; write {{greedy: {{temperature: 0}}}}"])
            values["modes"] = {
                name: build_entry(Mode, settings or {}, f"{where}.modes.{name}", problems)
                for name, settings in modes.items()
            }
        for name in ("metrics", "language_ignored_tokens", "pass_at", "cons_at"):
            if isinstance(values.get(name), str) or not isinstance(values.get(name, ()), Iterable):
                problems.append(f"{where}.{name}: {values[name]!r} is no list; write [{values[name]}]")
            elif name in values:
                values[name] = tuple(values[name])
        if "prompt_variants" in values:
            values["prompt_variants"] = tuple(read_variants(values["prompt_variants"], f"{where}.prompt_variants"))
        verifier = values.get("verifier", "math")
        if verifier not in SUITE_VERIFIERS:
            problems.append(f"{where}.verifier: {verifier!r} is unknown; use one of {', '.join(SUITE_VERIFIERS)}")
        suite = build_entry(cls, values, where, problems)
        if "benchmark" not in values and not values.get("dataset_name"):
            problems.append(f"{where}.dataset_name: it is missing; every entry needs one, or a benchmark")
        if problems or suite is None:
            raise RecipeError(problems)
        return suite

    @property
    def ways_to_ask(self) -> tuple[PromptVariant, ...]:
        """The prompt variants; without any, the one the suite asks by, whose name is empty."""
        if self.prompt_variants:
            return self.prompt_variants
        return (PromptVariant(name="", instruction=self.instruction, system_prompt=self.system_prompt),)

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
            `"r1_zero"`, `"r1"` or, for a model that was never taught to think, `"plain"`: then the whole text is the
            answer. By default what goes with the kind of prompt.
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
        checkpoint = build_entry(cls, dict(values), f"checkpoints.{values.get('name', '?')}", problems)
        if problems or checkpoint is None:
            raise RecipeError(problems)
        return checkpoint

    def load(self, dtype: str = "float32", arguments: EngineArguments | None = None) -> GenerationEngine:
        """
        Load it, with its chat template.

        Args:
            dtype (`str`, *optional*, defaults to `"float32"`):
                Type of the weights.
            arguments ([`~trl_r1.script_arguments.EngineArguments`], *optional*):
                With which engine; by default with transformers, in this process.

        Raises:
            [`R1Error`]: when it cannot be loaded.
        """
        given = EngineArguments() if arguments is None else arguments
        from trl import ModelConfig

        model: Any = ModelConfig(model_name_or_path=self.path, dtype=dtype)
        model.model_revision = self.revision  # TRL's default is main, which a folder has not
        tokenizer = self.load_tokenizer(given) if self.chat_template or given.engine != "transformers" else None
        return load_engine(given, model, tokenizer)

    def load_tokenizer(self, arguments: EngineArguments | None = None) -> Any:
        """
        Its tokenizer with its chat template; `None` where a server keeps it to itself.

        Raises:
            [`R1Error`]: when it cannot be loaded, or the template not be read.
        """
        from transformers import AutoTokenizer

        path, revision = self.path, self.revision
        if arguments is not None and arguments.engine == "server":
            if arguments.server_tokenizer is None:
                return None
            path, revision = arguments.server_tokenizer, None
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(path, revision=revision)
        except (OSError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise R1Error(
                f"checkpoints.{self.name}: the tokenizer of {path!r} cannot be loaded ({reason}); give a checkpoint "
                "folder or a Hub id"
            ) from error
        if self.chat_template:
            tokenizer.chat_template = load_template(self.chat_template)
        return tokenizer
