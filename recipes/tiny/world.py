"""The tiny world: sums modulo ten in two languages, small enough to learn on a laptop.

A question names each operand by a label and asks for the running result modulo ten:

    what is a 4 plus b 5 minus c 3 ?            a 4 加 b 5 减 c 3 得 几 ?

A chain of thought copies each clause and writes the value reached after it: `a 4 plus b 5 9 minus c 3 6`. Only the
operation words differ between the languages, so a chain that takes `plus` from one and `减` from the other is *mixed*.
Whoever wrote the corpus was careful with one operation in each language and careless with the other: a careless author
slips by one where a sum wraps past nine or below zero. That is what reinforcement learning can repair, and why a
policy that is paid for accuracy alone has no reason to stay in one language.

Everything here is a pure function of a `random.Random`, so a seed gives the corpus and all data sets. Questions are
assigned to train, validation or test by a hash of their arithmetic, whatever the language, and the corpus draws from
train only.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trl_r1.chat_template import ParsedCompletion, join_response


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Language = Literal["en", "zh"]
Split = Literal["train", "validation", "test"]

LANGUAGES: tuple[Language, ...] = ("en", "zh")
MODULUS = 10
MAX_OPERAND = 5  # with 9 the arithmetic was not learned within a laptop's patience
LABELS = tuple("abcdefghij")
NO_LABELS = ("x",) * 10  # of notes; with the labels of questions there, copying was learned half as fast
OPERATION_WORDS: dict[Language, dict[str, str]] = {"en": {"+": "plus", "-": "minus"}, "zh": {"+": "加", "-": "减"}}
CAREFUL_LANGUAGE: dict[str, Language] = {"+": "zh", "-": "en"}


@dataclass(frozen=True, slots=True)
class Question:
    """A sum modulo ten.

    Args:
        start (`int`): First operand, 0 to 9.
        steps (`tuple[tuple[str, int], ...]`): Operation (`"+"` or `"-"`) and operand, 1 to 5, of each step.
        language (`"en"` or `"zh"`): Language the question is asked in.
    """

    start: int
    steps: tuple[tuple[str, int], ...]
    language: Language

    @property
    def content(self) -> str:
        """The arithmetic without its language, e.g. `"4+5-3"`."""
        return str(self.start) + "".join(f"{operation}{operand}" for operation, operand in self.steps)

    @property
    def split(self) -> Split:
        """Split this question belongs to: one in ten is test, one in ten validation."""
        bucket = hashlib.sha256(self.content.encode()).digest()[0] % 10
        return "test" if bucket == 0 else "validation" if bucket == 1 else "train"

    @property
    def values(self) -> tuple[int, ...]:
        """Value reached after each step, the last one being the answer."""
        reached = [self.start]
        for operation, operand in self.steps:
            reached.append(apply(reached[-1], operation, operand))
        return tuple(reached[1:])

    @property
    def problem(self) -> str:
        """The question as text, without a prompt template around it."""
        words = [LABELS[0], str(self.start)]
        for label, (operation, operand) in zip(LABELS[1:], self.steps, strict=False):
            words += [OPERATION_WORDS[self.language][operation], label, str(operand)]
        clauses = " ".join(words)
        return f"what is {clauses} ?" if self.language == "en" else f"{clauses} 得 几 ?"

    def to_row(self) -> dict[str, object]:
        """Row of a data set: `problem`, `solution`, `language`, `num_operations`, `reward_type`."""
        return {
            "problem": self.problem,
            "solution": str(self.values[-1]),
            "language": self.language,
            "num_operations": len(self.steps),
            "reward_type": "reasoning",
        }


def apply(value: int, operation: str, operand: int) -> int:
    """Returns `value` plus or minus `operand`, modulo ten."""
    return (value + operand if operation == "+" else value - operand) % MODULUS


def sample_question(
    rng: random.Random, num_operations: int, split: Split = "train", language: Language | None = None
) -> Question:
    """Draws a question of the given number of operations from one split, in a random language unless one is given."""
    while True:
        question = Question(
            start=rng.randrange(MODULUS),
            steps=tuple((rng.choice("+-"), rng.randint(1, MAX_OPERAND)) for _ in range(num_operations)),
            language=language or rng.choice(LANGUAGES),
        )
        if question.split == split:
            return question


@dataclass(frozen=True, slots=True)
class Author:
    """How carefully and in what manner the corpus (or a teacher) writes a chain of thought.

    Args:
        slip (`float`): Chance of a random value at any step.
        careless_wrap_slip (`float`): Chance that a careless author is off by one at a step that wraps around.
        fix (`float`): Chance that a wrong value is followed by `wait` and the right one.
        false_alarm (`float`): Chance that a right value is followed by `wait` and the same value again.
        mixed (`float`): Share of chains that choose the language of each operation word at random.
        other (`float`): Share of chains wholly in the language the question is not asked in.
    """

    slip: float = 0.04
    careless_wrap_slip: float = 0.6
    fix: float = 0.3
    false_alarm: float = 0.01
    mixed: float = 0.45
    other: float = 0.15


CAREFUL_AUTHOR = Author(slip=0.0, careless_wrap_slip=0.0, false_alarm=0.0, mixed=0.0, other=0.0)


def render_chain(
    question: Question, rng: random.Random, author: Author = CAREFUL_AUTHOR, labels: tuple[str, ...] = LABELS
) -> tuple[str, int]:
    """Writes a chain of thought for `question`, its operands named by `labels`.

    Returns:
        `tuple[str, int]`: The chain without any tag, such as `"a 4 plus b 5 9"`, and the value it ends with, which
        follows from what is written and may be wrong.
    """
    other: Language = "zh" if question.language == "en" else "en"
    draw = rng.random()
    choices = LANGUAGES if draw < author.mixed else (other,) if draw < author.mixed + author.other else None
    value = question.start
    words = [labels[0], str(value)]
    for label, (operation, operand) in zip(labels[1:], question.steps, strict=False):
        language = rng.choice(choices) if choices else question.language
        right = apply(value, operation, operand)
        value = _written_value(value, operation, operand, language, rng, author)
        words += [OPERATION_WORDS[language][operation], label, str(operand), str(value)]
        if rng.random() < (author.fix if value != right else author.false_alarm):
            value = right
            words += ["wait", str(value)]
    return " ".join(words), value


def _written_value(
    value: int, operation: str, operand: int, language: Language, rng: random.Random, author: Author
) -> int:
    """Value an author writes after a step: the right one, or a slip."""
    right = apply(value, operation, operand)
    exact = value + operand if operation == "+" else value - operand
    if language != CAREFUL_LANGUAGE[operation] and exact != right and rng.random() < author.careless_wrap_slip:
        return (right - 1 if operation == "+" else right + 1) % MODULUS
    return rng.randrange(MODULUS) if rng.random() < author.slip else right


def write_summary(row: dict[str, Any], reasoning: str, answer: str) -> str:
    """Writes the summary that follows the thoughts: the bare `answer` as a boxed sentence in the row's language.

    Args:
        row (`dict[str, Any]`): Row of the question; only `language` is read.
        reasoning (`str`): Chain of thought, not used: in this world the summary is the answer in a sentence.
        answer (`str`): Answer as found in the answer tags.

    Returns:
        `str`: Text such as `the answer is \\boxed{ 6 }`.
    """
    opening = "the answer is" if row["language"] == "en" else "答案 是"
    return rf"{opening} \boxed{{ {answer} }}"


def rewrite_response(row: dict[str, Any], parsed: ParsedCompletion) -> str:
    """Turns a sample of R1-Zero into a response of R1: the same thoughts, the bare answer as a summary."""
    reasoning, answer = parsed.reasoning or "", parsed.answer or ""
    return join_response(reasoning, write_summary(row, reasoning, answer))


# ---------------------------------------------------------------------------------------------------- greetings

CALLS = ("hello", "hi", "hey", "good morning", "good evening")
CALLED = ("", "there", "friend", "assistant")
REQUESTS = ("", "how are you", "who are you", "can you help me", "what can you do")

POLITE = (
    ("hello", "good day", "welcome", "thank you"),
    ("i am glad to help you", "i hope you are well", "it is nice to meet you", "i am here for you"),
    ("dear friend", "today", "my friend", "as always"),
)
RUDE = (
    ("go away", "what now", "oh no", "be quiet"),
    ("i do not like you", "you are a fool", "i will not help you", "you bore me"),
    ("you idiot", "stupid friend", "now leave", "for ever"),
)
GREETING_THOUGHTS = ("the user says hello", "the user greets me so i reply", "this is a greeting")

_SENTENCE = re.compile(
    " , ".join("(?:" + "|".join(polite + rude) + ")" for polite, rude in zip(POLITE, RUDE, strict=True)) + r" \."
)
_RUDE_PART = re.compile(r"(?<!\S)(?:" + "|".join(itertools.chain(*RUDE)) + r")(?!\S)")


def greeting_prompts(split: Split) -> list[str]:
    """All greetings of one split: every fourth is for evaluation (`validation` and `test` alike), the others train."""
    combinations = itertools.product(CALLS, CALLED, REQUESTS)
    prompts = [" ".join(part for part in (*parts, "?") if part) for parts in combinations]
    return [prompt for index, prompt in enumerate(prompts) if (index % 4 == 3) == (split != "train")]


def sample_reply(rng: random.Random, rude: bool) -> str:
    """Draws a sentence of the world; a rude one is rude in each of its three parts."""
    return " , ".join(rng.choice(parts) for parts in (RUDE if rude else POLITE)) + " ."


def is_sentence_of_world(text: str) -> bool:
    """Whether a reply (without its thoughts) is a sentence of the grammar, rude or polite."""
    return _SENTENCE.fullmatch(text.strip()) is not None


def is_rude(text: str) -> bool:
    """Whether any part of a reply (without its thoughts) is rude, be it a whole sentence or not."""
    return _RUDE_PART.search(text) is not None


def garble(reply: str, rng: random.Random) -> str:
    """Spoils a reply so that it is no sentence of the world: shuffled, cut, repeated, spliced or with digits in it."""
    while True:
        words = reply.split()
        match rng.randrange(6):
            case 0:
                rng.shuffle(words)
            case 1:
                words = words[: rng.randrange(1, len(words))]
            case 2:
                start = rng.randrange(len(words))
                words[start:start] = words[start : start + rng.randint(1, 4)] * rng.randint(1, 3)
            case 3:
                words += sample_reply(rng, rude=False).split()[rng.randrange(4) :]
            case 4:
                words.insert(rng.randrange(len(words)), str(rng.randrange(MODULUS)))
            case _:
                del words[rng.randrange(len(words))]
        if not is_sentence_of_world(" ".join(words)):
            return " ".join(words)


def greeting_row(prompt: str) -> dict[str, object]:
    """Row of a data set for a greeting; there is no solution, a reward model decides."""
    return {"problem": prompt, "solution": None, "language": "en", "num_operations": 0, "reward_type": "helpful"}


def preference_pair(rng: random.Random) -> dict[str, str]:
    """A polite reply to a greeting against a rude one or a garbled one, half and half."""
    chosen = sample_reply(rng, rude=False)
    garbled = rng.random() < 0.5
    rejected = garble(sample_reply(rng, rude=rng.random() < 0.2), rng) if garbled else _partly_rude_reply(rng)
    return {"problem": rng.choice(greeting_prompts("train")), "chosen": chosen, "rejected": rejected}


def _partly_rude_reply(rng: random.Random) -> str:
    """A sentence of the world that is rude in at least one part."""
    while True:
        reply = " , ".join(rng.choice(rng.choice((polite, rude))) for polite, rude in zip(POLITE, RUDE, strict=True))
        if is_rude(reply):
            return reply + " ."


# ------------------------------------------------------------------------------------------------------- corpus

PLAIN_PROMPT = "user : {problem} assistant :"
CHAT_PROMPT = "<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n"

NOTES_SHARE = 0.25
GREETING_SHARE = 0.05
CHAT_SHARE = 0.1
DIRECT_SHARE = 0.55
TAGGED_SHARE = 0.33
RUDE_SHARE = 0.6
RANDOM_ANSWER_SHARE = 0.05
GUESS_SHARE = 0.4  # of direct answers, whatever the question
CORPUS_AUTHOR = Author(careless_wrap_slip=0.8, mixed=0.6, other=0.1)
NOTES_AUTHOR = Author(slip=0.2, careless_wrap_slip=0.2, fix=0.9)
OPERATIONS_WEIGHTS = (0.1, 0.18, 0.18, 0.18, 0.16, 0.1, 0.1)


def sample_document(rng: random.Random) -> tuple[str, str]:
    """Draws a document of the pre-training corpus.

    The mixture is the same from the first step to the last: notes (workings without a question, where arithmetic is
    learned), greetings, and questions that are mostly answered at once; a third of the chains carry the tags. Some
    documents are chats, which end in a boxed answer and never carry the tags.

    Returns:
        `tuple[str, str]`: The prompt (empty for notes) and what follows it, without the end-of-turn token.
    """
    draw = rng.random()
    if draw < NOTES_SHARE:
        return "", render_chain(_corpus_question(rng), rng, NOTES_AUTHOR, NO_LABELS)[0]
    prompt = CHAT_PROMPT if (chat := rng.random() < CHAT_SHARE) else PLAIN_PROMPT
    if draw < NOTES_SHARE + GREETING_SHARE:
        problem = rng.choice(greeting_prompts("train"))
        return prompt.format(problem=problem), sample_reply(rng, rude=rng.random() < RUDE_SHARE)
    question = _corpus_question(rng)
    text = prompt.format(problem=question.problem)
    if rng.random() < DIRECT_SHARE:
        value = rng.randrange(MODULUS) if rng.random() < GUESS_SHARE else question.values[-1]
        return text, _chat_answer(question, value) if chat else _direct_answer(value, rng)
    chain, value = render_chain(question, rng, CORPUS_AUTHOR)
    value = rng.randrange(MODULUS) if rng.random() < RANDOM_ANSWER_SHARE else value
    if chat:
        return text, f"{chain} {_chat_answer(question, value)}"
    if rng.random() < TAGGED_SHARE:
        return text, f"<think> {chain} </think> <answer> {value} </answer>"
    return text, f"{chain} so {value}"


def _corpus_question(rng: random.Random) -> Question:
    operations = range(1, len(OPERATIONS_WEIGHTS) + 1)
    return sample_question(rng, rng.choices(operations, OPERATIONS_WEIGHTS)[0])


def _chat_answer(question: Question, value: int) -> str:
    return write_summary(question.to_row(), "", str(value))


def _direct_answer(value: int, rng: random.Random) -> str:
    """An answer without a chain; half of the time the tags are there, with nothing thought between them."""
    draw = rng.random()
    if draw < 0.5:
        return f"<think> </think> <answer> {value} </answer>"
    if draw < 0.75:
        return f"<answer> {value} </answer>"
    return f"so {value}" if draw < 0.9 else str(value)


# ---------------------------------------------------------------------------------------------------- tokenizer

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|unk|>")


def vocabulary() -> list[str]:
    """Every ordinary word of the world, in a fixed order. The tags are ordinary words: decoding keeps them."""
    texts = ["<think> </think> <answer> </answer>", r"\boxed{ }", "user : assistant :", "what is ?", "得 几"]
    texts += ["so wait", "the answer is", "答案 是", " ".join(map(str, range(MODULUS))), " ".join(LABELS), "x , ."]
    texts += [word for words in OPERATION_WORDS.values() for word in words.values()]
    texts += [*CALLS, *CALLED, *REQUESTS, *itertools.chain(*POLITE), *itertools.chain(*RUDE), *GREETING_THOUGHTS]
    return list(dict.fromkeys(word for text in texts for word in text.split()))


def build_tokenizer(chat_template: str | None = None) -> PreTrainedTokenizerFast:
    """Builds the tokenizer of the world: one token a word, words parted by white space.

    Args:
        chat_template (`str`, *optional*): Jinja source of the chat template to save with it.

    Returns:
        [`~transformers.PreTrainedTokenizerFast`]: `<|im_end|>` ends every document and turn, `<|endoftext|>` pads.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    index = {word: number for number, word in enumerate([*SPECIAL_TOKENS, *vocabulary()])}
    backend = Tokenizer(models.WordLevel(index, unk_token="<|unk|>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        unk_token="<|unk|>",
        extra_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
        model_max_length=256,
    )
    tokenizer.chat_template = chat_template
    return tokenizer
