"""Every family of reasoning-gym as a benchmark: its own answer is right by its own scorer."""

import json

import pytest
from reasoning_gym.factory import DATASETS

from trl_r1.data.judging import judge_samples
from trl_r1.evaluation.benchmarks import get_benchmark, load_benchmark
from trl_r1.generation import Completion


# Without one answer to give, since many are right; scorers that pay their own answer in part, or any text; a mixture.
OTHERS = {
    *("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"),
    *("arc_agi", "rearc", "game_of_life_halting"),
    "composite",
}


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(set(DATASETS) - OTHERS))
def test_the_answer_of_a_puzzle_is_right(family):
    rows = list(load_benchmark(get_benchmark(f"reasoning_gym/{family}"), max_rows=2)[0])
    answers = [str(json.loads(row["entry"])["answer"]) for row in rows]
    given = [[Completion(text=answer, token_ids=(1,), finish_reason="stop")] for answer in answers]
    plain = [{**row, "prompt_tail": "", "response_format": "plain"} for row in rows]
    assert [sample.correct for sample in judge_samples(plain, given, verifier="auto")] == [True, True]
