"""Prompt sensitivity from the questions to the report: a policy whose right rate by wording is known."""

import hashlib
import json
import random
import statistics

import pytest
from scripted_engine import ScriptedEngine

from trl_r1.data import write_jsonl
from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.evaluation import Checkpoint, EvaluationSuite, Mode, evaluate_policy
from trl_r1.evaluation.prompt_sensitivity import asked_in_many_ways, summary_table, write_sensitivity
from trl_r1.evaluation.sample_files import read_samples, write_samples
from trl_r1.generation.prompts import render_text


RATES = {"hello": 0.9, "plain": 0.8, "please": 0.8, "rude": 0.3}  # true right rates by wording
VARIANTS = tuple(
    PromptVariant(name=name, instruction=words)
    for name, words in (
        ("hello", "hello {problem}"),
        ("plain", "{problem}"),
        ("please", "please {problem}"),
        ("rude", "friend {problem}"),
    )
)
KEYS = {"hello ": "hello", "please ": "please", "friend ": "rude"}


class KnownPolicy(ScriptedEngine):
    """Answers `a plus 1` rightly at the rate of the wording, by a seed of prompt and sample alone."""

    def __init__(self, tokenizer, rates, salt=0):
        super().__init__(tokenizer, [])
        self.rates, self.salt = rates, salt

    @property
    def identity(self):
        return {"engine": "known", "rates": self.rates, "salt": self.salt}

    def generate_batch(self, prompts, rows, params, seed):
        return [self._answer(render_text(prompts[row.prompt], self.tokenizer), row.sample) for row in rows]

    def _answer(self, prompt, sample):
        name = next((name for key, name in KEYS.items() if f": {key}" in prompt), "plain")
        digest = hashlib.sha256(f"{self.salt} {prompt} {sample}".encode()).hexdigest()
        right = random.Random(digest).random() < self.rates[name]
        asked = int(prompt.split("what is ")[1].split()[0])
        return self._completion(f"<think> so </think> <answer> {asked + 1 if right else asked} </answer>")


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.txt"
    path.write_text("user : {prompt} assistant :")
    return str(path)


@pytest.fixture
def questions(tmp_path):
    rows = [{"problem": f"what is {n} plus 1 ?", "solution": str(n + 1)} for n in range(60)]
    write_jsonl(tmp_path / "questions" / "test.jsonl", rows)
    return str(tmp_path / "questions")


def measure(tokenizer, questions, plain, folder, rates=RATES, name="zero", num_samples=2, salt=0, **fields):
    suite = EvaluationSuite(
        name="sums",
        dataset_name=questions,
        modes={"sampled": Mode(num_samples=num_samples)},
        prompt_variants=VARIANTS,
        metrics=("accuracy",),
        **fields,
    )
    checkpoint = Checkpoint(name=name, path="no/where", prompt_template=plain)
    return evaluate_policy(KnownPolicy(tokenizer, rates, salt), suite, checkpoint, folder)


def test_the_spread_of_a_known_policy_is_covered(tokenizer, questions, plain, tmp_path):
    truth = statistics.stdev(RATES.values())
    found = []
    for salt in range(4):
        records = measure(tokenizer, questions, plain, tmp_path, salt=salt, name=str(salt), max_rows=24)
        [group] = asked_in_many_ways(records, tmp_path)
        found.append(group.sensitivity)
    assert sum(each.low < truth < each.high for each in found) >= 3  # intervals of 95 %
    assert statistics.fmean(each.spread_sd for each in found) == pytest.approx(truth, abs=0.05)
    assert {each.worst for each in found} == {"rude"}


def test_two_policies_are_compared(tokenizer, questions, plain, tmp_path):
    records = measure(tokenizer, questions, plain, tmp_path)
    records += measure(tokenizer, questions, plain, tmp_path, dict.fromkeys(RATES, 0.7), "even", salt=1)
    groups = asked_in_many_ways(records, tmp_path)
    metrics = write_sensitivity(groups, tmp_path)
    truth = statistics.stdev(RATES.values())
    assert metrics["prompt spread (zero, sums, sampled)"].low > 0
    assert metrics["prompt spread (zero, sums, sampled)"].n == 4
    assert metrics["prompt spread (even, sums, sampled)"].low == 0
    difference = metrics["prompt spread: even - zero (sums, sampled)"]
    assert difference.low < -truth < difference.high < 0
    table = summary_table(groups)
    assert table.rows[0][-2].startswith("rude 0.")
    assert [row[0] for row in table.rows] == ["zero", "even"]


def test_the_files_show_the_worst_words_and_a_question_they_lose(tokenizer, questions, plain, tmp_path):
    records = measure(tokenizer, questions, plain, tmp_path)
    write_sensitivity(asked_in_many_ways(records, tmp_path), tmp_path)
    content = json.loads((tmp_path / "sensitivity-zero-sums-sampled.json").read_text())
    assert (content["worst"], content["words"]["rude"]) == ("rude", {"instruction": "friend {problem}"})
    assert content["p_value"] < 1e-6
    assert [each["name"] for each in content["variants"]] == list(RATES)
    shown = content["exhibit"]
    asked = int(shown["problem"].split()[2])
    assert shown["right"]["answer"].endswith(f"<answer> {asked + 1} </answer>")
    assert shown["wrong"]["answer"].endswith(f"<answer> {asked} </answer>")
    assert (shown["wrong"]["variant"], shown["wrong"]["words"]) == ("rude", {"instruction": "friend {problem}"})
    page = (tmp_path / "sensitivity-zero-sums-sampled.md").read_text()
    assert "    instruction: friend {problem}" in page
    assert f"    what is {asked} plus 1 ?" in page
    assert (tmp_path / "sensitivity-zero-sums-sampled.png").read_bytes().startswith(b"\x89PNG")


def test_one_way_to_ask_has_no_spread(tokenizer, questions, plain, tmp_path):
    records = measure(tokenizer, questions, plain, tmp_path)[:1]
    assert asked_in_many_ways(records, tmp_path) == []
    assert write_sensitivity([], tmp_path) == {}
    assert not list(tmp_path.glob("sensitivity-*"))


def test_undecided_answers_take_their_question_out_of_every_way(tokenizer, questions, plain, tmp_path):
    records = measure(tokenizer, questions, plain, tmp_path, max_rows=10)
    path = tmp_path / records[0]["samples"]
    rows = list(read_samples(path))
    for row in rows[:2]:  # all answers to the first question
        row["metrics"]["accuracy"] = None
    write_samples(path, rows)
    [group] = asked_in_many_ways(records, tmp_path)
    assert (group.sensitivity.num_questions, group.sensitivity.left_out) == (9, 1)
    assert "1 questions without a judged answer" in write_and_read(group, tmp_path)
    for row in rows:
        row["metrics"]["accuracy"] = None
    write_samples(path, rows)
    assert asked_in_many_ways(records, tmp_path) == []  # and a warning, not a zero


def write_and_read(group, folder):
    write_sensitivity([group], folder)
    return (folder / "sensitivity-zero-sums-sampled.md").read_text()


@pytest.mark.parametrize("name", ["$x_1$", "a|b", "数学", "x" * 300, "<b>", "__"])
def test_any_name_can_be_shown(tokenizer, questions, plain, tmp_path, name):
    records = measure(tokenizer, questions, plain, tmp_path, max_rows=6)
    for record in records:
        record["checkpoint"] = record["suite"] = name
        record["variant"] = f"{name} {record['variant']}"
    groups = asked_in_many_ways(records, tmp_path)
    assert list(write_sensitivity(groups, tmp_path)) == [f"prompt spread ({name}, {name}, sampled)"]
    assert len(list(tmp_path.glob("sensitivity-*"))) == 3
    summary_table(groups).to_markdown()


def test_what_is_not_asked_alike_is_not_compared(tokenizer, questions, plain, tmp_path):
    records = measure(tokenizer, questions, plain, tmp_path, max_rows=6)
    fewer = measure(tokenizer, questions, plain, tmp_path, name="other", max_rows=6)[:3]
    other_words = [{**record, "checkpoint": "third"} for record in records]
    other_words[1]["instruction"] = "so {problem}"
    metrics = write_sensitivity(asked_in_many_ways([*records, *fewer, *other_words], tmp_path), tmp_path)
    assert len(metrics) == 3
    assert [name for name in metrics if " - " in name] == []


def test_checkpoints_judged_on_other_questions_are_not_compared(tokenizer, questions, plain, tmp_path, caplog):
    records = measure(tokenizer, questions, plain, tmp_path, max_rows=5)
    records += measure(tokenizer, questions, plain, tmp_path, name="other", max_rows=5)
    for record, judged in ((records[0], range(0, 4)), (records[4], range(6, 10))):
        rows = list(read_samples(tmp_path / record["samples"]))
        for place, row in enumerate(rows):
            row["metrics"]["accuracy"] = row["metrics"]["accuracy"] if place in judged else None
        write_samples(tmp_path / record["samples"], rows)
    metrics = write_sensitivity(asked_in_many_ways(records, tmp_path), tmp_path)
    assert list(metrics) == ["prompt spread (zero, sums, sampled)", "prompt spread (other, sums, sampled)"]
    assert "no difference of prompt spreads" in caplog.text


def test_the_stage_keeps_the_spread(tokenizer, questions, plain, tmp_path):
    from trl_r1.scripts.evaluate import measure_spreads

    records = measure(tokenizer, questions, plain, tmp_path, max_rows=6)
    assert list(measure_spreads(records, tmp_path)) == ["prompt spread (zero, sums, sampled)"]
    assert measure_spreads(records[:1], tmp_path) == {}
