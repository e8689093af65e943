"""Wrong rewards around a judge. See `mutants.py`."""

import re

from mutants import answers, mutant
from scripted_judge import judge_options

from trl_r1.errors import RewardError
from trl_r1.rewards import get_judge_reward
from trl_r1.rewards.judge import VERDICTS, read_verdict


def judge(**options):
    return get_judge_reward(**judge_options() | options)


async def ask(completions, problem, solution, read=read_verdict, messages=None, texts=None):
    """Our judge reward with another way to ask or to read the reply."""
    reward = judge()
    texts = texts or answers(completions)
    rows = [row for row, text in enumerate(texts) if solution[row] is not None and 0 < len(text) < 20_000]
    questions = [(messages or reward.messages)(problem[row], solution[row], texts[row]) for row in rows]
    asked = dict(zip(rows, await reward.endpoint.ask(questions, read), strict=True))
    unasked = [None if gold is None else 0.0 for gold in solution]
    return [
        (None if asked[row].failure else asked[row].reply[0]) if row in asked else unasked[row]
        for row in range(len(texts))
    ]


def marked(code, question, reference, answer):
    parts = {"QUESTION": question, "REFERENCE": reference, "SUBMISSION": answer}
    blocks = [f"[{name}{code}]\n{part}\n[END OF {name}{code}]" for name, part in parts.items()]
    return [{"role": "user", "content": "\n\n".join(blocks)}]


def verdicts_in(reply):
    found = re.findall(r'"correctness": "(\w+)"', reply)
    if not found:
        raise ValueError("none")
    return found


@mutant("judge", "quoted_first")
async def takes_the_first_verdict_in_the_reply(completions, problem, solution, **kwargs):
    return await ask(completions, problem, solution, lambda reply: (VERDICTS[verdicts_in(reply)[0]], ""))


@mutant("judge", "quoted_last", "reply_two_verdicts")
async def takes_the_last_verdict_in_the_reply(completions, problem, solution, **kwargs):
    return await ask(completions, problem, solution, lambda reply: (VERDICTS[verdicts_in(reply)[-1]], ""))


@mutant("judge", "honest_wrong", "reply_prose", "reply_empty", "reply_other_word", "mixed_batch")
async def looks_for_the_word_correct(completions, problem, solution, **kwargs):
    return await ask(completions, problem, solution, lambda reply: (float("correct" in reply), ""))


@mutant("judge", "reply_fenced", "reply_after_thoughts")
async def wants_bare_json(completions, problem, solution, **kwargs):
    def read(reply):
        return read_verdict(reply if reply.startswith("{") else "")

    return await ask(completions, problem, solution, read)


@mutant("judge", "status_500", "status_422", "reply_prose", "reply_cut_off", "no_reference", "failure_beside_verdicts")
async def takes_a_failure_for_wrong(**batch):
    return [value or 0.0 for value in await judge()(**batch)]


@mutant("judge", "failure_beside_verdicts")
async def loses_the_batch_with_one_failure(solution, **batch):
    values = await judge()(solution=solution, **batch)
    lost = any(value is None and gold is not None for value, gold in zip(values, solution, strict=True))
    return [None] * len(values) if lost else values


@mutant("judge", "status_401")
async def swallows_every_exception(completions, **batch):
    try:
        return await judge()(completions=completions, **batch)
    except RewardError:
        return [None] * len(completions)


@mutant("judge", "status_500_once")
async def asks_only_once(**batch):
    return await judge(max_retries=0)(**batch)


@mutant("judge", "closing_mark", "second_reference")
async def marks_without_a_code(completions, problem, solution, **kwargs):
    return await ask(completions, problem, solution, messages=lambda *parts: marked("", *parts))


@mutant("judge", "closing_mark_with_code")
async def marks_with_a_code_that_is_known(completions, problem, solution, **kwargs):
    return await ask(completions, problem, solution, messages=lambda *parts: marked(" 0123456789abcdef", *parts))


@mutant("judge", "chat_marks")
async def lets_chat_marks_through(completions, problem, solution, **kwargs):
    return await ask(completions, problem, solution, messages=lambda *parts: marked(" 8f3a", *parts))


@mutant("judge", "only_in_thoughts", "thoughts_unclosed", "no_answer")
async def shows_the_judge_the_thoughts(completions, problem, solution, **kwargs):
    return await ask(completions, problem, solution, texts=completions)
