"""
Is a row fit for supervised fine-tuning? Asked with the real tokenizer, many rows at once.

Two faults of SFT on chains of thought show only at inference: a template that cuts the reasoning out or leaves it out
of the loss, and rows that never teach the end token. Both are looked for in every row before training.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from trl_r1.chat_template import THINK_CLOSE, ThinkParser, completion_text
from trl_r1.errors import TemplateError


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import SFTConfig

Row = dict[str, Any]


@dataclass(slots=True)
class MaskStatistics:
    """Tokens of the rows seen, and how many of them the loss counts."""

    tokens: int = 0
    in_loss: int = 0
    reasoning_rows: int = 0

    @property
    def share(self) -> float:
        """Share of tokens in the loss."""
        return self.in_loss / self.tokens if self.tokens else 0.0

    def add(self, verdicts: Iterable[RowVerdict]) -> None:
        """Count more rows."""
        for verdict in verdicts:
            self.tokens += verdict.tokens
            self.in_loss += verdict.in_loss
            self.reasoning_rows += verdict.reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVerdict:
    """
    What was found of one row.

    Args:
        reason (`str`, *optional*):
            Why it cannot be trained on.
        tokens, in_loss (`int`):
            Tokens of the row, and those the loss counts.
        reasons (`bool`):
            Whether its last turn has a chain of thought, looked for only in rows that are fit otherwise.
        closes_thoughts (`bool`):
            Whether it is a chat with thoughts, so that the chat template must keep them.
    """

    reason: str | None
    tokens: int = 0
    in_loss: int = 0
    reasons: bool = False
    closes_thoughts: bool = False


class SFTRowChecker:
    """
    Tokenizes rows as TRL's trainer will and says what is wrong with them.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The policy's, with the recipe's chat template.
        args ([`~trl.SFTConfig`]):
            `max_length`, `eos_token` and the loss switches decide what is trained on.

    Raises:
        [`TemplateError`]: when the loss mask cannot be known before the trainer is built.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, args: SFTConfig) -> None:
        self.tokenizer: Any = tokenizer
        self.end_token: str = args.eos_token or str(tokenizer.eos_token)
        self.end_id = tokenizer.convert_tokens_to_ids(self.end_token)
        self.max_length = args.max_length  # packing cuts longer rows too, each strategy in its way
        self.full_loss = args.completion_only_loss is False
        self.chat_template = _training_template(tokenizer) if args.assistant_only_loss else None
        if args.chat_template_path:
            raise TemplateError(
                f"chat_template_path: {args.chat_template_path!r} is read too late to be checked; use chat_template"
            )

    @property
    def settings(self) -> list[Any]:
        """What decides its verdicts beside the tokenizer."""
        return [self.end_token, self.end_id, self.max_length, self.full_loss, self.chat_template]

    def check(self, rows: Sequence[Row | str]) -> list[RowVerdict]:
        """
        What is wrong with rows of the trainer's form; a text stands for a row that was none, and is the reason.

        Reasons found here are `"longer_than_max_length"` (its end token would be cut off), `"no_end_token"` and
        `"reasoning_not_in_loss"`.
        """
        found = [index for index, row in enumerate(rows) if not isinstance(row, str)]
        chosen: list[Row] = [row for row in rows if not isinstance(row, str)]
        judged = dict(zip(found, self._judge(chosen), strict=True))
        return [judged[index] if index in judged else RowVerdict(reason=str(row)) for index, row in enumerate(rows)]

    def _judge(self, rows: Sequence[Row]) -> list[RowVerdict]:
        trained: dict[int, list[int]] = {}  # tokens in the loss, of the rows that end as they should
        facts: list[dict[str, Any]] = []
        for index, (row, (ids, mask)) in enumerate(zip(rows, self._tokenize(rows), strict=True)):
            in_loss = [token for token, counted in zip(ids, mask, strict=True) if counted]
            chat = not isinstance(row.get("prompt"), str)
            closes = chat and THINK_CLOSE in completion_text(_last_turn(row))
            facts.append({"tokens": len(ids), "in_loss": len(in_loss), "closes_thoughts": closes})
            if self.max_length is not None and len(ids) > self.max_length:
                facts[-1]["reason"] = "longer_than_max_length"
            elif not self._ends(in_loss):
                facts[-1]["reason"] = "no_end_token"
            else:
                facts[-1]["reason"] = None
                trained[index] = in_loss
        for index, kept in self._keep_reasoning(rows, trained).items():
            facts[index] |= {"reasons": True, "reason": None if kept else "reasoning_not_in_loss"}
        return [RowVerdict(**fact) for fact in facts]

    def _tokenize(self, rows: Sequence[Row]) -> list[tuple[list[int], list[bool]]]:
        """Tokens and loss mask of each row; rows of one form go through the tokenizer together."""
        forms: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            form = self._chats if "messages" in row else self._texts if isinstance(row["prompt"], str) else self._turns
            forms.setdefault(form, []).append(index)
        tokenized: dict[int, tuple[list[int], list[bool]]] = {}
        for form, indices in forms.items():
            tokenized.update(zip(indices, form([rows[index] for index in indices]), strict=True))
        return [tokenized[index] for index in range(len(rows))]

    def _chats(self, rows: Sequence[Row]) -> list[tuple[list[int], list[bool]]]:
        encoded = self.tokenizer.apply_chat_template(
            [row["messages"] for row in rows],
            chat_template=self.chat_template,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        masks = [[bool(bit) for bit in mask] for mask in encoded["assistant_masks"]]
        return list(zip(encoded["input_ids"], masks, strict=True))

    def _texts(self, rows: Sequence[Row]) -> list[tuple[list[int], list[bool]]]:
        heads = [row["prompt"] for row in rows]
        ended = [
            row["completion"] if row["completion"].endswith(self.end_token) else row["completion"] + self.end_token
            for row in rows  # as TRL does
        ]
        whole = [head + text for head, text in zip(heads, ended, strict=True)]
        return self._masked(self.tokenizer(heads)["input_ids"], self.tokenizer(whole)["input_ids"])

    def _turns(self, rows: Sequence[Row]) -> list[tuple[list[int], list[bool]]]:
        apply = self.tokenizer.apply_chat_template
        prompts, chats = [list(row["prompt"]) for row in rows], [[*row["prompt"], *row["completion"]] for row in rows]
        heads = apply(prompts, tokenize=True, return_dict=True, add_generation_prompt=True)["input_ids"]
        return self._masked(heads, apply(chats, tokenize=True, return_dict=True)["input_ids"])

    def _masked(self, heads: list[list[int]], whole: list[list[int]]) -> list[tuple[list[int], list[bool]]]:
        from trl.data_utils import common_prefix_length

        masked = []
        for head, ids in zip(heads, whole, strict=True):
            start = 0 if self.full_loss else common_prefix_length(head, ids)
            masked.append((ids, [position >= start for position in range(len(ids))]))
        return masked

    def _ends(self, in_loss: list[int]) -> bool:
        """Whether the loss closes with the end token; some templates put a line break after it."""
        while in_loss and in_loss[-1] != self.end_id and not self.tokenizer.decode(in_loss[-1:]).strip():
            in_loss = in_loss[:-1]
        return in_loss[-1:] == [self.end_id]

    def _keep_reasoning(self, rows: Sequence[Row], trained: dict[int, list[int]]) -> dict[int, bool]:
        """For rows with a chain of thought in their last turn, whether it is among the tokens of the loss."""
        thoughts = {
            index: ThinkParser().parse(completion_text(_last_turn(rows[index]))).reasoning for index in trained
        }
        wanted = {index: text for index, text in thoughts.items() if text}
        if not wanted:
            return {}
        # Both sides go through the tokenizer, so that what it does to spaces or unknown words is no difference.
        tokens = self.tokenizer(list(wanted.values()), add_special_tokens=False)["input_ids"]
        kept = {}
        for index, ids in zip(wanted, tokens, strict=True):
            text = self.tokenizer.decode(trained[index], skip_special_tokens=False)
            kept[index] = "".join(self.tokenizer.decode(ids).split()) in "".join(text.split())
        return kept


def verdict_columns(verdicts: Sequence[RowVerdict]) -> dict[str, list[Any]]:
    """Verdicts as columns, as a file of rows holds them."""
    rows = [asdict(verdict) for verdict in verdicts]
    return {name: [row[name] for row in rows] for name in RowVerdict.__dataclass_fields__}


def _last_turn(row: Row) -> Any:
    return row["messages"][-1:] if "messages" in row else row["completion"]


def _training_template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The template TRL puts in the place of one that does not mark what the assistant says."""
    from trl import get_training_chat_template
    from trl.chat_template_utils import has_generation_markers

    if has_generation_markers(tokenizer.chat_template or ""):
        return None
    try:
        template: str | None = get_training_chat_template(tokenizer)
    except ValueError as error:
        raise TemplateError(
            "assistant_only_loss: the chat template does not mark what the assistant says; set `chat_template: r1`"
        ) from error
    return template
