"""Reading the recipe's dataset, or its mixture, one source at a time so that each is counted on its own."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.data.drawing import Draw, draw_mixture
from trl_r1.data.held_out import asks_held_out, held_out_keys, question_column
from trl_r1.data.local_cache import cache_options
from trl_r1.data.rows import fingerprint_rows, is_main_process, set_column, write_jsonl
from trl_r1.errors import DataError
from trl_r1.recipe.splits import is_held_out, split_names, split_problems
from trl_r1.stage_record import DataSource, describe_data_card, is_language, plain_json


if TYPE_CHECKING:
    from datasets import Dataset
    from trl import DatasetMixtureConfig

    from trl_r1.script_arguments import R1ScriptArguments

logger = logging.getLogger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")
LANGUAGE_COLUMN = "language"
PLACE = "place_in_mixture"  # column of rows whose order a seed decides; gone when the parts are joined
SET_ASIDE = "set_aside.jsonl"  # no name `datasets` would take for a split of the folder it lies in


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSource:
    """
    A dataset as it was read.

    Args:
        name (`str`):
            Folder or Hub id.
        split (`str`):
            As the recipe has it.
        dataset ([`~datasets.Dataset`]):
            The rows offered to training.
        whole ([`~datasets.Dataset`], *optional*):
            All that was read, when that is more, or was written in another schema.
        set_aside (`dict[str, int]`, *optional*):
            Rows that were read and are not offered, by reason.
        read_with (`dict[str, Any]`, *optional*):
            Arguments of [`~datasets.load_dataset`] beside path and split.
    """

    name: str
    split: str
    dataset: Dataset
    whole: Dataset | None = None
    set_aside: dict[str, int] = field(default_factory=dict)
    read_with: dict[str, Any] = field(default_factory=dict)

    def read_split(self, split: str) -> Dataset:
        """Another split of the same data set."""
        return load_source(self.name, split, **self.read_with).dataset

    def describe(self, kept: int, dropped: dict[str, int]) -> DataSource:
        """The entry of `stage.json`, after `kept` rows were kept and the others dropped."""
        read = self.dataset if self.whole is None else self.whole
        revision = hub_revision(read)
        card = describe_data_card(self.name, revision)
        return DataSource(
            source=self.name,
            split=self.split,
            fingerprint=fingerprint_rows(read),
            rows_in=len(self.dataset) + sum(self.set_aside.values()),
            rows_kept=kept,
            dropped=dict(Counter(self.set_aside) + Counter(dropped)),
            languages=count_languages(read) or list(card.languages),
            license=card.license,
            revision=revision,
        )


def hub_revision(dataset: Dataset) -> str | None:
    """
    Commit of a Hub data set that rows were read from; `None` for local files, and for a mixture of several.

    `datasets` prepares a Hub data set in a folder named after its commit; its own record of the files it read is off
    unless checksums are asked for.
    """
    folders = {Path(file["filename"]).parent.name for file in dataset.cache_files}
    commit = folders.pop() if len(folders) == 1 else ""
    return commit if COMMIT.fullmatch(commit) else None


def count_languages(dataset: Dataset) -> list[str]:
    """Codes in the `language` column, most frequent first; names of programming languages are none."""
    if LANGUAGE_COLUMN not in dataset.column_names:
        return []
    counts = Counter(value for value in dataset[LANGUAGE_COLUMN] if isinstance(value, str) and is_language(value))
    return [language for language, _ in counts.most_common()]


def load_sources(
    script_args: R1ScriptArguments,
    dataset_args: DatasetMixtureConfig | None,
    output_dir: str | Path | None = None,
) -> list[RawSource]:
    """
    Read the training data a recipe names: `datasets` (a mixture) or `dataset_name`.

    Each entry of a mixture is a source of its own. What must not be trained on is left out here, and counted: rows a
    weight does not draw, the test part of `test_split_size`, and rows that ask a question of the source's own
    held-out splits or of `held_out_datasets`.

    Args:
        script_args ([`R1ScriptArguments`]):
            `dataset_name`, `dataset_config`, `dataset_train_split`, and how a mixture is drawn.
        dataset_args ([`~trl.DatasetMixtureConfig`], *optional*):
            The mixture.
        output_dir (`str` or `Path`, *optional*):
            Folder for the rows of the test part, `set_aside.jsonl`. By default the script arguments' own.

    Returns:
        `list[RawSource]`: never empty, each with at least one row.

    Raises:
        [`DataError`]: when no data is named, a dataset or split does not exist, one is empty, or a split is held out.
    """
    if script_args.dataset_streaming or (dataset_args is not None and dataset_args.streaming):
        raise DataError("streaming: true is not supported; rows are checked and counted before training, set it false")
    entries = _entries(script_args, dataset_args)
    for problem in split_problems({**vars(script_args), "datasets": [vars(entry) for entry in entries]}):
        raise DataError(problem)
    named = _named_keys(script_args)
    sources = [_read(entry) for entry in entries]
    test_size = dataset_args.test_split_size if dataset_args else None
    draws = draw_mixture(
        [len(source.dataset) for source in sources],
        **_shares(entries, script_args, test_size),
        seed=script_args.dataset_mixture_seed,
        test_size=test_size,
    )
    if test_size is not None:
        _write_set_aside(sources, draws, output_dir or getattr(script_args, "output_dir", None))
    column = script_args.dataset_prompt_column
    drawn = list(zip(sources, draws, strict=True))
    tested = [held_out_keys(source.dataset.select(draw.test_rows), column) for source, draw in drawn]
    named["in_test_part"] = set().union(*tested)
    offered = [_offer(source, draw, script_args) for source, draw in drawn]
    return [_without_held_out(source, {**named, **own}, column) for source, own in offered]


def _shares(entries: Sequence[Any], script_args: R1ScriptArguments, test_size: float | None) -> dict[str, Any]:
    """TRL's fractions and open-r1's weights, once they fit the mixture."""
    if test_size is not None and not 0 < test_size < 1:
        raise DataError(f"test_split_size: {test_size} must be above 0 and below 1: the share of rows to set aside")
    fractions = [entry.fraction for entry in entries if entry.fraction is not None]
    weights = script_args.dataset_mixture_weights or []
    for name, given in (("fraction", fractions), ("dataset_mixture_weights", weights)):
        if given and len(given) != len(entries):
            raise DataError(f"{name}: {len(given)} for {len(entries)} datasets; give all of them one, or none")
    if weights and script_args.dataset_mixture_seed is None:
        raise DataError("dataset_mixture_seed: missing; dataset_mixture_weights draw rows with it, such as 0")
    return {"fractions": fractions, "weights": weights}


def _entries(script_args: R1ScriptArguments, dataset_args: DatasetMixtureConfig | None) -> list[Any]:
    """The data sets a recipe names, as TRL's configuration has them."""
    from trl.scripts.utils import DatasetConfig

    if dataset_args is not None and dataset_args.datasets:
        return list(dataset_args.datasets)
    if not script_args.dataset_name:
        raise DataError("dataset_name: no data given; set dataset_name, or datasets for a mixture")
    name, split = script_args.dataset_config, script_args.dataset_train_split
    return [DatasetConfig(path=script_args.dataset_name, name=name, split=split)]


def _read(entry: Any) -> RawSource:
    files = {key: getattr(entry, key) for key in ("name", "data_dir", "data_files") if getattr(entry, key) is not None}
    source = load_source(entry.path, entry.split, **files)
    if entry.columns is None:
        return source
    try:
        return replace(source, dataset=source.dataset.select_columns(entry.columns))
    except ValueError as error:
        raise DataError(_describe_failure(entry.path, entry.split, error)) from error


def _offer(source: RawSource, draw: Draw, script_args: R1ScriptArguments) -> tuple[RawSource, dict[str, set[bytes]]]:
    """A source with the rows drawn from it, and the questions of its own held-out splits."""
    dataset = source.dataset
    own = _own_keys(source, script_args)
    in_order = len(draw.rows) == len(dataset) and bool((draw.rows == range(len(dataset))).all())
    joined = script_args.dataset_mixture_seed is not None or len(draw.test_rows) > 0
    set_aside = {"test_part": len(draw.test_rows), "not_drawn": len(dataset) - len(draw.rows) - len(draw.test_rows)}
    if len(draw.rows) == 0:
        raise DataError(
            f"datasets: none of the {len(dataset)} rows of {source.name!r} is drawn; give it a larger share"
        )
    offered = dataset if in_order else dataset.select(draw.rows)
    if joined:
        offered = set_column(offered, PLACE, draw.places.tolist())
    counts = {reason: count for reason, count in set_aside.items() if count}
    return replace(source, dataset=offered, whole=dataset, set_aside=counts), own


def _own_keys(source: RawSource, script_args: R1ScriptArguments) -> dict[str, set[bytes]]:
    """Questions of the source's held-out splits, by the reason a row that asks one is dropped for."""
    splits = source.dataset.info.splits or {}
    used = split_names(source.split)
    held_out = [name for name in splits if is_held_out(name)]
    if "all" in used and held_out and not script_args.train_on_held_out_split:
        raise DataError(
            f"split: 'all' of {source.name!r} takes in {', '.join(held_out)}, which are held out for measuring; "
            "name the others, or say why in `train_on_held_out_split`"
        )
    if script_args.train_on_held_out_split:
        held_out = [name for name in held_out if name not in used and "all" not in used]
    column, keys = script_args.dataset_prompt_column, {}
    for name in held_out:
        split = source.read_split(name)
        _check_questions(split, column, f"{source.name} ({name})")
        keys[f"in_{name}_split"] = held_out_keys(split, column)
    return keys


def _check_questions(dataset: Dataset, column: str, source: str) -> None:
    """Nothing can be left out of rows whose questions nobody knows the place of."""
    if question_column(dataset, column) is None:
        raise DataError(
            f"dataset_prompt_column: the column in which {source!r} asks its questions is not known, so that held-out "
            f"ones cannot be left out; set it to one of {', '.join(dataset.column_names)}"
        )


def _named_keys(script_args: R1ScriptArguments) -> dict[str, set[bytes]]:
    """Questions of `held_out_datasets`, by the reason a row that asks one is dropped for."""
    keys: dict[str, set[bytes]] = {}
    for index, entry in enumerate(script_args.held_out_datasets):
        unknown = entry.keys() - {"path", "name", "split", "column"}
        if unknown or not isinstance(entry.get("path"), str):
            wrong = f"{sorted(unknown)[0]}: no such field" if unknown else "path: missing"
            raise DataError(f"held_out_datasets[{index}].{wrong}; give path, and optionally name, split, column")
        config = {"name": entry["name"]} if entry.get("name") else {}
        source = load_source(entry["path"], entry.get("split", "test"), **config)
        if question_column(source.dataset, entry.get("column")) is None:
            columns = ", ".join(source.dataset.column_names)
            raise DataError(f"held_out_datasets[{index}].column: missing; name the question's, one of {columns}")
        known = keys.setdefault(f"in_{Path(entry['path']).name}", set())  # two may have the same last name
        known |= held_out_keys(source.dataset, entry.get("column"))
    return keys


def _without_held_out(source: RawSource, keys: dict[str, set[bytes]], column: str) -> RawSource:
    """The source without the rows that ask a held-out question: some public sets hold a few of their own."""
    if any(keys.values()):
        _check_questions(source.dataset, column, source.name)
    reasons: list[str | None] = [None] * len(source.dataset)
    for reason, known in keys.items():
        for index, asked in enumerate(asks_held_out(source.dataset, known, column)) if known else ():
            if asked:
                reasons[index] = reasons[index] or reason
    counts = dict(Counter(reason for reason in reasons if reason).most_common())
    if not counts:
        return source
    told = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    if sum(counts.values()) == len(reasons):
        raise DataError(
            f"dataset: all {len(reasons)} rows of split {source.split!r} of {source.name!r} ask questions that are "
            f"held out for measuring ({told}); train on other rows"
        )
    if is_main_process():
        logger.warning("%s: left out %d rows that ask held-out questions: %s", source.name, sum(counts.values()), told)
    kept = [index for index, reason in enumerate(reasons) if reason is None]
    return replace(source, dataset=source.dataset.select(kept), set_aside={**source.set_aside, **counts})


def _write_set_aside(sources: Sequence[RawSource], draws: Sequence[Draw], folder: str | Path | None) -> None:
    """Keep the rows of the test part, which nobody else could draw again without this mixture."""
    parts = [source.dataset.select(draw.test_rows) for source, draw in zip(sources, draws, strict=True)]
    count = sum(len(part) for part in parts)
    if not is_main_process() or folder is None:
        return
    rows = (
        plain_json({"source": source.name, **row}) for source, part in zip(sources, parts, strict=True) for row in part
    )
    write_jsonl(Path(folder) / SET_ASIDE, rows)
    logger.info("%s: %d rows of test_split_size, which are not trained on", Path(folder) / SET_ASIDE, count)


def load_source(path: str, split: str = "train", **load_kwargs: Any) -> RawSource:
    """
    Read one dataset: a folder of JSON lines (`train.jsonl`, ...) or a Hub id.

    Args:
        path (`str`):
            Folder or Hub id.
        split (`str`, *optional*, defaults to `"train"`):
            Split to read.
        **load_kwargs:
            For [`~datasets.load_dataset`].

    Raises:
        [`DataError`]: when it does not exist, is damaged or has no rows.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        dataset = load_dataset(path, split=split, **{**cache_options(path), **load_kwargs})
    except (OSError, ValueError, StopIteration, DatasetGenerationError) as error:
        raise DataError(_describe_failure(path, split, error)) from error
    return _checked(RawSource(name=path, split=split, dataset=dataset, read_with=dict(load_kwargs)))


def _checked(source: RawSource) -> RawSource:
    if len(source.dataset) == 0:
        raise DataError(f"dataset: split {source.split!r} of {source.name!r} is empty; give a dataset with rows")
    return source


def _describe_failure(path: str, split: str, error: Exception) -> str:
    if isinstance(error, StopIteration):  # what `datasets` raises on a file without a line
        return f"dataset: split {split!r} of {path!r} is empty; give a dataset with rows"
    lines = str(error.__cause__ or error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return f"dataset: split {split!r} of {path!r} cannot be read ({reason}); give a folder of JSON lines or a Hub id"
