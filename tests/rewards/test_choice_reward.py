"""The choice reward: a batch as TRL hands it over, rows without gold, checks at load."""

import pickle

from trl_r1.rewards import build_rewards, get_choice_reward


OPTIONS = ["Rome", "Bern", "Oslo"]
RIGHT, WRONG, BOTH = ["<think> hm </think> " + text for text in ("(B)", "The answer is Oslo.", "(B) or (C)")]


def test_right_wrong_and_both():
    reward = get_choice_reward()
    assert reward([RIGHT, WRONG, BOTH], solution=["B"] * 3, choices=[OPTIONS] * 3) == [1.0, 0.0, 0.0]
    messages = [[{"role": "assistant", "content": RIGHT}]]
    assert reward(messages, solution=["Bern"], choices=[OPTIONS]) == [1.0]
    assert reward([RIGHT], solution=["B"]) == [1.0]


def test_rows_without_a_usable_gold_are_not_judged():
    reward = get_choice_reward()
    assert reward([RIGHT] * 3, solution=[None, "Z", "B"], choices=[OPTIONS] * 3) == [None, None, 1.0]


def test_the_thoughts_choose_nothing_and_a_prefilled_tag_is_seen():
    reward = get_choice_reward()
    assert reward(["<think> The answer is B. </think>", "The answer is B."], solution=["B"] * 2) == [0.0, 0.0]
    assert reward(["The answer is C. </think> (B)"], solution=["B"], prompt_tail=["<think>\n"]) == [1.0]


def test_reasons_are_logged():
    columns = {}
    get_choice_reward()([RIGHT, WRONG, BOTH], solution=["B", "B", None], log_extra=columns.__setitem__)
    assert columns == {"choice_verdict": ["B is the gold answer", "no option is chosen", ""]}


def test_other_columns_rows_checked_at_load_and_pickle():
    (reward,) = build_rewards([{"get_choice_reward": {"solution_column": "label", "choices_column": "options"}}])
    rows = [{"label": "B", "options": OPTIONS}, {"label": "D", "options": OPTIONS}, {"label": None}]
    assert reward.check_rows(rows) == [None, "'D' is not one of 3 choices", None]
    copy = pickle.loads(pickle.dumps(reward))
    assert copy.name == "choice_reward"
    assert copy([RIGHT], label=["B"], options=[OPTIONS]) == [1.0]


def test_two_answer_blocks_are_no_answer():
    blocks = "<think> so </think> <answer> A </answer> <answer> B </answer>"
    assert get_choice_reward()([blocks] * 2, solution=["A", "B"]) == [0.0, 0.0]
