"""
Training prompts in many phrasings, so that what is learnt does not hang on the words around a question.

Every row is asked in one way, drawn by its place and the seed; with copies, in several, each a row of its own. A group
of GRPO therefore shares one prompt, as it must, and a resumed run sees the same prompts.
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
from trl_r1.data.rows import set_column
from trl_r1.errors import DataError, RecipeError
from trl_r1.stage_record import hash_json


if TYPE_CHECKING:
    from datasets import Dataset

VARIANT_COLUMN: Final = "prompt_variant"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAugmentation:
    """
    How training prompts are varied.

    Args:
        variants (`tuple[PromptVariant, ...]`):
            Ways to ask, all as likely.
        copies (`int`, *optional*, defaults to `1`):
            Ways in which each question is asked, each a row of its own; at most the number of variants.
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
        shown = ", ".join(f"{variant.name} {counts[variant.name]}" for variant in self.variants)
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
        [`~datasets.Dataset`]: `copies` rows for each, in order, with the column `prompt_variant`.

    Raises:
        [`DataError`]: when a prompt is ready-made, so that no words can be put around its question; or some variants
            make chats and others plain text.
    """
    places = [place for place in range(len(dataset)) for _ in range(augmentation.copies)]
    variants = [variant for place in range(len(dataset)) for variant in augmentation.drawn(place)]
    problems = dataset["problem"][:]
    _check_bare(dataset, problems, renderer)
    renderers = _renderers(augmentation.variants, renderer)
    asked = [(problems[place], variant) for place, variant in zip(places, variants, strict=True)]
    shown = [renderers[variant.prompt_template] for variant in variants]
    prompts = [variant.to_prompt(own, text) for (text, variant), own in zip(asked, shown, strict=True)]
    if len({isinstance(prompt, str) for prompt in prompts}) > 1:
        raise DataError(
            "prompt_augmentation: variants with a prompt_template make plain text and the others chats, and TRL takes "
            "one kind; give all of them a template, or none"
        )
    grown = dataset.select(places)
    columns: dict[str, list[Any]] = {
        "prompt": prompts,
        "prompt_tail": [own.prompt_tail for own in shown],
        "response_format": [own.response_format for own in shown],
        VARIANT_COLUMN: [variant.name for variant in variants],
    }
    for name, values in columns.items():
        grown = set_column(grown, name, values)
    return grown


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


def _check_bare(dataset: Dataset, problems: Sequence[str], renderer: PromptRenderer) -> None:
    for problem, prompt in zip(problems, dataset["prompt"], strict=True):
        if prompt != renderer.to_prompt(problem):
            raise DataError(
                "prompt_augmentation: a row has a ready-made prompt, around whose question nothing can be put; give "
                "bare questions in the column `problem`"
            )
