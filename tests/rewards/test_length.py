"""The length reward by group against the paper's formula and open-r1's defects; TRL's own length rewards."""

import pickle
from fractions import Fraction
from types import SimpleNamespace

import pytest
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler
from trl.trainer.utils import RepeatSampler

from trl_r1.errors import RewardError
from trl_r1.rewards import build_rewards, get_length_reward


RIGHT, WRONG = "<think> a </think> 9", "<think> a </think> 8"
TRAINING = SimpleNamespace(max_steps=10)


def score(texts, lengths, prompts=None, solution=None, reward=None, **columns):
    columns.setdefault("solution", solution or ["9"] * len(texts))
    return (reward or get_length_reward())(
        completions=texts,
        completion_ids=[[0] * length for length in lengths],
        prompts=prompts or ["4 + 5?"] * len(texts),
        **columns,
    )


def test_short_right_answers_are_preferred():
    assert score([RIGHT, RIGHT, RIGHT, WRONG, WRONG], [10, 20, 30, 10, 30]) == [0.5, 0.0, -0.5, 0.0, -0.5]


def test_equal_lengths_say_nothing():
    assert score([RIGHT, WRONG], [7, 7]) == [0.0, 0.0]
    assert score([RIGHT], [7]) == [0.0]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9000)), min_size=1, max_size=20))
def test_it_is_the_papers_formula(group):
    lengths = [length for _, length in group]
    rewards = score(
        ["x"] * len(group), lengths, reward=get_length_reward(correct_column="ok"), ok=[r for r, _ in group]
    )
    spread = max(lengths) - min(lengths)
    for (right, length), reward in zip(group, rewards, strict=True):
        exact = Fraction(1, 2) - Fraction(length - min(lengths), spread) if spread else Fraction(0)
        assert reward == pytest.approx(float(exact if right else min(Fraction(0), exact)), abs=1e-12)
        assert not right or 1 + reward > 0.0  # beside an accuracy reward, no wrong answer is worth more


def test_a_group_is_a_prompt_and_not_the_batch():
    # open-r1 scored these two right answers +0.5 and -0.5 against each other
    assert score([RIGHT, RIGHT], [10, 500], prompts=["4 + 5?", "a long one?"]) == [0.0, 0.0]
    lengths, prompts = [10, 20, 500, 900], ["p", "p", "q", "q"]
    assert score([RIGHT] * 4, lengths, prompts=prompts) == [0.5, -0.5, 0.5, -0.5]
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    assert score([RIGHT] * 4, lengths, prompts=chats) == [0.5, -0.5, 0.5, -0.5]


def test_lengths_are_in_tokens():
    assert score([RIGHT + " " * 500, RIGHT], [5, 9]) == [0.5, -0.5]


def test_without_a_usable_gold_nobody_is_rewarded():
    assert score([RIGHT, RIGHT], [5, 9], solution=[None, None]) == [None, None]
    assert score([RIGHT, RIGHT], [5, 9], solution=["", ""]) == [None, None]  # open-r1: counted as right


def test_an_answer_that_cannot_be_judged_takes_no_part():
    reward = get_length_reward(correct_column="ok")
    assert score(["x"] * 3, [1, 10, 20], reward=reward, ok=[None, True, True]) == [None, 0.5, -0.5]


def test_a_missing_column_is_named():
    with pytest.raises(RewardError, match="no column 'ok'"):
        score([RIGHT], [5], reward=get_length_reward(correct_column="ok"))
    with pytest.raises(RewardError, match="no column 'solution'"):
        get_length_reward()(completions=[RIGHT], completion_ids=[[0]], prompts=["p"])


@pytest.mark.parametrize("argument", ["num_generations", "num_generations_eval"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "8"])
def test_sizes_are_checked(argument, value):
    with pytest.raises(RewardError, match=argument):
        get_length_reward(**{argument: value})


def test_a_prompt_that_stands_twice_running_makes_two_groups():
    lengths = [10, 20, 500, 900]
    assert score([RIGHT] * 4, lengths, reward=get_length_reward(2)) == [0.5, -0.5, 0.5, -0.5]
    assert score([RIGHT] * 4, lengths)[:2] == pytest.approx([0.5, 0.5 - 10 / 890])


def rows_of_process(process, rows, groups_of=4, processes=2):
    """Rows of the first rollout that a process gets from TRL's sampler through accelerate."""
    sampler = RepeatSampler(range(8), mini_repeat_count=groups_of, batch_size=4, seed=0)
    batches = BatchSampler(sampler, batch_size=rows, drop_last=True)
    return next(iter(BatchSamplerShard(batches, num_processes=processes, process_index=process)))


def test_trl_splits_groups_between_processes_and_that_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    half, whole = rows_of_process(0, rows=2), rows_of_process(1, rows=8)
    assert half == rows_of_process(1, rows=2)  # the other half of the same group
    assert [len(set(whole[:4])), len(set(whole[4:]))] == [1, 1]
    reward = get_length_reward(num_generations=4)
    with pytest.raises(RewardError, match=r"2 completions of one prompt, no multiple of num_generations 4"):
        score([RIGHT] * 2, [5, 9], prompts=[str(row) for row in half], reward=reward, trainer_state=TRAINING)
    prompts = [str(row) for row in whole]
    scores = score([RIGHT] * 8, range(8), prompts=prompts, reward=reward, trainer_state=TRAINING)
    assert scores == pytest.approx([0.5, 1 / 6, -1 / 6, -0.5] * 2)
    with pytest.raises(RewardError, match="num_generations is not set"):
        score([RIGHT] * 2, [5, 9], trainer_state=TRAINING)


def test_evaluation_may_have_groups_of_its_own_size(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    reward = get_length_reward(num_generations=4, num_generations_eval=2)
    assert score([RIGHT] * 2, [5, 9], reward=reward, trainer_state=TRAINING) == [0.5, -0.5]


def test_probes_and_offline_scoring_are_not_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert score([RIGHT] * 2, [5, 9], trainer_state=SimpleNamespace(max_steps=0)) == [0.5, -0.5]


def test_from_a_recipe_and_through_pickle():
    [reward] = build_rewards([{"get_length_reward": {"num_generations": 2}}])
    assert reward.name == "length_reward"
    assert score([RIGHT, RIGHT], [5, 9], reward=pickle.loads(pickle.dumps(reward))) == [0.5, -0.5]


def test_soft_overlong_punishment_is_dapos_equation_13():
    [reward] = build_rewards(
        [{"get_soft_overlong_punishment": {"max_completion_len": 20480, "soft_punish_cache": 4096}}]
    )
    lengths = [0, 1, 16383, 16384, 16385, 18432, 20479, 20480, 20481, 40000]

    def equation_13(length, longest=20480, cache=4096):
        if length <= longest - cache:
            return 0.0
        return (longest - cache - length) / cache if length <= longest else -1.0

    completion_ids = [range(length) for length in lengths]
    assert reward(completions=["x"] * len(lengths), completion_ids=completion_ids) == list(map(equation_13, lengths))


def test_cosine_reward_of_trl_does_not_climb_again():
    [reward] = build_rewards([{"get_cosine_scaled_reward": {"max_len": 100}}])
    completions = [[{"role": "assistant", "content": rf"\boxed{{{answer}}}"}] for answer in (9, 8)]

    def at(length, gold="$9$"):
        return reward(completions=completions, solution=[gold] * 2, completion_ids=[[0] * length] * 2)

    assert at(0) == [1.0, -1.0]
    assert at(100) == at(150) == at(200) == [0.5, -0.5]  # open-r1: 1.0 again at 200
    assert at(50, gold="") == [None, None]  # open-r1: right
