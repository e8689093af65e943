"""Wrong rewards around models, wrong routes and wrong punishments of length. See `mutants.py`."""

import functools

from mutants import answers, mutant
from tiny_reward_model import reward_model

from trl_r1.chat_template import completion_text
from trl_r1.errors import RewardError
from trl_r1.rewards import accuracy_reward, get_choice_reward, get_preference_reward


# --- overlong: limit 100, cache 20


def punished(lengths, limit=100, cache=20):
    return [min(0.0, max(-1.0, (limit - cache - length) / cache)) for length in lengths]


def lengths_of(completion_ids):
    return [len(ids) for ids in completion_ids]


@mutant("overlong", "honest_many_characters", "few_characters", "middle", "limit")
def punishes_by_characters(completions, **kwargs):
    return punished([len(completion_text(completion)) for completion in completions])


@mutant("overlong", "honest_short", "honest_last_free", "limit", "beyond")
def punishes_the_short(completion_ids, **kwargs):
    return [-1.0 - value for value in punished(lengths_of(completion_ids))]


@mutant("overlong", "beyond", "far_beyond")
def gets_ever_worse(completion_ids, **kwargs):
    return [min(0.0, (80 - length) / 20) for length in lengths_of(completion_ids)]


@mutant("overlong", "honest_short", "no_token")
def pays_for_being_short(completion_ids, **kwargs):
    return [max(-1.0, (80 - length) / 20) for length in lengths_of(completion_ids)]


@mutant("overlong", "middle", "limit", "mixed_batch")
def begins_at_the_limit(completion_ids, **kwargs):
    return punished(lengths_of(completion_ids), limit=120)


# --- preference: a random model


@functools.cache
def helpful():
    return get_preference_reward(reward_model())


@functools.cache
def whole():
    return get_preference_reward(reward_model(), reads="response")


@mutant("preference", "thoughts", "unanswered_thoughts")
def reads_the_thoughts(**batch):
    return whole()(**batch)


@mutant("preference", "unanswered")
def exempts_the_unanswered(completions, **batch):
    values = helpful()(completions=completions, **batch)
    return [value if text else None for value, text in zip(values, answers(completions), strict=True)]


@mutant("preference", "other_type", "no_type", "mixed_batch")
def scores_every_type(reward_type, **batch):
    return helpful()(**batch)


@mutant("preference", "other_type", "mixed_batch")
def takes_other_types_for_bad(**batch):
    return [value or 0.0 for value in helpful()(**batch)]


@mutant("preference", "padding")
def takes_padding_for_text(completions, problem, reward_type, **kwargs):
    texts = [f"{question}\n{text}" for question, text in zip(problem, answers(completions), strict=True)]
    values = []
    for start in range(0, len(texts), 16):
        part = texts[start : start + 16]
        longest = max(len(text.split()) for text in part)
        padded = [" ".join([text, *["so"] * (longest - len(text.split()))]) for text in part]
        values += helpful().score([("", text) for text in padded])
    return [value if of == "helpful" else None for value, of in zip(values, reward_type, strict=True)]


@mutant("preference", "order", "padding")
def leans_towards_the_first(**batch):
    values = helpful()(**batch)
    return [None if value is None else value - 0.01 * place for place, value in enumerate(values)]


@mutant("preference", "template_does_not_count")
def reads_the_template(prompts, problem, **batch):
    return helpful()(prompts=prompts, **batch)


@mutant("preference", "question_counts")
def forgets_the_question(prompts, problem, **batch):
    return helpful()(prompts=[""] * len(prompts), **batch)


@mutant("preference", "honest_two_answers")
def knows_no_preference(completions, reward_type, **kwargs):
    return [0.5 if of == "helpful" else None for of in reward_type]


# --- routed: `reasoning` to accuracy, `choice` to choices, `helpful` to none


def routed(completions, solution, choices, types):
    """Each row alone, by the reward of the type given."""
    rows = zip(completions, solution, choices, types, strict=True)
    return [one_routed(*row) for row in rows]


def one_routed(completion, gold, options, of):
    if of == "choice":
        return get_choice_reward()([completion], solution=[gold], choices=[options])[0]
    return accuracy_reward([completion], solution=[gold])[0] if of in ("reasoning", None) else None


@mutant("routed", "honest_option_by_text", "number_for_option")
def routes_every_row_to_the_first_reward(completions, solution, **kwargs):
    return accuracy_reward(completions, solution=solution)


@mutant("routed", "mixed_batch", "columns_of_the_row")
def keeps_the_columns_of_the_first_rows(completions, solution, choices, reward_type, **kwargs):
    values = [None] * len(completions)
    for of in set(reward_type):
        rows = [row for row, name in enumerate(reward_type) if name == of]
        part = routed(
            [completions[row] for row in rows], solution[: len(rows)], choices[: len(rows)], [of] * len(rows)
        )
        for row, value in zip(rows, part, strict=True):
            values[row] = value
    return values


@mutant("routed", "mixed_batch")
def puts_the_rows_back_by_type(completions, solution, choices, reward_type, **kwargs):
    values = routed(completions, solution, choices, reward_type)
    order = sorted(range(len(values)), key=lambda row: str(reward_type[row]))
    return [values[row] for row in order]


@mutant("routed", "unknown_type")
def takes_an_unknown_type_for_wrong(completions, solution, choices, reward_type, **kwargs):
    values = routed(completions, solution, choices, reward_type)
    return [0.0 if of == "chess" else value for value, of in zip(values, reward_type, strict=True)]


@mutant("routed", "unknown_type")
def breaks_on_an_unknown_type(completions, solution, choices, reward_type, **kwargs):
    known = {"reasoning": "reasoning", None: None, "choice": "choice", "helpful": "helpful"}
    return routed(completions, solution, choices, [known[of] for of in reward_type])  # KeyError: a fault, no refusal


@mutant("routed", "no_reward", "mixed_batch")
def takes_a_type_without_reward_for_wrong(completions, solution, choices, reward_type, **kwargs):
    if "chess" in reward_type:
        raise RewardError("reward_type: 'chess' has no route")
    return [value or 0.0 for value in routed(completions, solution, choices, reward_type)]
