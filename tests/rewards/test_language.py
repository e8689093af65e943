"""Which words count for which language, and what the language reward makes of them."""

import pickle

import pytest

from trl_r1.errors import RewardError
from trl_r1.rewards import count_words, detect_language, get_language_consistency_reward, is_mixed


LABELS = tuple("abcdefghij")
HAN = 1 / 1.5

COUNTS = [
    ("add the two numbers", "en", {"en": 4}),
    ("把两个数相加", "zh", {"zh": 6 * HAN}),
    ("add 两个", "en", {"en": 1, "zh": 2 * HAN}),
    ("", "en", {}),
    ("1 + 2 = 3", "en", {}),
    ("x + y, then a sum I know", "en", {"en": 5}),  # letters are quantities, but `a` and `I`
    (r"so $x = \text{add these words}$ holds", "en", {"en": 2}),
    (r"so \[ \frac{first}{second} \] and \(third\) hold", "en", {"en": 3}),
    (r"\begin{align} many words here \end{align} fine", "en", {"en": 1}),
    (r"then \boxed{seven} follows", "en", {"en": 2}),
    ("we write\n```python\nfor item in range(3): print(item)\n```\nhere", "en", {"en": 3}),
    ("call `sorted list` now", "en", {"en": 2}),
    ("cut ```code without an end", "en", {"en": 1}),
    ("see https://example.org/some/page now", "en", {"en": 2}),
    ("<b> bold </b> word", "en", {"en": 2}),
    ("don't stop", "en", {"en": 2}),
    ("用 DP 求解", "zh", {"zh": 3 * HAN}),  # an abbreviation
    ("用Python写", "zh", {"zh": 2 * HAN}),  # a name beside the script
    ("我 think 对", "zh", {"zh": 2 * HAN, "en": 1}),  # a common word is not free
    ("使用 because we can 方法", "zh", {"zh": 4 * HAN, "en": 3}),
    ("これは足し算です", "ja", {"ja": 6 / 2.2 + 2 * HAN}),
    ("сложим два числа", "en", {"cyrillic": 3}),
    ("两个 числа", "zh", {"zh": 2 * HAN, "cyrillic": 1}),
]


@pytest.mark.parametrize(("text", "target", "expected"), COUNTS)
def test_count_words(text, target, expected):
    assert count_words(text, target) == pytest.approx(expected)


def test_tiny_world_chains():
    reward = get_language_consistency_reward(ignored_tokens=LABELS)
    chains = ["a 4 plus b 5 9 minus c 3 6", "a 4 加 b 5 9 减 c 3 6", "a 4 plus b 5 9 减 c 3 6", "a 4 b 5 9 6"]
    completions = [f"<think> {chain} </think> <answer> 6 </answer>" for chain in chains]
    scores = reward(completions, language=["en", "zh", "en", "en"])
    assert scores == pytest.approx([1.0, 1.0, 1 / (1 + HAN), 0.0])
    assert reward(completions, language=["zh", "en", "zh", "zh"]) == pytest.approx([0.0, 0.0, HAN / (1 + HAN), 0.0])
    assert [is_mixed(chain, ignored_tokens=LABELS) for chain in chains] == [False, False, True, False]


def test_operand_labels_would_count_as_english_if_not_ignored():
    assert count_words("a 4 加", "zh") == pytest.approx({"en": 1, "zh": HAN})
    assert count_words("a 4 加", "zh", ignored_tokens=LABELS) == pytest.approx({"zh": HAN})


@pytest.mark.parametrize("text", ["<think></think> hello there", "hello there", "<think> 1 2 3 </think> hello", ""])
def test_an_empty_chain_earns_nothing(text):
    assert get_language_consistency_reward("en")([text]) == [0.0]


def test_min_words():
    text = ["<think> three short words </think> 1"]
    assert get_language_consistency_reward("en", min_words=3)(text) == [1.0]
    assert get_language_consistency_reward("en", min_words=4)(text) == [0.0]


def test_only_the_chain_counts_and_an_unclosed_one_too():
    reward = get_language_consistency_reward("en")
    assert reward(["<think> add them </think> 加起来", "<think> add them", "add them </think> 1"]) == [1.0, 1.0, 1.0]
    assert reward(["加 </think> add"], prompt_tail=["<think>\n"]) == [0.0]


def test_target_comes_from_the_column_else_from_the_question():
    reward = get_language_consistency_reward()
    completion = ["<think> 相加 </think> 3"]
    assert reward(completion, language=["zh"]) == [1.0]
    assert reward(completion, language=["zh-CN"]) == [1.0]
    assert reward(completion, language=[None], prompts=["一加二得几?"]) == [1.0]
    assert reward(completion, prompts=[[{"role": "user", "content": "what is the sum?"}]]) == [0.0]
    # an English template around a Chinese question
    assert reward(completion, prompts=["Here a User talks. User: 一加二? Assistant:"], problem=["一加二?"]) == [1.0]
    assert get_language_consistency_reward(language_column="lang")(completion, lang=["zh"]) == [1.0]


def test_no_way_to_know_the_target():
    with pytest.raises(RewardError, match="set target_language"):
        get_language_consistency_reward()(["<think> a </think> 3"])


@pytest.mark.parametrize("arguments", [{"target_language": "klingon"}, {"languages": ["en", "xx"]}, {"languages": []}])
def test_unknown_languages_are_refused_at_once(arguments):
    with pytest.raises(RewardError, match="language"):
        get_language_consistency_reward(**arguments)


def test_languages_of_one_script_need_the_detector():
    reward = get_language_consistency_reward("fr", languages=("fr", "en"))
    chains = [
        "<think> Nous devons additionner les deux nombres. </think> 3",
        "<think> We add the numbers now. </think> 3",
    ]
    try:
        import py3langid  # noqa: F401
    except ImportError:
        with pytest.raises(RewardError, match=r"trl_r1\[language\]"):
            reward(chains)
    else:
        assert reward(chains) == [1.0, 0.0]


def test_languages_nobody_named_can_be_told_apart_too():
    chains = [
        "<think> Der Winkel ist ein rechter, also ergeben die beiden anderen neunzig Grad. </think> 3",
        "<think> The angle is a right one, so the other two make ninety degrees. </think> 3",
        "<think> The angle is right. Der Winkel ist ein rechter. </think> 3",
    ]
    assert get_language_consistency_reward("en")(chains) == [1.0, 1.0, 1.0]
    reward = get_language_consistency_reward("en", detect_other=True)
    assert reward(chains) == pytest.approx([0.0, 1.0, 4 / 9])
    assert count_words("Der Winkel ist ein rechter", "en", detect_other=True) == {"other": 5}


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("両辺二乗。解二個。", "ja", {"ja": 7 * HAN}),  # no kana at all: what is expected has the benefit of the doubt
        ("两边平方。解是两个。", "ja", {"zh": 8 * HAN}),  # but not against simplified characters
        ("変形する。両辺二乗。", "zh", {"ja": 6 * HAN + 2 / 2.2}),
        ("変形。", "zh", {"zh": 2 * HAN}),  # without kana in the text, Chinese is Chinese
        ("它的和。三角形する。", "zh", {"zh": 3 * HAN, "ja": 3 * HAN + 2 / 2.2}),
    ],
)
def test_japanese_and_chinese(text, target, expected):
    assert count_words(text, target, languages=("ja", "zh")) == pytest.approx(expected)


def test_capitals_are_words_when_they_shout():
    assert count_words("SO WE ADD IT UP", "en") == {"en": 5}
    assert count_words("by BFS or DFS", "en") == {"en": 2}
    assert count_words("AB, BC, AC are equal", "en") == {"en": 2}


def test_one_word_and_gibberish_are_known_to_earn_all():
    reward = get_language_consistency_reward("en")
    assert reward(["<think> yes </think> 1", "<think> blorf nidge splonk </think> 1"]) == [1.0, 1.0]
    assert get_language_consistency_reward("en", min_words=10)(["<think> yes </think> 1"]) == [0.0]


def test_detect_language():
    assert detect_language("what is the sum ?") == "en"
    assert detect_language("a 4 加 b 5 得 几 ?") == "zh"
    assert detect_language("1 + 1", languages=("zh", "en")) == "zh"


def test_pickles_with_its_settings_and_name():
    reward = get_language_consistency_reward("zh", min_words=2, ignored_tokens=LABELS)
    copy = pickle.loads(pickle.dumps(reward))
    completions = ["<think> a 相加 得 </think> 3"]
    assert copy.__name__ == "language_consistency_reward"
    assert copy(completions) == reward(completions) == [1.0]
