"""Puzzles by reasoning-gym's scorers: right and wrong answers, answers that are programs, rows that cannot be used."""

import json

import pytest
import reasoning_gym

from trl_r1.verifiers import Verdict
from trl_r1.verifiers.reasoning_gym import check_puzzles, verify_puzzles
from trl_r1.verifiers.reasoning_gym_worker import is_plain


LOGIC = ("zebra_puzzles", "caesar_cipher", "knights_knaves", "basic_arithmetic", "simple_equations", "syllogism")
EVALUATING = (  # scorers that evaluate the answer
    *("string_insertion", "spiral_matrix", "binary_matrix", "n_queens", "countdown", "puzzle24"),
    *("simple_integration", "intermediate_integration", "polynomial_multiplication"),
)


def entry_of(name, index=0, **changes):
    entry = reasoning_gym.create_dataset(name, size=index + 1, seed=3)[index]
    return json.dumps(entry | changes), entry["answer"]


def judge(*pairs, **options):
    return verify_puzzles([(answer, entry) for answer, entry in pairs], **options)


@pytest.mark.parametrize("name", [*LOGIC, *EVALUATING])
def test_right_and_wrong(name):
    entry, gold = entry_of(name)
    verdicts = judge((gold, entry), (f"<think> t </think> {gold}", entry), ("12345", entry), ("", entry))
    assert [judgement.verdict.value for judgement in verdicts] == ["correct", "correct", "wrong", "wrong"]
    assert judge((f"<think> {gold} </think> no idea", entry))[0].verdict is Verdict.WRONG


def test_boxes_and_solutions_of_ones_own():
    entry, _ = entry_of("countdown")
    numbers, target = json.loads(entry)["metadata"]["numbers"], json.loads(entry)["metadata"]["target"]
    own = json.loads(entry)["answer"]
    cheat = "+".join(map(str, numbers))
    texts = [rf"<think> t </think> So \boxed{{{own}}}.", f"({own}) * 1 / 1", str(target), cheat]
    verdicts = [judgement.verdict.value for judgement in judge(*[(text, entry) for text in texts])]
    assert verdicts == ["correct", "wrong", "wrong", "wrong"]  # the second uses numbers that are not given


def test_no_partial_credit():
    entry, gold = entry_of("caesar_cipher")
    assert judge((f"It is {gold}, I think", entry))[0].verdict is Verdict.WRONG


@pytest.mark.parametrize("name", EVALUATING)
def test_an_answer_is_never_run(name, tmp_path):
    entry, _ = entry_of(name)
    trace = tmp_path / "trace"
    programs = [
        f"__import__('os').system('touch {trace}')",
        f"[__import__('os').system('touch {trace}')]",
        f"open('{trace}', 'w')",
        f"(lambda: open('{trace}', 'w'))()",
        f"[open('{trace}', 'w') for _ in [1]]",
        f"sin.__class__.__base__.__subclasses__()[0]('touch {trace}')",
    ]
    judgements = judge(*[(program, entry) for program in programs])
    assert {judgement.verdict for judgement in judgements} == {Verdict.WRONG}
    assert not trace.exists()


def test_the_scorer_would_run_it_if_it_were_not_watched(tmp_path):
    """The attack is real: the package by itself runs it."""
    dataset = reasoning_gym.create_dataset("string_insertion", size=1, seed=3)
    dataset.score_answer(f"__import__('os').system('touch {tmp_path / 'trace'}')", dataset[0])
    assert (tmp_path / "trace").exists()


def test_a_dataset_cannot_run_anything_either(tmp_path):
    program = f"__import__('os').system('touch {tmp_path / 'trace'}')"
    assert "earns" in check_puzzles([entry_of("countdown", answer=program)[0]])[0]
    assert not (tmp_path / "trace").exists()


def test_an_endless_answer_is_wrong_and_the_others_are_judged():
    entry, gold = entry_of("countdown")
    judgements = judge((gold, entry), ("9**9**9**9", entry), (gold, entry), cpu_seconds=1.5)
    assert [judgement.verdict.value for judgement in judgements] == ["correct", "wrong", "correct"]
    assert judgements[1].decided_by == "overrun"


@pytest.mark.parametrize(
    "source", ["1 + 2 * (3 - 4)", "[[1, 2], [3]]", "Integer (3 )*Symbol ('x' )", "-sqrt(2)", "no ("]
)
def test_plain(source):
    assert is_plain(source)


@pytest.mark.parametrize(
    "source", ["f(1)", "a.b", "a[0]", "lambda: 1", "[x for x in y]", "__import__", "import os", "sin(*a)", "(a := 1)"]
)
def test_not_plain(source):
    assert not is_plain(source)


def test_unusable_rows():
    wrong_gold, _ = entry_of("basic_arithmetic", answer="not a number")
    halting = [entry_of("game_of_life_halting", index)[0] for index in range(2)]
    unknown = json.dumps({"question": "", "answer": "1", "metadata": {"source_dataset": "no_such"}})
    problems = check_puzzles([entry_of("zebra_puzzles")[0], "{", "{}", unknown, *halting, wrong_gold])
    assert problems[0] is None
    assert all("no entry of reasoning-gym" in problem for problem in problems[1:4])
    assert all("pays 1.0 for any text" in problem for problem in problems[4:6])
    [judgement] = judge(("1", "{}"))
    assert judgement.verdict is Verdict.UNDECIDABLE


def test_a_puzzle_without_one_right_answer_is_judged_by_its_rules():
    entry, gold = entry_of("rubiks_cube")
    assert gold is None
    assert check_puzzles([entry]) == [None]
    solution = json.loads(entry)["metadata"]["example_correct_answer"]
    assert [judgement.verdict.value for judgement in judge((solution, entry), ("F", entry))] == ["correct", "wrong"]
