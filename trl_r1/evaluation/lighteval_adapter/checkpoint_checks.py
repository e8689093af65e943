"""What lighteval would do to a checkpoint's answers without a word: refused or warned of while nothing is loaded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from trl_r1.evaluation.asking import check_length
from trl_r1.evaluation.preflight import Reader
from trl_r1.evaluation.suites import Checkpoint
from trl_r1.generation.prompts import encode_prompt
from trl_r1.generation.types import SamplingParameters
from trl_r1.stage_record import hash_json, hash_model


logger = logging.getLogger(__name__)


def check_checkpoint(
    checkpoint: Checkpoint, tokenizer: Any, texts: Sequence[str], params: SamplingParameters, name: str
) -> str:
    """
    Check that lighteval asks a checkpoint as an evaluation of ours would.

    Args:
        checkpoint ([`Checkpoint`]):
            The one to ask.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Its own.
        texts (`Sequence[str]`):
            All that it will read.
        params ([`SamplingParameters`]):
            How answers should be drawn.
        name (`str`):
            Of the task.

    Returns:
        `str`: changes with all that decides its answers to these texts. Lighteval keeps answers by the name of a model
        and would take those of a folder's older weights for new ones.

    Raises:
        [`R1Error`]: when a question and its answer do not fit the context: lighteval would cut off the beginning of
            the one, or the end of the other.
    """
    check_length(Reader.of_checkpoint(checkpoint, tokenizer), texts, params, name, checkpoint.name)
    generation = _generation_config(checkpoint)
    if params.temperature > 0 and not generation.get("do_sample"):
        logger.warning(
            "%s: %s has no do_sample in its generation_config.json; with transformers lighteval then takes the most "
            "likely token, whatever the temperature. Set do_sample there, or use vLLM",
            name,
            checkpoint.name,
        )
    ids = [encode_prompt(text, tokenizer) for text in texts]
    if ids and tokenizer(texts[0])["input_ids"] != ids[0]:
        logger.warning(
            "%s: the chat template of %s writes the beginning mark, and lighteval would add another; give the model "
            "add_special_tokens=False",
            name,
            checkpoint.name,
        )
    weights = hash_model(checkpoint.path, checkpoint.revision)
    return hash_json({"weights": weights, "revision": checkpoint.revision, "generation": generation, "prompts": ids})


def _generation_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """As saved with it; empty where none is."""
    from transformers import GenerationConfig

    try:
        found = GenerationConfig.from_pretrained(checkpoint.path, revision=checkpoint.revision or "main")
    except OSError:
        return {}
    return {key: value for key, value in found.to_diff_dict().items() if key != "transformers_version"}
