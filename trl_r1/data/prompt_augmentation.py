"""
Training prompts in many phrasings, so that what is learnt does not hang on the words around a question.

Every row is asked in one way, drawn by its place and the seed; with copies, in several, each a row of its own. A group
of GRPO therefore shares one prompt, as it must, and a resumed run sees the same prompts. Rows that no gold answer
decides, of code or conversation, stay as they are: the phrasings say how to give an answer.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.data.rendering import PromptRenderer
from trl_r1.data.rows import REASONING, set_column
from trl_r1.errors import DataError, RecipeError
from trl_r1.stage_record import hash_json


if TYPE_CHECKING:
    from datasets import Dataset

VARIANT_COLUMN: Final = "prompt_variant"
AS_WRITTEN: Final = "as_written"  # in that column, of rows that are not varied
VARIED: Final = (REASONING, "choice")  # reward types


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAugmentation:
    """
    How training prompts are varied.

    Args:
        variants (`tuple[PromptVariant, ...]`):
            Ways to ask, all as likely.
        copies (`int`, *optional*, defaults to `1`):
            Ways in which each question is asked, each a row of its own; at most the number of variants. A row that is
            not varied stands there as often, so that the parts of a mixture keep their shares.
        seed (`int`, *optional*, defaults to `0`):
            Of the draw.

    Raises:
        [`RecipeError`]: when there is no variant, or more copies than variants.
    """

    variants: tuple[PromptVariant, ...]
    copies: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.variants:
            raise RecipeError(["prompt_augmentation: there is no variant; name a bank such as default"])
        if not 1 <= self.copies <= len(self.variants):
            raise RecipeError(
                [
                    f"prompt_augmentation_copies: {self.copies} must lie between 1 and the number of variants, "
                    f"{len(self.variants)}"
                ]
            )

    def drawn(self, place: int) -> list[PromptVariant]:
        """The ways to ask the question at a place of the data, all different."""
        return random.Random(f"{self.seed}:{place}").sample(self.variants, self.copies)

    def describe(self, dataset: Dataset) -> str:
        """For the stage's record: which variants, and how many prompts each has."""
        counts = Counter(dataset[VARIANT_COLUMN][:])
        names = [*(variant.name for variant in self.variants), *([AS_WRITTEN] if counts[AS_WRITTEN] else [])]
        shown = ", ".join(f"{name} {counts[name]}" for name in names)
        digest = hash_json([dataclasses.asdict(variant) for variant in self.variants])[:12]
        return f"prompt_augmentation: {self.copies} of {len(self.variants)} variants a question ({digest}): {shown}"


def augment_prompts(dataset: Dataset, augmentation: PromptAugmentation, renderer: PromptRenderer) -> Dataset:
    """
    Ask the questions of a data set in many ways.

    Args:
        dataset ([`~datasets.Dataset`]):
            Prompts as [`load_prompts`] prepares them.
        augmentation ([`PromptAugmentation`]):
            In which ways.
        renderer ([`PromptRenderer`]):
            How the policy is shown a prompt.

    Returns:
        [`~datasets.Dataset`]: `copies` rows for each, in order, with the column `prompt_variant`; `as_written` says
        that a row of code or conversation was left as it was.

    Raises:
        [`DataError`]: when a prompt is ready-made, so that no words can be put around its question; or some variants
            make chats and others plain text.
    """
    varied = _varied(dataset)
    _check_bare(dataset.select([place for place, yes in enumerate(varied) if yes]), renderer)
    places = [place for place in range(len(dataset)) for _ in range(augmentation.copies)]
    drawn = [variant for place in range(len(dataset)) for variant in augmentation.drawn(place)]
    variants = [variant if varied[place] else None for place, variant in zip(places, drawn, strict=True)]
    grown = dataset.select(places)
    renderers = _renderers(augmentation.variants, renderer)
    told: dict[str, list[Any]] = {name: grown[name][:] for name in ("prompt", "prompt_tail", "response_format")}
    problems = grown["problem"][:]
    for row, variant in enumerate(variants):
        if variant is not None:
            own = renderers[variant.prompt_template]
            told["prompt"][row] = variant.to_prompt(own, problems[row])
            told["prompt_tail"][row], told["response_format"][row] = own.prompt_tail, own.response_format
    if len({isinstance(prompt, str) for prompt in told["prompt"]}) > 1:
        raise DataError(
            "prompt_augmentation: variants with a prompt_template make plain text and the others chats, and TRL takes "
            "one kind; give all of them a template, or none"
        )
    told[VARIANT_COLUMN] = [variant.name if variant is not None else AS_WRITTEN for variant in variants]
    for name, values in told.items():
        grown = set_column(grown, name, values)
    return grown


def _varied(dataset: Dataset) -> list[bool]:
    """Which rows are asked in other words."""
    if "reward_type" not in dataset.column_names:
        return [True] * len(dataset)
    return [(kind or REASONING) in VARIED for kind in dataset["reward_type"]]


def _renderers(variants: Sequence[PromptVariant], renderer: PromptRenderer) -> dict[str | None, PromptRenderer]:
    """The renderer of each variant's template; most have none of their own."""
    own = {variant.prompt_template for variant in variants} - {None}
    made = {
        name: PromptRenderer(
            renderer.tokenizer,
            name,
            renderer.response_format,
            renderer.chat_template_kwargs,
        )
        for name in own
    }
    return {None: renderer, **made}


def _check_bare(dataset: Dataset, renderer: PromptRenderer) -> None:
    for row in dataset.select_columns(["problem", "prompt"]):
        if row["prompt"] != renderer.to_prompt(row["problem"]):
            raise DataError(
                "prompt_augmentation: a row has a ready-made prompt, around whose question nothing can be put; give "
                "bare questions in the column `problem`"
            )
