"""The repetition penalty: loops in any script cost, honest chains do not."""

import pickle
import random

import pytest
from trl.rewards import get_repetition_penalty_reward

from trl_r1.errors import RewardError
from trl_r1.rewards import build_rewards, get_repetition_reward
from trl_r1.rewards.repetition import repeated_share, split_units


RNG = random.Random(0)
PAIRS = [(RNG.randrange(99), RNG.randrange(99)) for _ in range(12)]
RESTATED = "We let x be the number of apples and y of pears, so x plus y is twelve and x minus y is two. "
HONEST = {
    "enumeration": "".join(
        f"If n = {n}, then n^2 + 1 = {n * n + 1}, which is not divisible by 7. " for n in range(40)
    ),
    "table": "".join(f"{a} x {b} = {a * b}\n" for a in range(2, 10) for b in range(2, 10)),
    "Chinese": "".join(
        f"当 n = {n} 时，n 的平方加一等于 {n * n + 1}，除以七余 {(n * n + 1) % 7}。" for n in range(40)
    ),
    "checks": " ".join(
        f"Wait, let me double check that. So we have {a} plus {b}, so {a + b}. That matches what was found before."
        for a, b in PAIRS
    ),
    "Chinese checks": "".join(
        f"等一下，让我再检查一遍。{a} 加 {b} 等于 {a + b}，和前面的结果一致。" for a, b in PAIRS
    ),
    "trial division": "".join(
        f"{p} does not divide 8051 because 8051 = {p} * {8051 // p} + {8051 % p}. " for p in range(2, 60)
    ),
    "iteration": "".join(
        rf"\[ x_{{{i + 1}}} = x_{{{i}}} - \frac{{f(x_{{{i}}})}}{{f'(x_{{{i}}})}} = {RNG.random():.6f} \]"
        for i in range(30)
    ),
    "cases": "".join(
        f"Case {i}: the first die shows {i}. Then the second must show {7 - i}, so there is one way.\n"
        for i in range(7)
    ),
    "prints": "".join(f"print(add({a}, {b}))  # {a + b}\n" for a in range(8) for b in range(8)),
    "tiny world": " ".join(
        f"plus {RNG.choice('bcdefgh')} {RNG.randrange(1, 6)} {RNG.randrange(10)}" for _ in range(60)
    ),
    "restated once": RESTATED + "Let me verify. It should hold for both of them. " + RESTATED,
    "short": "4 plus 5 9",
    "empty": "",
}
LOOPS = {
    "Chinese": "你好" * 200,
    "Chinese sentence": "所以答案是十二，但是我们需要再检查一遍。" * 30,
    "Japanese": "もう一度考えます。" * 50,
    "English": "I should think about it again. " * 50,
    "word": "the " * 300,
    "dots": "." * 500,
    "Russian": "Проверим ещё раз. " * 50,
    "after an honest start": HONEST["trial division"] + "so we get it, but wait, we have to get it first. " * 120,
}


def thoughts(text):
    return [f"<think> {text} </think> 9"]


@pytest.mark.parametrize("name", HONEST)
def test_honest_chains_lose_nothing(name):
    assert get_repetition_reward()(thoughts(HONEST[name])) == [0.0]
    assert get_repetition_reward(reads="reasoning")(thoughts(HONEST[name])) == [0.0]


@pytest.mark.parametrize("name", LOOPS)
def test_loops_cost(name):
    for reads in ("response", "reasoning"):
        [penalty] = get_repetition_reward(reads=reads)(thoughts(LOOPS[name]))
        assert -1.0 <= penalty < (-0.3 if "honest" in name else -0.9)


def test_formula():
    assert split_units("x = 12, 我们 don't") == ["x", "=", "12", ",", "我", "们", "don", "'", "t"]
    assert repeated_share(["abcabcab"], 3) == 0.5  # abc bca cab, three times over: 3 of 6 are new
    assert repeated_share(["ab"], 3) == 0.0
    reward = get_repetition_reward(ngram_size=3, max_penalty=2.0, free_share=0.2)
    assert reward(["a b c a b c a b"]) == pytest.approx([-2.0 * (0.5 - 0.2) / 0.8])


def test_thoughts_and_answer_do_not_repeat_each_other():
    text = " ".join(f"w{chr(97 + i)}" for i in range(26))
    reward = get_repetition_reward(ngram_size=2, free_share=0.0)
    assert reward([f"<think> {text} </think> {text}"]) == [0.0]
    assert reward([f"<think> {text} {text} </think> 9"])[0] < -0.4
    # closings do not cut a loop into parts
    assert reward([f"<think> {text} </think> {text} </think> {text} </think> {text}"])[0] < -0.4


def test_everything_is_read_or_only_the_thoughts():
    loop = "the " * 300
    texts = [loop, f"<think> a </think> {loop}", f"{loop} <think> a </think> 9"]
    assert all(value < -0.9 for value in get_repetition_reward()(texts))
    assert get_repetition_reward(reads="reasoning")(texts) == [0.0, 0.0, 0.0]
    assert get_repetition_reward(reads="reasoning")([f"{loop} </think> 9"], prompt_tail=["<think>\n"])[0] < -0.9


def test_tokens_as_units():
    reward = get_repetition_reward(unit="tokens", ngram_size=2, free_share=0.0)
    ids = [[5, 5, 5, 5, 5], [1, 2, 3, 4], []]
    assert reward(["x"] * 3, completion_ids=ids) == pytest.approx([-0.75, 0.0, 0.0])
    ours = get_repetition_reward(unit="tokens", ngram_size=3, free_share=0.0)(["x"] * 3, completion_ids=ids)
    assert ours == pytest.approx(get_repetition_penalty_reward()(completion_ids=ids))
    with pytest.raises(RewardError, match="no completion_ids"):
        reward(["x"])


def test_trls_penalty_takes_honest_chains_too():
    """What the documentation says about the difference, with a token a unit."""
    units = split_units(HONEST["checks"])
    ids = [[hash(unit) for unit in units]]
    assert get_repetition_penalty_reward()(completion_ids=ids)[0] < -0.5
    assert get_repetition_reward()(thoughts(HONEST["checks"])) == [0.0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ngram_size": 0}, "ngram_size"),
        ({"ngram_size": 2.5}, "ngram_size"),
        ({"max_penalty": -1.0}, "max_penalty"),
        ({"free_share": 1.0}, "free_share"),
        ({"reads": "all"}, "reads"),
        ({"unit": "letters"}, "unit"),
        ({"unit": "tokens", "reads": "reasoning"}, "cannot be told apart in tokens"),
    ],
)
def test_arguments_are_checked(arguments, named):
    with pytest.raises(RewardError, match=named):
        get_repetition_reward(**arguments)


def test_metric_messages_recipe_and_pickle():
    metrics = {}
    [reward] = build_rewards([{"get_repetition_reward": {"max_penalty": 0.5}}])
    messages = [[{"role": "assistant", "content": text}] for text in (*thoughts("the " * 300), *thoughts("fine"))]
    scores = pickle.loads(pickle.dumps(reward))(messages, log_metric=metrics.__setitem__)
    assert (reward.name, scores[1]) == ("repetition_reward", 0.0)
    assert -0.5 <= scores[0] < -0.45
    assert 0.45 < metrics["repetition/share"] < 0.5
