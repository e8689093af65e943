"""What would people prefer? A reward model, read as the paper reads its own: for general questions only.

Helpfulness is read from the final answer, so that the thoughts stay free; harmlessness from the whole response, since
thoughts can do harm too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast, get_args

from trl_r1.chat_template import completion_text
from trl_r1.errors import RewardError
from trl_r1.rewards.completions import Text, parse_completions


logger = logging.getLogger(__name__)

Reads = Literal["answer", "response"]
Scale = Literal["logit", "sigmoid"]


class PreferenceReward:
    """
    Score of a sequence classifier with one label on prompt and completion.

    Made by [`get_preference_reward`], which documents the arguments. Instances pickle; the model is loaded by the
    first call in each process.
    """

    loads_model = True  # not to be called just to see whether it works
    bench_kind = "preference"

    def __init__(
        self,
        model_name_or_path: str,
        reward_type: str = "helpful",
        reads: Reads | None = None,
        batch_size: int = 16,
        revision: str | None = None,
        scale: Scale = "logit",
        last_steps: int | None = None,
    ) -> None:
        if reads is not None and reads not in get_args(Reads):
            raise RewardError(f"reads: {reads!r} is unknown; use 'answer' or 'response'")
        if scale not in get_args(Scale):
            raise RewardError(f"scale: {scale!r} is unknown; use 'logit' or 'sigmoid'")
        if batch_size < 1:
            raise RewardError(f"batch_size: {batch_size} scores nothing; use at least 1")
        if last_steps is not None and last_steps < 1:
            raise RewardError(f"last_steps: {last_steps} never switches it on; use at least 1, or leave it out")
        self.model_name_or_path = model_name_or_path
        self.reward_type = reward_type
        self.reads: Reads = reads or ("response" if reward_type == "harmless" else "answer")
        self.batch_size = batch_size
        self.revision = revision
        self.scale: Scale = scale
        self.last_steps = last_steps
        self.__name__ = f"{reward_type}_preference_reward"
        self._model: Any = None
        self._tokenizer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_model": None, "_tokenizer": None}

    def __call__(
        self,
        completions: Sequence[Text],
        prompts: Sequence[Text],
        reward_type: Sequence[str | None] | None = None,
        prompt_tail: Sequence[str | None] | None = None,
        response_format: Sequence[str | None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        trainer_state: Any = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. Rows of another type get `None`, before the last steps all."""
        is_on = self._is_on(trainer_state)
        if self.last_steps is not None and log_metric is not None:
            log_metric(f"{self.__name__}/on", float(is_on))  # for alarms: silent, and meant to be
        if not is_on:
            return [None] * len(completions)
        rows = [i for i in range(len(completions)) if reward_type is None or reward_type[i] == self.reward_type]
        if self.reads == "answer":
            parsed = parse_completions(completions, prompt_tail, response_format)
            replies = [completion.answer or "" for completion in parsed]
        else:
            replies = [completion_text(completion).strip() for completion in completions]
        questions = kwargs.get("problem") or prompts
        scores = dict(zip(rows, self.score([(questions[i], replies[i]) for i in rows]), strict=True))
        return [scores.get(index) for index in range(len(completions))]

    def _is_on(self, trainer_state: Any) -> bool:
        """Whether the last steps have begun, by the trainer's count, which a resume restores; outside of one, yes."""
        if self.last_steps is None or trainer_state is None or trainer_state.max_steps <= 0:
            return True
        return bool(trainer_state.global_step >= trainer_state.max_steps - self.last_steps)

    def score(self, pairs: Sequence[tuple[Text, str]]) -> list[float]:
        """
        Scores of (prompt, reply) pairs.

        Args:
            pairs (`Sequence[tuple[str | list[dict[str, Any]], str]]`):
                Prompt, as text or messages, and reply.

        Returns:
            `list[float]`: one a pair, on the chosen scale.
        """
        if not pairs:
            return []
        import torch

        self._load()
        texts = [self._render(prompt, reply) for prompt, reply in pairs]
        scores: list[float] = []
        for start in range(0, len(texts), self.batch_size):
            batch = self._tokenizer(
                texts[start : start + self.batch_size],
                return_tensors="pt",
                padding=True,
                padding_side="right",
                add_special_tokens=not self._tokenizer.chat_template,  # the template writes them itself
                return_token_type_ids=False,
            ).to(self._model.device)
            with torch.inference_mode():
                logits = self._model(**batch).logits[:, 0].float()  # (batch,)
            scores += (logits.sigmoid() if self.scale == "sigmoid" else logits).tolist()
        return scores

    def _render(self, prompt: Text, reply: str) -> str:
        """The conversation as the reward model was trained to see it."""
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if not self._tokenizer.chat_template:
            return "\n".join([completion_text(cast(Text, messages)), reply])
        return str(
            self._tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": reply}], tokenize=False)
        )

    def _load(self) -> None:
        if self._model is not None:
            return
        from accelerate import PartialState
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.model_name_or_path, revision=self.revision)
            model = AutoModelForSequenceClassification.from_pretrained(
                self.model_name_or_path, num_labels=1, revision=self.revision
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RewardError(
                f"model_name_or_path: {self.model_name_or_path!r} does not load as a reward model ({reason}); "
                "name a sequence classifier with one label"
            ) from error
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id  # how it finds each row's last token
        self._tokenizer, self._model = tokenizer, model.to(PartialState().device).eval()
        logger.info("%s: loaded %s on %s", self.__name__, self.model_name_or_path, self._model.device)


def get_preference_reward(
    model_name_or_path: str,
    reward_type: str = "helpful",
    reads: Reads | None = None,
    batch_size: int = 16,
    revision: str | None = None,
    scale: Scale = "logit",
    last_steps: int | None = None,
) -> PreferenceReward:
    """
    Reward what a reward model prefers, on rows of one type.

    The prompt is the row's `problem` where there is one, so that a prompt template does not get in the reward model's
    way. A completion without an answer is scored as an empty reply: `None` would take it out of its group, and not
    answering would cost nothing.

    Args:
        model_name_or_path (`str`):
            Sequence classifier with one label, as [`~trl.RewardTrainer`] makes them.
        reward_type (`str`, *optional*, defaults to `"helpful"`):
            Rows whose `reward_type` column says so are scored, others get `None`; without that column all are.
        reads (`str`, *optional*):
            `"answer"` (without the thoughts) or `"response"` (all). Defaults to `"response"` for harmlessness and
            `"answer"` for everything else.
        batch_size (`int`, *optional*, defaults to `16`):
            Completions in one forward pass.
        revision (`str`, *optional*):
            Revision of the reward model.
        scale (`str`, *optional*, defaults to `"logit"`):
            `"logit"`, or `"sigmoid"` for a reward between 0 and 1 beside the rule rewards. The paper does not publish
            its scale.
        last_steps (`int`, *optional*):
            Score in the last so many optimiser steps of training only, and give all rows `None` before: trained
            against for long, a reward model is exploited. The paper has general data and preference rewards in the
            last 400 of 1,700 steps. Rows that no other reward judges until then teach nothing and cost their
            generation. A rollout that serves several steps is scored once, at its first.

    Returns:
        [`PreferenceReward`]: its `__name__`, and so its metric, begins with `reward_type`.

    Raises:
        [`RewardError`]: for an unknown `reads` or `scale`, or `last_steps` below 1; on the first call when the model
        does not load.
    """
    return PreferenceReward(model_name_or_path, reward_type, reads, batch_size, revision, scale, last_steps)
