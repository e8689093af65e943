"""The tiny world of repairs: what is drawn is really Python, really broken, and never on both sides of a split."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest


FOLDER = Path(__file__).parents[2] / "recipes" / "tiny" / "repair"
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
import make_base  # noqa: E402
import make_repair_data  # noqa: E402
import programs  # noqa: E402

from trl_r1.chat_template import ThinkParser, load_prompt_template  # noqa: E402
from trl_r1.cli import main  # noqa: E402
from trl_r1.data import write_jsonl  # noqa: E402
from trl_r1.stage_record import read_stage_record  # noqa: E402
from trl_r1.verifiers import Verdict  # noqa: E402
from trl_r1.verifiers.patches import apply_patch  # noqa: E402
from trl_r1.verifiers.repair import check_tasks, verify_repair_batch  # noqa: E402
from trl_r1.verifiers.repair_task import RepairTask  # noqa: E402


@pytest.fixture
def rng():
    return random.Random(0)


@pytest.fixture
def bugs(rng):
    return [programs.sample_bug(rng, rng.choice(programs.NUM_LINES), "train") for _ in range(200)]


def run(source):
    """What a source returns for every input, by Python itself."""
    namespace = {}
    exec(source, namespace)
    return [namespace["f"](a, b) for a, b in programs.INPUTS]


class TestPrograms:
    def test_values_are_those_of_python(self, bugs):
        for bug in bugs[:60]:
            assert run(bug.program.source) == bug.program.values.tolist()
            assert run(bug.broken.source) == bug.broken.values.tolist()

    def test_one_token_differs_and_it_matters(self, bugs):
        tokenizer = programs.build_tokenizer()
        for bug in bugs:
            right, broken = (tokenizer.tokenize(source) for source in (bug.program.source, bug.broken.source))
            assert right != broken
            differ = sum(a != b for a, b in zip(right, broken, strict=True)) if len(right) == len(broken) else 0
            assert differ <= 2  # the operands of `a - b` swapped, else one
            assert not np.array_equal(bug.program.values, bug.broken.values)

    def test_a_spelling_of_its_own_is_in_the_same_split(self):
        one = programs.Program((programs.Line("+", "b", left="a"), programs.Line("*", "3")))
        other = programs.Program((programs.Line("+", "a", left="b"), programs.Line("*", "3")))
        assert one.source != other.source
        assert one.split == other.split

    def test_splits_share_no_function(self, rng):
        computed = {
            split: {programs.sample_program(rng, 3, split).values.tobytes() for _ in range(300)}
            for split in ("train", "validation", "test")
        }
        assert not computed["train"] & computed["test"]
        assert not computed["train"] & computed["validation"]

    def test_every_line_matters(self, rng):
        for _ in range(100):
            program = programs.sample_program(rng, 3, "train")
            for index in (1, 2):
                shorter = programs.Program((*program.lines[:index], *program.lines[index + 1 :]))
                assert not np.array_equal(shorter.values, program.values)


class TestTasks:
    def test_they_are_usable(self, bugs, rng):
        tasks = [RepairTask.from_row(bug.to_row(rng)["repair_task"]) for bug in bugs[:60]]
        assert set(check_tasks(tasks)) == {None}

    def test_hidden_tests_tell_every_mutant_apart(self, bugs, rng):
        for bug in bugs[:60]:
            chosen = bug.test_inputs(rng)
            for index, line in enumerate(bug.program.lines):
                for mutant in line.mutants():
                    values = bug.program.replaced(index, mutant).values
                    same = np.array_equal(values, bug.program.values)
                    assert same or not np.array_equal(values[chosen], bug.program.values[chosen])

    def test_data_are_drawn_from_their_splits(self):
        rows = {split: make_repair_data.draw_tasks(random.Random(1), 60, split) for split in ("train", "test")}
        assert {row["num_lines"] for row in rows["test"]} == set(programs.NUM_LINES)
        assert len({row["problem"] for row in rows["test"]}) == 60
        described = {split: {row["problem"].split("\n")[0] for row in found} for split, found in rows.items()}
        assert not described["train"] & described["test"]
        assert make_repair_data.draw_tasks(random.Random(1), 60, "test") == rows["test"]


class TestAuthors:
    def test_hasty_ones_patch_the_symptom_and_repair_nothing(self, bugs, rng):
        pairs = [
            (programs.hasty_patch(bug, rng), RepairTask.from_row(bug.to_row(rng)["repair_task"])) for bug in bugs[:40]
        ]
        judged = verify_repair_batch(pairs)
        assert all(judgement.decided_by == "tests" for judgement in judged)  # the patch applies
        assert sum(judgement.verdict is Verdict.CORRECT for judgement in judged) <= 2

    def test_careful_ones_are_careless_about_boundaries_only(self, bugs, rng, monkeypatch):
        monkeypatch.setattr(programs, "SLIP", 0.0)
        monkeypatch.setattr(programs, "OVERLOOKS", 0.0)
        monkeypatch.setattr(programs, "CARELESS_SHARE", 1.0)
        for bug in bugs:
            parsed = ThinkParser("r1").parse(programs.careful_patch(bug, rng))
            if bug.program.lines[bug.index].operation in programs.CARELESS:
                assert parsed.answer != bug.diff.strip()
            else:
                assert apply_patch(parsed.answer, {"f.py": bug.broken.source}) == {"f.py": bug.program.source}

    def test_no_function_of_an_evaluation_is_in_the_corpus(self, rng, monkeypatch):
        drawn = []
        original = programs.sample_program
        monkeypatch.setattr(programs, "sample_program", lambda *args: drawn.append(original(*args)) or drawn[-1])
        for _ in range(300):
            programs.sample_document(rng)
        assert len(drawn) >= 300
        assert {program.split for program in drawn} == {"train"}


class TestTokenizer:
    def test_round_trip_of_the_whole_corpus_and_nothing_unknown(self, rng):
        tokenizer = programs.build_tokenizer()
        for _ in range(500):
            text = "".join(programs.sample_document(rng))
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == text

    def test_the_prompt_is_the_recipes_template(self, bugs):
        template = load_prompt_template(str(FOLDER / "prompt.txt"))
        assert template.replace("{prompt}", bugs[0].problem) == programs.PROMPT.format(problem=bugs[0].problem)

    def test_completions_fit(self, bugs, rng):
        tokenizer = programs.build_tokenizer()
        longest = max(len(tokenizer(programs.careful_patch(bug, rng))["input_ids"]) for bug in bugs)
        assert longest < 72


def test_the_recipe_trains_on_patches_that_are_run(tmp_path, monkeypatch):
    monkeypatch.chdir(FOLDER.parents[2])
    rows = make_repair_data.draw_tasks(random.Random(1), 12, "train")
    write_jsonl(tmp_path / "tasks" / "train.jsonl", rows)
    model = make_base.make_model(programs.build_tokenizer(), make_base.Size(16, 1, 2, 1, 1e-3))
    model.save_pretrained(tmp_path / "base")
    programs.build_tokenizer().save_pretrained(tmp_path / "base")
    overrides = {
        "model_name_or_path": tmp_path / "base",
        "dataset_name": tmp_path / "tasks",
        "output_dir": tmp_path / "out",
        **{
            "max_steps": 1,
            "logging_steps": 1,
            "prompts_per_step": 2,
            "max_completion_length": 8,
            "save_strategy": "no",
        },
    }
    flags = [part for name, value in overrides.items() for part in (f"--{name}", str(value))]
    assert main(["grpo", "--config", str(FOLDER / "repair_rl.yaml"), *flags]) == 0
    metrics = read_stage_record(tmp_path / "out").metrics
    assert metrics["repair/undecidable"].value == metrics["unscorable_rows"].value == 0.0
    assert metrics["repair/no_patch"].value == 1.0  # an untrained policy writes none
    assert metrics["rewards/repair_reward/mean"].value == 0.0
