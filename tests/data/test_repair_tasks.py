"""Repair tasks by mutation: one place wrong, noticed by a test, and never the same function in two splits."""

import ast
import importlib
import inspect

import pytest

from trl_r1.data.mutations import MUTATION_KINDS, mutate
from trl_r1.data.repair_tasks import BANK, BANK_MODULES, describe_task, load_bank, make_repair_tasks
from trl_r1.errors import DataError
from trl_r1.verifiers.patches import apply_patch
from trl_r1.verifiers.repair import check_tasks
from trl_r1.verifiers.repair_task import RepairTask


SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def tasks():
    return make_repair_tasks(80, "train", seed=3)


class TestMutations:
    @pytest.mark.parametrize(
        ("line", "kind", "expected"),
        [
            ("return a + b", "operator", "return a - b"),
            ("return a % b", "operator", "return a // b"),
            ("return a < b", "comparison", "return a <= b"),
            ("return a in b", "comparison", "return a not in b"),
            ("return a[1:]", "constant", "return a[2:]"),
            ("return a or True", "constant", "return a or False"),
            ("return a and b", "logic", "return a or b"),
            ("return not a", "logic", "return a"),
            ("return max(a, b)", "swapped_arguments", "return max(b, a)"),
            ("return a", "wrong_variable", "return b"),
            ("return range(a)", "off_by_one", "return range(a - 1)"),
            ("return a[b]", "off_by_one", "return a[b + 1]"),
            ("return a", "missing_return", "pass"),
            ("if a: b += 1", "missing_branch", "pass"),
            ("if a: b += 1", "logic", "if not a: b += 1"),
            ("if a: b += 1", "operator", "if a: b -= 1"),
            ("if a: b += 1", "missing_statement", "if a: pass"),
        ],
    )
    def test_kinds(self, line, kind, expected):
        mutants = {(mutant.kind, mutant.source) for mutant in mutate(f"def f(a, b):\n    {line}\n")}
        assert (kind, f"def f(a, b):\n    {expected}\n") in mutants

    def test_a_statement_among_others_is_dropped_with_its_line(self):
        source = "def f(a):\n    a.append(1)\n    return a\n"
        assert "def f(a):\n    return a\n" in {mutant.source for mutant in mutate(source)}

    def test_only_one_place_changes_and_formatting_stays(self):
        source = "def f(a):\n    '''Twice  a.'''\n    b = ( a+1 )   # spaced\n    return b *2\n"
        for mutant in mutate(source):
            ast.parse(mutant.source)
            assert "'''Twice  a.'''" in mutant.source
            lines = zip(source.splitlines(), mutant.source.splitlines(), strict=False)
            if mutant.source.count("\n") == source.count("\n"):
                assert sum(before != after for before, after in lines) == 1

    def test_text_before_the_place_may_be_wider_than_a_byte(self):
        sources = {mutant.source for mutant in mutate("def f(a):\n    return 'é' * a + 'ü'\n")}
        assert "def f(a):\n    return 'é' * a - 'ü'\n" in sources


class TestBank:
    def test_sixty_functions_at_least_all_documented_with_inputs(self):
        bank = load_bank()
        assert len(bank) >= 60
        assert all(function.summary.endswith(".") and len(function.inputs) >= 3 for function in bank)
        assert len({function.name for function in bank}) == len(bank)

    def test_no_function_is_left_out(self):
        for name in BANK_MODULES:
            module = importlib.import_module(f"{BANK}.{name}")
            defined = {key for key, value in vars(module).items() if inspect.isfunction(value)}
            assert defined == set(module.INPUTS)

    def test_splits_share_no_function_not_even_as_a_helper(self):
        defined = {split: set() for split in SPLITS}
        for function in load_bank():
            for text in function.files.values():
                defined[function.split] |= {node.name for node in ast.parse(text).body if hasattr(node, "name")}
        assert all(len(names) >= 10 for names in defined.values())
        assert not defined["train"] & defined["test"]
        assert not defined["train"] & defined["validation"]
        assert not defined["validation"] & defined["test"]

    def test_every_function_works_in_its_files(self):
        tests = []
        for function in load_bank():
            assert set(function.files) in ({f"{function.name}.py"}, {f"{function.name}.py", "helpers.py"})
            namespace = {}
            helpers = function.files.get("helpers.py", "")
            own = function.files[f"{function.name}.py"]
            exec(helpers + "\n".join(line for line in own.split("\n") if "from helpers" not in line), namespace)
            tests += [namespace[function.name](*arguments) for arguments in function.inputs]
        assert len(tests) > 300


class TestTasks:
    def test_they_are_usable(self, tasks):
        assert len(tasks) == 80
        assert set(check_tasks([made.task for made in tasks])) == {None}

    def test_they_are_varied(self, tasks):
        assert len({made.function for made in tasks}) > 40
        assert len({made.mutation for made in tasks}) >= len(MUTATION_KINDS) - 2
        assert any(len(made.task.files) == 2 for made in tasks)
        assert len({str(made.task.to_row()) for made in tasks}) == 80

    def test_the_reference_patch_gives_the_function_back(self, tasks):
        bank = {function.name: function for function in load_bank()}
        for made in tasks:
            assert apply_patch(made.task.patch, made.task.files) == bank[made.function].files

    def test_the_description_says_what_is_wrong(self, tasks):
        for made in tasks:
            assert made.task.description.startswith(f"`{made.function}` is wrong.")
            assert "assert" in made.task.failing_test
            prompt = describe_task(made.task)
            assert all(text in prompt for text in made.task.files.values())

    def test_rows(self, tasks):
        row = tasks[0].to_row()
        assert RepairTask.from_row(row["repair_task"]) == tasks[0].task
        assert row["reward_type"] == "repair"

    def test_a_seed_gives_the_tasks(self):
        first, again, other = (make_repair_tasks(5, "test", seed) for seed in (1, 1, 2))
        assert first == again
        assert first != other

    def test_too_many(self, monkeypatch):
        monkeypatch.setattr("trl_r1.data.repair_tasks.load_bank", lambda: load_bank()[:3])
        with pytest.raises(DataError, match="not 100000; ask for fewer"):
            make_repair_tasks(100_000, load_bank()[0].split)
