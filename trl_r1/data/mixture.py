"""Reading the recipe's dataset, or its mixture, one source at a time so that each is counted on its own."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl_r1.data.rows import fingerprint_rows
from trl_r1.errors import DataError
from trl_r1.stage_record import DataSource, describe_data_card, is_language


if TYPE_CHECKING:
    from datasets import Dataset
    from trl import DatasetMixtureConfig

    from trl_r1.script_arguments import R1ScriptArguments


COMMIT = re.compile(r"[0-9a-f]{40}")
LANGUAGE_COLUMN = "language"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSource:
    """A dataset as it was read."""

    name: str
    split: str
    dataset: Dataset

    def describe(self, kept: int, dropped: dict[str, int]) -> DataSource:
        """The entry of `stage.json`, after `kept` rows were kept and the others dropped."""
        revision = hub_revision(self.dataset)
        card = describe_data_card(self.name, revision)
        return DataSource(
            source=self.name,
            split=self.split,
            fingerprint=fingerprint_rows(self.dataset),
            rows_in=len(self.dataset),
            rows_kept=kept,
            dropped=dropped,
            languages=count_languages(self.dataset) or list(card.languages),
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


def load_sources(script_args: R1ScriptArguments, dataset_args: DatasetMixtureConfig | None) -> list[RawSource]:
    """
    Read the training data a recipe names: `datasets` (TRL's mixture) or `dataset_name`.

    A mixture with fractions is one source, for TRL cuts it as a whole.

    Args:
        script_args ([`R1ScriptArguments`]):
            `dataset_name`, `dataset_config`, `dataset_train_split`.
        dataset_args ([`~trl.DatasetMixtureConfig`], *optional*):
            The mixture.

    Returns:
        `list[RawSource]`: never empty, each with at least one row.

    Raises:
        [`DataError`]: when no data is named, a dataset or split does not exist, or one is empty.
    """
    if script_args.dataset_streaming or (dataset_args is not None and dataset_args.streaming):
        raise DataError("streaming: true is not supported; rows are checked and counted before training, set it false")
    if dataset_args is not None and dataset_args.datasets:
        return _load_mixture(dataset_args)
    if not script_args.dataset_name:
        raise DataError("dataset_name: no data given; set dataset_name, or datasets for a mixture")
    split = script_args.dataset_train_split
    return [load_source(script_args.dataset_name, split, name=script_args.dataset_config)]


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
        dataset = load_dataset(path, split=split, **load_kwargs)
    except (OSError, ValueError, StopIteration, DatasetGenerationError) as error:
        raise DataError(_describe_failure(path, split, error)) from error
    return _checked(RawSource(name=path, split=split, dataset=dataset))


def _load_mixture(mixture: DatasetMixtureConfig) -> list[RawSource]:
    from datasets.exceptions import DatasetGenerationError
    from trl import DatasetMixtureConfig, get_dataset

    if mixture.test_split_size is not None:
        raise DataError("test_split_size: not supported; keep test questions in a dataset of their own and remove it")
    weighted = any(entry.fraction is not None for entry in mixture.datasets)
    groups = [list(mixture.datasets)] if weighted else [[entry] for entry in mixture.datasets]
    sources = []
    for group in groups:
        name, split = " + ".join(entry.path for entry in group), " + ".join(dict.fromkeys(e.split for e in group))
        try:
            dataset = get_dataset(DatasetMixtureConfig(datasets=group))["train"]
        except (OSError, ValueError, StopIteration, DatasetGenerationError) as error:
            raise DataError(_describe_failure(name, split, error)) from error
        sources.append(_checked(RawSource(name=name, split=split, dataset=dataset)))
    return sources


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
