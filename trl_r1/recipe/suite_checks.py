"""Check the suites of an evaluation recipe: benchmarks, modes, metrics at k, and ways to ask."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, get_args

from trl_r1.errors import R1Error
from trl_r1.presets import nearest
from trl_r1.recipe.variant_checks import YAML_ENDS, instruction_problems, variant_names, variants_problems
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.user_code import find_file
from trl_r1.verifiers.verdict import VerifierName


MODE_SHORTCUTS: Final = ("num_samples", "temperature", "top_p")  # of the one mode of a suite that names a benchmark
BENCHMARK_FIXES: Final = (
    *("dataset_name", "dataset_config", "split", "dataset_prompt_column", "dataset_solution_column"),
)
SUITE_VERIFIERS: Final = ("auto", *get_args(VerifierName))
SUITE_FIELDS: Final = (
    *("name", "benchmark", "data_files", *MODE_SHORTCUTS, "dataset_name", "dataset_config", "split", "modes"),
    *("group_by", "metrics", "max_rows", "dataset_prompt_column", "dataset_solution_column"),
    *("language_ignored_tokens", "max_completion_length", "verifier", "task_id", "instruction", "system_prompt"),
    *("cluster_by", "pass_at", "cons_at", "prompt_variants"),
)
DEFAULT_MODES: Final = ("sampled", "greedy")  # of a suite that names none
BENCHMARK_MODES: Final = ("sampled",)
BUILT_IN_METRICS: Final = (
    *("accuracy", "well_formed", "language_consistency", "mixed", "chain_tokens", "completion_tokens", "reflections"),
    "truncated",
)
_MODE_FIELDS: Final = ("temperature", "top_p", "prefill", "prefill_column", "num_samples", "max_completion_length")
_COUNTS: Final = ("max_rows", "max_completion_length")
GYM: Final = "reasoning_gym/"  # before the name of a family of puzzles
_DEFINITIONS: Final = Path(str(files("trl_r1"))) / "evaluation" / "benchmarks" / "definitions"


def benchmark_names() -> list[str]:
    """Names of the built-in benchmarks, without importing what loads them."""
    return sorted(path.stem for path in _DEFINITIONS.glob("*.yaml"))


def name_of(suite: Mapping[str, Any]) -> Any:
    """The name of a suite's entry: its own, or that of its benchmark."""
    benchmark = suite.get("benchmark")
    if suite.get("name") is not None or not isinstance(benchmark, str):
        return suite.get("name")
    return _definition(benchmark).get("name", Path(benchmark).stem if benchmark.endswith(YAML_ENDS) else benchmark)


def modes_of(suite: Mapping[str, Any]) -> list[str]:
    """The names of a suite's modes."""
    if isinstance(suite.get("modes"), Mapping):
        return [str(mode) for mode in suite["modes"]]
    return list(BENCHMARK_MODES if suite.get("benchmark") else DEFAULT_MODES)


def metrics_of(suite: Mapping[str, Any]) -> list[str]:
    """The names under which a suite's metrics are recorded: of a function, its own name."""
    given = suite.get("metrics")
    if not isinstance(given, (list, tuple)) or not given:
        return list(BUILT_IN_METRICS)
    return [str(name).rpartition(":" if ":" in str(name) else ".")[2] for name in given]


def variants_of(suite: Mapping[str, Any]) -> list[str]:
    """The names of a suite's ways to ask; none where it has but one."""
    given = suite.get("prompt_variants")
    return [] if given is None else variant_names(given)


def file_name_of(name: str) -> str:
    """A name as part of a file's: letters, digits, dots and underscores."""
    return "".join(c if c.isalnum() or c in "._" else "_" for c in name)


def suite_entry_problems(where: str, suite: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a suite beside the type of its texts, a line each."""
    if suite.get("verifier") not in (None, *SUITE_VERIFIERS):
        hint = nearest(str(suite["verifier"]), SUITE_VERIFIERS)
        yield f"{where}.verifier: {suite['verifier']!r} is none of {SUITE_VERIFIERS}{'; ' + hint if hint else ''}"
    if suite.get("benchmark") is not None:
        yield from _benchmark_problems(where, suite)
    elif suite.get("data_files") is not None:
        yield f"{where}.data_files: they are rows of a benchmark; name it, or give the folder as dataset_name"
    else:
        yield from (
            f"{where}.{name}: it is of a mode; write modes: {{sampled: {{{name}: {suite[name]}}}}}"
            for name in MODE_SHORTCUTS
            if suite.get(name) is not None
        )
    yield from instruction_problems(where, suite)
    yield from _modes_problems(where, suite)
    for name in _COUNTS:
        yield from _count_problems(where, name, suite)
    for name in ("pass_at", "cons_at"):
        yield from _k_problems(where, name, suite)
    yield from variants_problems(f"{where}.prompt_variants", suite.get("prompt_variants"))
    yield from _metric_problems(f"{where}.metrics", suite.get("metrics"))


def mode_problems(where: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the settings of a mode, a line each."""
    for name in settings:
        if name not in _MODE_FIELDS:
            yield f"{where}.{name}: no such field; {nearest(str(name), _MODE_FIELDS) or 'use ' + _list(_MODE_FIELDS)}"
    temperature, top_p, samples = (settings.get(name, 1) for name in ("temperature", "top_p", "num_samples"))
    if not is_number(temperature) or not 0 <= temperature < float("inf"):
        yield f"{where}.temperature: {temperature!r} is not a number of at least 0"
    if not is_number(top_p) or not 0 < top_p <= 1:
        yield f"{where}.top_p: {top_p!r} is not a number above 0 and at most 1"
    if not _is_count(samples):
        yield f"{where}.num_samples: {samples!r} is not a whole number of at least 1"
    elif temperature == 0 and samples > 1:
        yield f"{where}.num_samples: {samples} copies of one greedy answer; set it to 1 or the temperature above 0"
    yield from _count_problems(where, "max_completion_length", settings)
    for name in ("prefill", "prefill_column"):
        if not isinstance(settings.get(name), (str, type(None))):
            yield f"{where}.{name}: {settings[name]!r} is not text; put it in quotes"


def is_number(value: Any) -> bool:
    """Whether a value is a number; yes and no are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _benchmark_problems(where: str, suite: Mapping[str, Any]) -> Iterator[str]:
    name = suite["benchmark"]
    if not isinstance(name, str) or not name:
        yield f"{where}.benchmark: {name!r} is not text; give a name or a YAML file"
        return
    known = benchmark_names()
    if name.endswith(YAML_ENDS):
        if not find_file(name).is_file():
            yield f"{where}.benchmark: there is no file {name!r}; give a YAML file, or one of {_list(known)}"
    elif name.startswith(GYM):
        yield from _family_problems(where, name)
    elif name not in known:
        yield f"{where}.benchmark: {name!r} is unknown; {nearest(name, known) or 'use one of ' + _list(known)}"
    for field in BENCHMARK_FIXES:
        if suite.get(field) is not None:
            yield f"{where}.{field}: it is the benchmark's to say; leave it out, or leave benchmark out"
    for field in MODE_SHORTCUTS:
        if suite.get(field) is not None and suite.get("modes") is not None:
            yield f"{where}.{field}: it has no effect beside modes; set it in a mode"
    yield from mode_problems(where, {field: suite[field] for field in MODE_SHORTCUTS if suite.get(field) is not None})


def _family_problems(where: str, name: str) -> Iterator[str]:
    """Whether reasoning-gym has a family of puzzles."""
    from trl_r1.verifiers.reasoning_gym import require_reasoning_gym

    try:
        require_reasoning_gym()
    except R1Error as error:
        yield f"{where}.benchmark: {name!r}: {error}"
        return
    from reasoning_gym.factory import DATASETS

    if name.removeprefix(GYM) not in DATASETS:
        hint = nearest(name.removeprefix(GYM), DATASETS) or "see reasoning_gym.factory.DATASETS for its names"
        yield f"{where}.benchmark: reasoning-gym has no family {name.removeprefix(GYM)!r}; {hint}"


def _modes_problems(where: str, suite: Mapping[str, Any]) -> Iterator[str]:
    modes = suite.get("modes")
    if modes is None:
        return
    if not isinstance(modes, Mapping) or not modes:
        yield f"{where}.modes: {modes!r} is not a mapping of names to sampling settings"
        return
    places = [file_name_of(str(mode)) for mode in modes]
    for index, (mode, settings) in enumerate(modes.items()):
        if places.index(places[index]) != index:
            yield f"{where}.modes.{mode}: another mode's file of answers would have this name too; choose another"
        if not isinstance(mode, str) or not mode:
            yield f"{where}.modes: {mode!r} is no name; put it in quotes"
        elif isinstance(settings, Mapping):
            yield from mode_problems(f"{where}.modes.{mode}", settings)
        elif settings is not None:  # nothing behind the name: all defaults
            yield f"{where}.modes.{mode}: {settings!r} is not a mapping; write {{temperature: 1.0}}"


def _count_problems(where: str, name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    if entry.get(name) is not None and not _is_count(entry[name]):
        yield f"{where}.{name}: {entry[name]!r} is not a whole number of at least 1"


def _metric_problems(where: str, given: Any) -> Iterator[str]:
    """Names of no metric; what is a function of one's own is looked for when it is loaded."""
    for name in given if isinstance(given, (list, tuple)) else []:
        if isinstance(name, str) and ":" not in name and "." not in name and name not in BUILT_IN_METRICS:
            hint = nearest(name, BUILT_IN_METRICS) or f"use one of {_list(BUILT_IN_METRICS)}, or file.py:name"
            yield f"{where}: {name!r} is unknown; {hint}"


def _k_problems(where: str, name: str, suite: Mapping[str, Any]) -> Iterator[str]:
    given, drawn = suite.get(name), samples_drawn(suite)
    if given is None:
        return
    if not isinstance(given, (list, tuple)) or not all(_is_count(k) for k in given):
        yield f"{where}.{name}: {given!r} is not a list of whole numbers of at least 1; write [1, 8]"
    elif drawn is not None and any(k > drawn for k in given):
        yield f"{where}.{name}: {max(given)} is more than the {drawn} samples drawn; lower it or raise num_samples"


def samples_drawn(suite: Mapping[str, Any]) -> int | None:
    """Samples a question in the mode that draws most; `None` where that cannot be told."""
    modes = suite["modes"].values() if isinstance(suite.get("modes"), Mapping) else [suite]
    own: Any = 1
    if suite.get("benchmark") is not None:
        definition = _definition(suite["benchmark"])
        own = definition.get("num_samples", 1) if definition else None  # one that there is not is told elsewhere
    drawn = [_first(mode.get("num_samples"), 1 if mode.get("temperature") == 0 else own) for mode in _mappings(modes)]
    return max(drawn) if drawn and all(_is_count(number) for number in drawn) else None


def _mappings(modes: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    yield from (mode if isinstance(mode, Mapping) else {} for mode in modes)


def _first(given: Any, otherwise: Any) -> Any:
    return otherwise if given is None else given


def held_out_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with evaluations during training, a line each."""
    for index, suite in enumerate(values["evaluation_suites"]):
        where = f"evaluation_suites[{index}]"
        unknown = [name for name in suite if name not in SUITE_FIELDS]
        yield from (f"{where}.{name}: no such field; {nearest(str(name), SUITE_FIELDS)}" for name in unknown)
        if suite.get("dataset_name") is None and suite.get("benchmark") is None:
            yield f"{where}.dataset_name: missing; every suite needs one, or a benchmark"
        elif not isinstance(name_of(suite), str):
            yield f"{where}.name: {name_of(suite)!r} is not text; every suite needs one"
        yield from suite_entry_problems(where, suite)
    for name in ("evaluation_every", "evaluation_max_completion_length"):
        if values[name] is not None and values[name] < 1:
            yield f"{name}: {values[name]} must be at least 1"


def augmentation_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with how training prompts are varied, a line each."""
    bank, copies = values["prompt_augmentation"], values["prompt_augmentation_copies"]
    if bank is not None:
        yield from variants_problems("prompt_augmentation", bank)
    elif copies != 1:
        yield f"prompt_augmentation_copies: {copies} has no effect without prompt_augmentation; name a bank"
    if copies < 1:
        yield f"prompt_augmentation_copies: {copies} must be at least 1"
    elif bank is not None and copies > len(names := variant_names(bank)) > 0:
        yield f"prompt_augmentation_copies: {copies} must lie between 1 and the number of variants, {len(names)}"


def _definition(benchmark: Any) -> Mapping[str, Any]:
    """What a benchmark's file says; nothing where there is none, or it cannot be read, which is told elsewhere."""
    if not isinstance(benchmark, str):
        return {}
    own = Path(benchmark) if benchmark.endswith(YAML_ENDS) else _DEFINITIONS / f"{benchmark}.yaml"
    try:
        content = load_yaml(own) if find_file(own).is_file() else {}
    except R1Error:
        return {}
    return content


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _list(names: Collection[str]) -> str:
    return ", ".join(names)
