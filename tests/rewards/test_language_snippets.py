"""How far the counted share of target words is from the true one, on chains marked by hand."""

import itertools
import statistics

import pytest
from language_snippets import HARD, LANGUAGES, PLAIN, Snippet

from trl_r1.rewards import get_language_consistency_reward
from trl_r1.rewards.formal import strip_formal
from trl_r1.rewards.latin import _evidence_of, _likeliest


HALVES = {"tuning": 0, "held-out": 1}
FAILURES = {  # of the hard part, by place: off by more than .15, and named in docs/rewards.md
    42: "a short clause of a near language",
    51: "Chinese without a simplified character beside Japanese",
    57: "gibberish",
    58: "gibberish",
    59: "gibberish",
    62: "lower-case names in Chinese",
    65: "Chinese names in English",
}


def error_of(snippet):
    reward = get_language_consistency_reward(snippet.target, languages=LANGUAGES)
    return abs(reward([f"<think>{snippet.text}</think> 1"])[0] - snippet.share)


def test_the_set_is_what_the_documentation_says():
    assert len(PLAIN) + len(HARD) >= 100
    assert len(HARD) >= 30
    assert {snippet.target for snippet in HARD} == set(LANGUAGES)
    kinds = {snippet.kind for snippet in (*PLAIN, *HARD)}
    assert {"latex", "code", "names", "mix", "short", "switch", "kanji", "capitals", "gibberish"} <= kinds


def test_the_marks_are_counted_by_hand():
    snippet = Snippet("mix", "zh", "⟨zh 我们|先|算⟩ $x$ ⟨en the sum⟩ 3")
    assert snippet.text == "我们先算 $x$ the sum 3"
    assert (snippet.words, snippet.share) == ({"zh": 3, "en": 2}, 0.6)
    assert Snippet("empty", "en", "1 + 1").share == 0.0


@pytest.mark.parametrize("half", HALVES)
def test_error(half):
    place = HALVES[half]
    assert statistics.mean(map(error_of, HARD[place::2])) <= 0.10
    assert statistics.mean(map(error_of, PLAIN[place::2])) <= 0.02


def test_failures_are_the_known_ones():
    assert {place for place, snippet in enumerate(HARD) if error_of(snippet) > 0.15} == set(FAILURES)


PROSE = [
    "So we return to the first case:",
    "For x in the set: we add.",
    "for x in the set:",
    "if we add them:",
    "while this holds:",
    "return to sender",
    "import the data",
    "The answer (see above) is good;",
    "class of numbers: even",
    "price $5 and $7 for two",
    "**Step one**: we add *all* of them.",
    "- first, we add",
    "his and/or her number(s)",
    "e.g. this and i.e. that",
    r"\textbf{we add} them",
    "wait } : minus <think> user }",
    "} the hello user",
]
FORMAL = [
    "total = 0",
    "a, b = b, a % b",
    "for i in range(n):",
    "while b:",
    "def solve(items):",
    "result.append(word.lower())",
    "int main() { return total; }",
    "function add(first, second) {",
    "SELECT name FROM users WHERE age > 18;",
    "left_index",
    "rightIndex",
    r"v_{max} = \frac{distance}{time}",
    r"\lim_{n \to \infty} = \text{area}",
    "speed = distance / time",
    "```\nno end of it",
    r"\begin{align} many words \end{align}",
    "https://example.org/some/page",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_keeps_its_words(text):
    def words(text):
        return "".join(character if character.isalpha() else " " for character in text).split()

    assert words(strip_formal(text)) == [word for word in words(text) if word not in {"textbf", "think"}]


@pytest.mark.parametrize("text", FORMAL)
def test_formal_text_has_no_words(text):
    assert not [word for word in strip_formal(text).split() if len(word) > 1 and word.isalpha()]


JUNK = r"\begin{a} \( \[ $ \a{ \a[ f( a[ a_ aB a. a x= { _{ ` <a x, https:// - \a{b{c{d ``` 我 ="


@pytest.mark.timeout(20)  # some 0.1 s each here; a quadratic pattern takes minutes
@pytest.mark.parametrize("unit", [*JUNK.split(), "$$ a ", "x = ", "SELECT ", "a\n", " ", "def a", "return "])
def test_junk_takes_linear_time(unit):
    strip_formal(unit * (100_000 // len(unit)))


def test_the_sequence_is_the_likeliest_of_all():
    states, into = ("en", "fr", "de"), [0.0, 0.0, 6.0]
    words = [("donc", False), ("the", True), ("weil", False), ("und", True), ("add", False)]
    evidence = _evidence_of(states)

    def score(path):
        total = evidence[words[0][0]][path[0]] - into[path[0]] - 2.0 * (path[0] > 0)
        for (word, joined), before, state in zip(words[1:], path, path[1:], strict=False):
            total += evidence[word][state] - ((12.0 if joined else 6.0) + into[state]) * (before != state)
        return total

    best = max(itertools.product(range(3), repeat=len(words)), key=score)
    assert score(_likeliest(words, states, into)) == pytest.approx(score(best))
