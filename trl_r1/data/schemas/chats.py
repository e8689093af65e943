"""Schemas of whole responses: chats, traces with their verdicts, and pairs for a preference model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from trl_r1.data.schemas.answers import plain_gold
from trl_r1.data.schemas.forms import CHAT, TEXT, Form, Row, Rows, Schema


def _verified_generations(row: Row) -> list[dict[str, Any] | str]:
    """Each generation that a verifier or, where that failed, the judge confirmed and that ended by itself."""
    generations = row["generations"] or []
    if not generations:
        return ["generations_missing"]
    rows: list[dict[str, Any] | str] = []
    for index, text in enumerate(generations):
        verdicts = [_at(row.get(name), index) for name in ("correctness_math_verify", "correctness_llama")]
        if not isinstance(text, str) or not text.strip():
            rows.append("generation_empty")
        elif _at(row.get("is_reasoning_complete"), index) is False:
            rows.append("generation_incomplete")
        elif True not in verdicts:
            rows.append("generation_unverified")
        else:
            rows.append({"problem": row["problem"], "completion": text})
    return rows


def _at(values: Sequence[Any] | None, index: int) -> Any:
    return values[index] if values is not None and index < len(values) else None


def _openr1_prompt(row: Row) -> list[dict[str, Any] | str]:
    gold = plain_gold(row["answer"])
    if gold is None:
        return ["gold_missing"]
    return [{"problem": row["problem"], "solution": gold, "worked_solution": row.get("solution")}]


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _whole_chats(rows: Rows) -> bool:
    """Whether both responses begin with what the user says, so that the prompt stands in each of them."""
    seen = [row for row in rows if _is_chat(row["chosen"]) and _is_chat(row["rejected"])]
    begins = [row[name][0].get("role") for row in seen for name in ("chosen", "rejected")]
    return bool(seen) and "assistant" not in begins


def _split_pair(row: Row) -> list[dict[str, Any] | str]:
    chosen, rejected = row["chosen"], row["rejected"]
    if not _is_chat(chosen) or not _is_chat(rejected):
        return ["response_missing"]
    chosen, rejected = ([_plain(turn) for turn in chat] for chat in (chosen, rejected))
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    if shared == len(chosen) == len(rejected):
        return ["responses_equal"]
    if shared == 0:
        return ["prompts_differ"]
    if not chosen[shared:] or not rejected[shared:]:
        return ["response_missing"]
    return [{"prompt": chosen[:shared], "chosen": chosen[shared:], "rejected": rejected[shared:]}]


def _plain(turn: dict[str, Any]) -> dict[str, Any]:
    return {"role": turn.get("role"), "content": turn.get("content")}


def _orca_pair(row: Row) -> list[dict[str, Any] | str]:
    asked = row["question"]
    if not isinstance(asked, str) or not asked.strip():
        return ["prompt_missing"]
    system = row.get("system")
    turns = [{"role": "system", "content": system}] if isinstance(system, str) and system.strip() else []
    responses = {
        name: [{"role": "assistant", "content": row[name]}] if isinstance(row[name], str) else None
        for name in ("chosen", "rejected")
    }
    if None in responses.values():
        return ["response_missing"]
    return [{"prompt": [*turns, {"role": "user", "content": asked}], **responses}]


_PAIR_COLUMNS: Final = {"prompt": CHAT, "chosen": CHAT, "rejected": CHAT}

CHAT_SCHEMAS: Final = (
    Schema(
        name="messages",
        needs=(("messages",),),
        feeds={"sft": Form(mapping="prompt and completion <- messages")},
        refines=("prompt_completion", "question_answer", "gsm8k"),
        known="TRL's conversational form; what trl_r1 writes; NuminaMath-CoT",
    ),
    Schema(
        name="mixture_of_thoughts",
        needs=(("messages",), ("num_tokens",), ("source",)),
        feeds={"sft": Form(mapping="prompt and completion <- messages; num_tokens and source are not used")},
        refines=("messages", "prompt_completion"),
        known="open-r1/Mixture-of-Thoughts",
    ),
    Schema(
        name="prompt_completion",
        needs=(("prompt", "problem"), ("completion", "response")),
        feeds={"sft": Form(mapping="prompt <- prompt or problem, completion <- completion or response")},
        known="TRL's form",
    ),
    Schema(
        name="openr1_math",
        needs=(("problem",), ("generations",), ("correctness_math_verify", "correctness_llama")),
        feeds={
            "prompts": Form(
                mapping="problem <- problem, solution <- answer, worked_solution <- solution",
                convert=_openr1_prompt,
                columns={"problem": TEXT, "solution": TEXT, "worked_solution": TEXT},
                replaced=("answer", "messages", "generations"),
            ),
            "sft": Form(
                mapping="problem <- problem, completion <- each of generations that correctness_math_verify or "
                "correctness_llama confirms and that is complete",
                convert=_verified_generations,
                columns={"problem": TEXT, "completion": TEXT},
            ),
        },
        refines=("problem_answer", "worked_solution", "problem_solution"),
        known="open-r1/OpenR1-Math-220k",
    ),
    Schema(
        name="preference_pairs",
        needs=(("prompt", "problem"), ("chosen",), ("rejected",)),
        feeds={"preferences": Form(mapping="prompt <- prompt or problem, chosen <- chosen, rejected <- rejected")},
        known="TRL's form with an explicit prompt",
    ),
    Schema(
        name="preference_chats",
        needs=(("chosen",), ("rejected",)),
        feeds={
            "preferences": Form(
                mapping="prompt <- the turns chosen and rejected share, chosen and rejected <- the turns after them",
                convert=_split_pair,
                columns=_PAIR_COLUMNS,
            )
        },
        fits=_whole_chats,
        refines=("preference_pairs", "orca_pairs"),
        known="HuggingFaceH4/ultrafeedback_binarized, trl-lib/ultrafeedback_binarized",
    ),
    Schema(
        name="orca_pairs",
        needs=(("question",), ("chosen",), ("rejected",)),
        feeds={
            "preferences": Form(
                mapping="prompt <- system and question, chosen <- chosen, rejected <- rejected",
                convert=_orca_pair,
                columns=_PAIR_COLUMNS,
            )
        },
        known="Intel/orca_dpo_pairs",
    ),
)
