"""
Does the trained model stop? Asked right after training, greedily, on prompts whose answer is known to be short.

A model that was trained to answer and never to end has a healthy loss; it shows when somebody uses it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from trl_r1.evaluation.intervals import wilson_interval
from trl_r1.generation import Completion, SamplingParameters, TransformersEngine
from trl_r1.generation.types import Prompt
from trl_r1.rewards.repetition import repeated_share
from trl_r1.stage_record import Measurement


if TYPE_CHECKING:
    from transformers import Trainer

logger = logging.getLogger(__name__)

FEWEST_STOPS: Final = 0.5  # share below which a warning is due
LOOP_SHARE: Final = 0.5  # of the 4-grams of an unended completion; above it runs in a circle
NGRAM: Final = 4
ROOM: Final = 1.5  # times the longest reference: an answer may be longer than the one it was taught
ANSWERS_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePrompt:
    """A prompt, text or messages, and how many tokens its answer took, the end token included."""

    prompt: Prompt
    answer_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopProbe:
    """
    How many of the completions ended by themselves.

    Args:
        prompts (`int`):
            Completions asked for, one a prompt.
        stopped (`int`):
            Of them, those that ended with an end token.
        loops (`int`):
            Of the others, those that repeat themselves.
        foreign_marks (`dict[str, int]`):
            Of the others, those that hold a special token that does not end a completion, by token.
        limit (`int`):
            Longest completion, in tokens.
    """

    prompts: int
    stopped: int
    loops: int
    foreign_marks: dict[str, int]
    limit: int

    def measurements(self) -> dict[str, Measurement]:
        """As `stage.json` keeps them: rates over the prompts, with Wilson's 95 % interval."""
        rates = {"stops": self.stopped, "stop_probe/loops": self.loops}
        found = {name: _rate(count, self.prompts) for name, count in rates.items()}
        return {**found, "stop_probe/limit": Measurement(value=float(self.limit))}

    def warning(self) -> str | None:
        """What is wrong and the likely cause, or `None` where most completions end."""
        if self.stopped >= FEWEST_STOPS * self.prompts:
            return None
        seen = f"only {self.stopped} of {self.prompts} greedy completions end within {self.limit} tokens"
        if self.foreign_marks:
            mark = max(self.foreign_marks, key=lambda name: self.foreign_marks[name])
            return (
                f"{seen}; {self.foreign_marks[mark]} hold {mark!r}, which ends none of them: let eos_token, the "
                "chat template's end of a turn and the model's generation_config name the same token"
            )
        unended = self.prompts - self.stopped
        if self.loops > unended / 2:
            return f"{seen}; {self.loops} go round in circles: train longer, or with more and more varied rows"
        return f"{seen}: train longer, or raise stop_probe_max_tokens if its answers are long"


def probe_prompts(
    rows: Any, tokenizer: Any, count: int, max_tokens: int, answer_tokens: int | None = None
) -> list[ProbePrompt]:
    """
    Prompts of training rows, evenly spaced, as the model will be shown them.

    Args:
        rows ([`~datasets.Dataset`]):
            With `prompt` and perhaps `completion`, or `messages`.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The policy's.
        count (`int`):
            Prompts wanted.
        max_tokens (`int`):
            Only rows whose answer has at most so many tokens.
        answer_tokens (`int`, *optional*):
            Tokens an answer may take, where rows hold none.

    Returns:
        `list[ProbePrompt]`: fewer where few rows have an answer so short.
    """
    wanted = min(len(rows), 4 * count)  # some have answers that are too long
    found: list[ProbePrompt] = []
    for index in dict.fromkeys(position * len(rows) // wanted for position in range(wanted)):
        row = rows[index]
        prompt, answer = (row["messages"][:-1], row["messages"][-1:]) if "messages" in row else _pair(row)
        length = answer_tokens if answer is None else _tokens_of(answer, tokenizer)
        if length is not None and length <= max_tokens:
            found.append(ProbePrompt(prompt=prompt, answer_tokens=length))
    return [found[position * len(found) // count] for position in range(count)] if len(found) > count else found


def probe_stops(trainer: Trainer, tokenizer: Any, prompts: Sequence[ProbePrompt]) -> StopProbe | None:
    """
    Complete prompts greedily with a trainer's model. Its weights, mode and random state are left as they were.

    Args:
        trainer ([`~transformers.Trainer`]):
            Trained, its weights whole in this process.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The policy's.
        prompts (`Sequence[ProbePrompt]`):
            What to ask. Those that the model's context does not hold beside the longest answer are left out.

    Returns:
        [`StopProbe`] or `None`: nothing when no prompt is left.
    """
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    engine = TransformersEngine(model, tokenizer)
    lengths = engine.prompt_lengths([prompt.prompt for prompt in prompts])
    fitting, limit = _fit(list(zip(prompts, lengths, strict=True)), engine.context_length)
    if not fitting:
        return None
    params = SamplingParameters(temperature=0, max_new_tokens=limit, batch_size=ANSWERS_AT_ONCE)
    with trainer.accelerator.autocast():
        groups = engine.generate([prompt.prompt for prompt in fitting], params)
    return judge_stops([group[0] for group in groups], tokenizer, limit)


def _fit(measured: list[tuple[ProbePrompt, int]], context: int | None) -> tuple[list[ProbePrompt], int]:
    """Prompts that can be asked together, each with room for the longest of their answers, and that room in tokens."""
    left = [(prompt, length) for prompt, length in measured if length > 0]
    while left:
        longest, answer = max(length for _, length in left), max(prompt.answer_tokens for prompt, _ in left)
        room = max(1, round(ROOM * answer))
        if context is None or longest + answer <= context:
            return [prompt for prompt, _ in left], room if context is None else min(room, context - longest)
        left.remove(max(left, key=lambda pair: pair[1] + pair[0].answer_tokens))
    return [], 0


def judge_stops(completions: Sequence[Completion], tokenizer: Any, limit: int) -> StopProbe:
    """Count what ended and how the rest went on."""
    unended = [completion for completion in completions if completion.finish_reason == "length"]
    marks: dict[str, int] = {}
    for token in tokenizer.all_special_ids:
        held = sum(token in completion.token_ids for completion in unended)
        if held and token != tokenizer.unk_token_id:
            marks[str(tokenizer.convert_ids_to_tokens(token))] = held
    loops = sum(repeated_share([completion.token_ids], NGRAM) > LOOP_SHARE for completion in unended)
    return StopProbe(
        prompts=len(completions),
        stopped=len(completions) - len(unended),
        loops=loops,
        foreign_marks=marks,
        limit=limit,
    )


def weights_are_whole(trainer: Trainer) -> bool:
    """Whether each process has all of the model, so that one of them can generate alone."""
    parameters = trainer.model.parameters() if trainer.model is not None else ()
    return not trainer.is_fsdp_enabled and not any(hasattr(parameter, "ds_id") for parameter in parameters)


def _pair(row: dict[str, Any]) -> tuple[Any, Any]:
    return row["prompt"], row.get("completion")


def _tokens_of(answer: Any, tokenizer: Any) -> int:
    text = answer if isinstance(answer, str) else "".join(message["content"] for message in answer)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1


def _rate(count: int, total: int) -> Measurement:
    low, high = wilson_interval(count, total)
    return Measurement(value=count / total, n=total, low=low, high=high)
