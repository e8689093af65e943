r"""Schemas of questions with a gold answer: a column, the last box of a worked solution, or what follows `####`."""

from __future__ import annotations

import json
import re
import string
from typing import Any, Final

from trl_r1.chat_template import join_response
from trl_r1.data.held_out import bare_question
from trl_r1.data.schemas.forms import TEXT, TEXTS, Form, Row, Rows, Schema
from trl_r1.verifiers.answers.extraction import last_box


GSM_MARK: Final = "####"
NO_ANSWERS: Final = frozenset(("proof", "notfound", "not found", "nan", "none", "n/a", "null"))  # NuminaMath 1.5

_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_CALCULATOR: Final = re.compile(r"<<[^<>]*>>")  # GSM8K's calls of a calculator
_ANSWERS: Final = ("answer", "answerkey", "answer_key", "answer_index", "correct_answer")


def gsm_answer(text: str) -> tuple[str, str] | None:
    """Worked solution and gold answer of GSM8K; `None` where no line `#### ...` ends it: others head paragraphs so."""
    worked, mark, gold = text.rpartition(GSM_MARK)
    if not mark or not gold.strip() or "\n" in gold.strip():
        return None
    return _CALCULATOR.sub("", worked).strip(), _THOUSANDS.sub("", gold.strip().removeprefix("$"))


def plain_gold(answer: Any) -> str | None:
    """A gold answer as text; `None` for what only says that there is none."""
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        return None
    text = str(answer).strip()
    return None if not text or text.lower() in NO_ANSWERS else text


def _problem_answer(row: Row) -> list[dict[str, Any] | str]:
    gold = plain_gold(row["answer"])
    return [
        {"problem": row["problem"], "solution": gold, "worked_solution": row.get("solution")}
        if gold is not None
        else "gold_missing"
    ]


def _worked_solution(row: Row) -> list[dict[str, Any] | str]:
    box = last_box(row["solution"]) if isinstance(row["solution"], str) else None
    if not box or not box.strip():
        return ["no_boxed_answer"]
    return [{"problem": row["problem"], "solution": box.strip(), "worked_solution": row["solution"]}]


def _looks_worked(rows: Rows) -> bool:
    """Whether every solution is a text that ends in a box, rather than a value."""
    texts = [row["solution"] for row in rows if isinstance(row["solution"], str) and row["solution"].strip()]
    boxes = [(text.strip(), last_box(text)) for text in texts]
    return bool(boxes) and all(box is not None and len(text) > len(box) + len(r"$\boxed{}$.") for text, box in boxes)


def _question_answer(row: Row) -> list[dict[str, Any] | str]:
    answer = row["answer"]
    if not isinstance(answer, str) or gsm_answer(answer) is None:
        gold = plain_gold(answer)
        return [{"problem": row["question"], "solution": gold, "worked_solution": None} if gold else "gold_missing"]
    return _after_mark(row)


def _after_mark(row: Row) -> list[dict[str, Any] | str]:
    found = gsm_answer(row["answer"]) if isinstance(row["answer"], str) else None
    if found is None:
        return ["no_answer_after_mark"]
    return [{"problem": row["question"], "solution": found[1], "worked_solution": found[0]}]


def _marked(rows: Rows) -> bool:
    """Whether most answers end in `#### ...`; a heading of Markdown in one is none."""
    answers = [row["answer"] for row in rows if isinstance(row["answer"], str) and row["answer"].strip()]
    return 2 * sum(gsm_answer(answer) is not None for answer in answers) > len(answers)


def _marked_completion(row: Row) -> list[dict[str, Any] | str]:
    found = gsm_answer(row["answer"]) if isinstance(row["answer"], str) else None
    if found is None:
        return ["no_answer_after_mark"]
    worked, gold = found
    if not worked:
        return ["no_worked_solution"]
    return [{"problem": row["question"], "completion": join_response(worked, rf"\boxed{{{gold}}}")}]


def _answer_completion(row: Row) -> list[dict[str, Any] | str]:
    answer = row["answer"]
    usable = isinstance(answer, str) and answer.strip()
    return [{"problem": row["question"], "completion": answer} if usable else "completion_missing"]


def _nested_gold(row: Row) -> list[dict[str, Any] | str]:
    asked = row["prompt"]
    if isinstance(asked, list):
        users = [turn.get("content") for turn in asked if isinstance(turn, dict) and turn.get("role") == "user"]
        asked = users[-1] if users else None
    gold = plain_gold(_only_item((row["reward_model"] or {}).get("ground_truth")))
    if not isinstance(asked, str) or not asked.strip():
        return ["prompt_missing"]
    return [{"problem": bare_question(asked), "solution": gold} if gold is not None else "gold_missing"]


def _only_item(gold: Any) -> Any:
    """The gold answer of a list of one, which Skywork-OR1 writes as JSON; `None` of a list of several or none."""
    if isinstance(gold, str) and gold.strip().startswith('["'):
        try:
            gold = json.loads(gold)
        except json.JSONDecodeError:
            return gold
    if isinstance(gold, list):
        return gold[0] if len(gold) == 1 else None
    return gold


def _has_nested_gold(rows: Rows) -> bool:
    return any(isinstance(row["reward_model"], dict) and "ground_truth" in row["reward_model"] for row in rows)


def _multiple_choice(row: Row) -> list[dict[str, Any] | str]:
    given = row.get("choices") if row.get("choices") is not None else row.get("options")
    labels: list[str] = []
    if isinstance(given, dict):  # ARC: texts and their labels; or the labels are the keys
        both = "text" in given and "label" in given
        labels = [str(label) for label in given["label"]] if both else list(given)
        given = list(given["text"]) if both else list(given.values())
    if not isinstance(given, list) or not 2 <= len(given) <= len(string.ascii_uppercase):
        return ["options_missing"]
    options = [str(option).strip() for option in given]
    gold = next((row[name] for name in _ANSWERS if row.get(name) is not None), None)
    number = row.get("answer_index")  # MMLU-Pro's, which no text can be taken for
    index = _option_index(gold if number is None else number, options, labels)
    question = row.get("question") if row.get("question") is not None else row.get("problem")
    if index is None or not isinstance(question, str):
        return ["answer_is_no_option" if isinstance(question, str) else "prompt_missing"]
    letters = string.ascii_uppercase[: len(options)]
    shown = "\n".join(f"({letter}) {option}" for letter, option in zip(letters, options, strict=True))
    row_type = {"reward_type": "choice", "choices": options}
    return [{"problem": f"{question.strip()}\n\n{shown}", "solution": letters[index], **row_type}]


def _option_index(gold: Any, options: list[str], labels: list[str]) -> int | None:
    """Which option a gold answer is: by its label, its number from 0, its letter, or its text."""
    if isinstance(gold, bool) or gold is None:
        return None
    text = str(gold).strip()
    if text in labels:
        return labels.index(text)
    if isinstance(gold, int):
        return gold if 0 <= gold < len(options) else None
    letter = text.strip("().").upper()
    known = string.ascii_uppercase[: len(options)]
    by_letter = known.index(letter) if len(letter) == 1 and letter in known else None
    by_text = options.index(text) if options.count(text) == 1 else None
    if by_letter is None or by_text is None:
        return by_text if by_letter is None else by_letter
    return by_text if by_text == by_letter else None  # "A" of the options O, A, B, AB may be either


_GOLD_COLUMNS: Final = {"problem": TEXT, "solution": TEXT, "worked_solution": TEXT}

ANSWER_SCHEMAS: Final = (
    Schema(
        name="problem_solution",
        needs=(("problem",), ("solution",)),
        feeds={"prompts": Form(mapping="problem <- problem, solution <- solution")},
        known="what trl_r1 writes",
    ),
    Schema(
        name="problem_answer",
        needs=(("problem",), ("answer",)),
        feeds={
            "prompts": Form(
                mapping="problem <- problem, solution <- answer, worked_solution <- solution",
                convert=_problem_answer,
                columns=_GOLD_COLUMNS,
                replaced=("answer", "messages"),
            )
        },
        refines=("problem_solution", "worked_solution"),
        known="DeepScaleR, MATH-500, aime_2024, NuminaMath-1.5",
    ),
    Schema(
        name="worked_solution",
        needs=(("problem",), ("solution",)),
        feeds={
            "prompts": Form(
                mapping=r"problem <- problem, solution <- last \boxed{} of solution, worked_solution <- solution",
                convert=_worked_solution,
                columns=_GOLD_COLUMNS,
                replaced=("messages",),
            )
        },
        fits=_looks_worked,
        refines=("problem_solution",),
        known="MATH, NuminaMath-CoT",
    ),
    Schema(
        name="question_answer",
        needs=(("question",), ("answer",)),
        feeds={
            "prompts": Form(
                mapping="problem <- question, solution <- answer",
                convert=_question_answer,
                columns=_GOLD_COLUMNS,
                replaced=("question", "answer"),
            ),
            "sft": Form(
                mapping="problem <- question, completion <- answer",
                convert=_answer_completion,
                columns={"problem": TEXT, "completion": TEXT},
            ),
        },
        fits=lambda rows: not _marked(rows),
        known="opencompass/AIME2025",
    ),
    Schema(
        name="gsm8k",
        needs=(("question",), ("answer",)),
        feeds={
            "prompts": Form(
                mapping="problem <- question, solution <- answer after ####, worked_solution <- answer before ####",
                convert=_after_mark,
                columns=_GOLD_COLUMNS,
                replaced=("question", "answer"),
            ),
            "sft": Form(
                mapping=r"problem <- question, completion <- <think> answer before #### </think> \boxed{after ####}",
                convert=_marked_completion,
                columns={"problem": TEXT, "completion": TEXT},
            ),
        },
        fits=_marked,
        refines=("question_answer",),
        known="GSM8K",
    ),
    Schema(
        name="dapo_math",
        needs=(("prompt",), ("reward_model",)),
        feeds={
            "prompts": Form(
                mapping="problem <- what the user says last in prompt, without DAPO's instruction, "
                "solution <- reward_model.ground_truth",
                convert=_nested_gold,
                columns={"problem": TEXT, "solution": TEXT},
                replaced=("prompt", "reward_model"),
            )
        },
        fits=_has_nested_gold,
        known="DAPO-Math-17k and other sets written for verl",
    ),
    Schema(
        name="multiple_choice",
        needs=(("question", "problem"), ("choices", "options"), _ANSWERS),
        feeds={
            "prompts": Form(
                mapping="problem <- question and options, solution <- letter of answer, choices <- options, "
                "reward_type <- choice",
                convert=_multiple_choice,
                columns={"problem": TEXT, "solution": TEXT, "choices": TEXTS, "reward_type": TEXT},
                replaced=("question", "options", *_ANSWERS),
            )
        },
        refines=("question_answer", "problem_answer", "problem_solution", "gsm8k", "worked_solution"),
        known="MMLU, ARC",
    ),
)
