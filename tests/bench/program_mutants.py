"""Wrong rewards for programs, patches, options and JSON. See `mutants.py`."""

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace

import jsonschema
from mutants import answers, boxes, mutant

from trl_r1.rewards import get_choice_reward, get_code_reward
from trl_r1.verifiers.patches import PatchError, apply_patch
from trl_r1.verifiers.repair import verify_repair
from trl_r1.verifiers.repair_task import RepairTask


judge_code = get_code_reward(limits={"cpu_seconds": 1.0, "wall_seconds": 3.0})
judge_choice = get_choice_reward()

NEW_LINE = "\n"

# --- code


def blocks(text):
    return re.findall(r"```(?:python)?\n(.*?)```", text, re.DOTALL)


def run(program, text="", seconds=5):
    """Exit code and output of a program in a process of its own, unprotected."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], input=text, capture_output=True, text=True, timeout=seconds
    )
    return done.returncode, done.stdout


def for_shape(key, completions, tests, judge):
    """Judge rows whose tests have a key by `judge(program, tests)`, the others by our own reward."""
    programs = [(blocks(text) or [None])[-1] for text in answers(completions)]
    own = [
        bool(program is not None and row and key in row and (key == "test" or "function" not in row))
        for program, row in zip(programs, tests, strict=True)
    ]
    values = judge_code(completions, tests=[None if mine else row for mine, row in zip(own, tests, strict=True)])
    return [
        float(judge(program, row)) if mine else value
        for mine, program, row, value in zip(own, programs, tests, values, strict=True)
    ]


@mutant("code", "first_line_only", "no_output", "extra_lines")
def compares_lines_by_zip(completions, tests, **kwargs):
    def judge(program, row):
        outputs = [run(program, text)[1].splitlines() for text in row["inputs"]]
        pairs = zip(outputs, row["outputs"], strict=True)
        return all(a == b for output, wanted in pairs for a, b in zip(output, wanted.splitlines(), strict=False))

    return for_shape("inputs", completions, tests, judge)


@mutant("code", "all_numbers", "extra_words")
def finds_the_output_somewhere(completions, tests, **kwargs):
    def judge(program, row):
        return all(b.strip() in run(program, a)[1] for a, b in zip(row["inputs"], row["outputs"], strict=True))

    return for_shape("inputs", completions, tests, judge)


@mutant("code", "exit_asserts", "exit_hard_asserts", "exit_in_call_asserts", "exit_in_call_hard_asserts",
        "exit_by_atexit_asserts", "system_exit_raised_asserts")  # fmt: skip
def a_good_exit_code_passes(completions, tests, **kwargs):
    return for_shape("test", completions, tests, lambda program, row: run(with_check(program, row))[0] == 0)


def with_check(program, row, ending=""):
    return f"{program}\n{row['test']}\ncheck({row['entry_point']})\n{ending}"


@mutant("code", "fake_marker_asserts")
def a_marker_in_the_output_passes(completions, tests, **kwargs):
    return for_shape(
        "test", completions, tests, lambda program, row: "PASS" in run(with_check(program, row, "print('PASS')"))[1]
    )


@mutant("code", "equal_to_all_asserts", "exit_hard_asserts", "system_exit_raised_asserts", isolation="process")
def asserts_in_the_same_process(completions, tests, **kwargs):
    def judge(program, row):
        space = {"__name__": "__main__"}
        try:
            exec(program, space)
            exec(row["test"], space)
            space["check"](space[row["entry_point"]])
        except SystemExit:
            return True  # it ended well
        except Exception:  # noqa: BLE001  (the defect)
            return False
        return True

    return for_shape("test", completions, tests, judge)


@mutant("code", "own_source_asserts")
def puts_the_tests_into_the_arguments(completions, tests, **kwargs):
    return for_shape("test", completions, tests, judge_in_arguments)


def judge_in_arguments(program, row):
    """Each call is made alone, with the assertion among the arguments of the process."""
    for call, wanted in re.findall(r"assert (candidate\(.*\)) == (.*)", row["test"]):
        source = f"{program}\nif __name__ == '__main__': print(repr({call.replace('candidate', row['entry_point'])}))"
        done = subprocess.run([sys.executable, "-I", "-S", "-c", source, f"assert {call} == {wanted}"],
                              capture_output=True, text=True, timeout=5)  # fmt: skip
        if not done.stdout.strip().endswith(wanted):
            return False
    return True


@mutant("code", "endless_program", "sleeps", seconds=20)
def a_timeout_raises_out_of_the_reward(completions, tests, **kwargs):
    def judge(program, row):
        return all(
            run(program, a, 1)[1].strip() == b.strip() for a, b in zip(row["inputs"], row["outputs"], strict=True)
        )

    return for_shape("inputs", completions, tests, judge)


@mutant("code", "first_test_only", "first_test_only_asserts", "raises_on_last")
def runs_the_first_test_only(completions, tests, **kwargs):
    def first(row):
        if row and row.get("inputs"):
            return {**row, "inputs": row["inputs"][:1], "outputs": row["outputs"][:1]}
        return row and {**row, "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n"}

    return judge_code(completions, tests=[first(row) for row in tests])


@mutant("code", "only_in_thoughts", "thoughts_unclosed")
def takes_programs_from_the_thoughts(completions, tests, **kwargs):
    texts = [f"<think> a </think> ```python\n{(blocks(text) or [''])[-1]}```" for text in completions]
    return judge_code(texts, tests=tests)


@mutant("code", "last_block_wrong", "honest_last_block", "honest_code_in_thoughts")
def takes_the_first_block(completions, tests, **kwargs):
    texts = [f"<think> a </think> ```python\n{(blocks(text) or [''])[0]}```" for text in completions]
    return judge_code(texts, tests=tests)


@mutant("code", "fence_unclosed")
def closes_fences_itself(completions, tests, **kwargs):
    return judge_code([text + "\n```" if text.count("```") % 2 else text for text in completions], tests=tests)


@mutant("code", "tests_none", "tests_empty", "tests_of_two_lengths", "mixed_batch")
def takes_missing_tests_for_wrong(completions, tests, **kwargs):
    return [value or 0.0 for value in judge_code(completions, tests=tests)]


@mutant("code", "tests_empty")
def all_of_no_tests_pass(completions, tests, **kwargs):
    values = judge_code(completions, tests=tests)
    empty = [bool(row) and row.get("inputs") == [] for row in tests]
    return [1.0 if none else value for none, value in zip(empty, values, strict=True)]


@mutant("code", "false_for_zero", "text_for_number", "list_for_number")
def compares_what_is_printed(completions, tests, **kwargs):
    def judge(text, row):
        program = (blocks(text) or [""])[-1]
        calls = [f"print(add(*{arguments!r}))" for arguments in row["inputs"]]
        output = run("\n".join([program, *calls]))[1].split()
        digits = [re.sub(r"\D", "", line.replace("False", "0")) for line in output]
        return float(digits == [str(value) for value in row["outputs"]])

    return [judge(text, row) for text, row in zip(answers(completions), tests, strict=True)]


@mutant("code", "mixed_batch")
def scores_only_rows_with_tests(completions, tests, **kwargs):
    return [value for value in judge_code(completions, tests=tests) if value is not None]


@mutant("code", "overrun_beside_honest", seconds=20)
def gives_up_the_batch_for_one_program(completions, tests, **kwargs):
    values = judge_code(completions, tests=tests)
    return [0.0] * len(values) if any("while True" in text for text in completions) else values


# --- repair


def judge_repair(completions, tasks, change=lambda task: task, spoil=lambda text: text):
    """Our own verdict on changed tasks and answers."""
    values = []
    for text, row in zip(answers(completions), tasks, strict=True):
        task = None if row is None else change(RepairTask.from_row(row))
        values.append(None if task is None else verify_repair(f"<think> a </think> {spoil(text)}", task).reward)
    return values


@mutant("repair", "visible_test_only", "breaks_another", "removes_another")
def runs_the_visible_test_only(completions, repair_task, **kwargs):
    return judge_repair(completions, repair_task, lambda task: replace(task, tests=task.tests[:1]))


@mutant("repair", "breaks_another", "removes_another")
def forgets_tests_that_passed(completions, repair_task, **kwargs):
    return judge_repair(
        completions, repair_task, lambda task: replace(task, tests=tuple(test for test in task.tests if test.broken))
    )


@mutant("repair", "wrong_fix", "visible_test_only", "raises", "syntax_error")
def pays_for_a_patch_that_applies(completions, repair_task, **kwargs):
    def applies(text, row):
        try:
            apply_patch(text, RepairTask.from_row(row).files)
        except PatchError:
            return 0.0
        return 1.0

    return [
        None if row is None else applies(text, row)
        for text, row in zip(answers(completions), repair_task, strict=True)
    ]


@mutant("repair", "context_differs", "count_differs")
def ignores_what_the_diff_says(completions, repair_task, **kwargs):
    fixed = re.compile(r"^\+ +return sum\(values\) / len\(values\)$", re.MULTILINE)
    values = judge_repair(completions, repair_task)
    return [
        1.0 if fixed.search(text) and value is not None else value
        for text, value in zip(completions, values, strict=True)
    ]


@mutant("repair", "only_in_thoughts", "thoughts_unclosed")
def takes_patches_from_the_thoughts(completions, repair_task, **kwargs):
    texts = [
        f"<think> a </think> {text[max(0, text.find('```')) :].replace('</think>', NEW_LINE)}" for text in completions
    ]
    return judge_repair(texts, repair_task)


@mutant("repair", "visible_test_only")
def pays_for_a_part(completions, repair_task, **kwargs):
    values = []
    for text, row in zip(answers(completions), repair_task, strict=True):
        judged = None if row is None else verify_repair(text, RepairTask.from_row(row), run_all=True)
        values.append(None if judged is None else judged.fixed / max(1, judged.broken))
    return values


@mutant("repair", "no_task", "mixed_batch")
def takes_a_missing_task_for_wrong(completions, repair_task, **kwargs):
    return [value or 0.0 for value in judge_repair(completions, repair_task)]


# --- options


@mutant("choice", "all_letters", "all_letters_joined", "two_letters", "negated", "prompt_echo")
def finds_the_letter(completions, solution, **kwargs):
    return [
        None if gold is None else float(gold in text)
        for text, gold in zip(answers(completions), solution, strict=True)
    ]


@mutant("choice", "honest_last_box", "all_boxed")
def takes_the_first_letter(completions, solution, choices, **kwargs):
    texts = [rf"<think> a </think> \boxed{{{box[0]}}}" if (box := boxes(text)) else text for text in completions]
    return judge_choice(texts, solution=solution, choices=choices)


@mutant("choice", "all_texts", "prompt_echo", "letter_and_other_text")
def finds_letter_or_text(completions, solution, choices, **kwargs):
    values = judge_choice(completions, solution=solution, choices=choices)
    return [
        1.0 if gold == "B" and re.search(r"Oslo|\bB\.", text) else value
        for text, gold, value in zip(answers(completions), solution, values, strict=True)
    ]


@mutant("choice", "only_in_thoughts", "thoughts_unclosed")
def takes_letters_from_the_thoughts(completions, solution, choices, **kwargs):
    texts = [
        f"<think> a </think> {letter[-1]}" if (letter := re.findall(r"\(?\b([A-H])\b", text)) else text
        for text in completions
    ]
    return judge_choice(texts, solution=solution, choices=choices)


@mutant("choice", "no_gold", "gold_is_no_option", "mixed_batch")
def takes_an_unusable_gold_for_wrong(completions, solution, choices, **kwargs):
    return [value or 0.0 for value in judge_choice(completions, solution=solution, choices=choices)]


@mutant("choice", "honest_option_text", "honest_gold_is_text")
def knows_letters_only(completions, solution, **kwargs):
    return [
        float((boxes(text) or [text])[-1][:1] == gold) if gold else None
        for text, gold in zip(answers(completions), solution, strict=True)
    ]


# --- JSON


def accepted(value, schema):
    try:
        jsonschema.validate(value, json.loads(schema))
    except jsonschema.ValidationError:
        return 0.0
    return 1.0


def judge_json(completions, schemas, read):
    """Validate what `read` makes of each answer."""
    values = []
    for text, schema in zip(completions, schemas, strict=True):
        try:
            values.append(None if schema is None else accepted(read(text), schema))
        except (ValueError, SyntaxError, IndexError):
            values.append(0.0)
    return values


def after_thoughts(text):
    return text.rsplit("</think>", 1)[1]


@mutant("json_schema", "keys_in_prose", "truncated", "single_quotes", "wrong_type")
def looks_for_the_keys(completions, json_schema, **kwargs):
    return [
        None if schema is None else float(bool(re.search("city.*people", text, re.S)))
        for text, schema in zip(answers(completions), json_schema, strict=True)
    ]


@mutant("json_schema", "only_in_thoughts", "thoughts_unclosed", "array_around")
def takes_the_first_braces(completions, json_schema, **kwargs):
    return judge_json(completions, json_schema, lambda text: json.loads(re.findall(r"\{[^{}]*\}", text)[0]))


@mutant("json_schema", "not_a_number", "infinity", "key_twice")
def reads_json_as_python_does(completions, json_schema, **kwargs):
    return judge_json(completions, ['{"type": "object", "required": ["city"]}'] * len(completions),
                      lambda text: json.loads(after_thoughts(text)))  # fmt: skip


@mutant("json_schema", "honest_fenced", "honest_explained", "honest_untagged")
def wants_bare_json(completions, json_schema, **kwargs):
    return judge_json(completions, json_schema, lambda text: json.loads(after_thoughts(text)))


@mutant("json_schema", "single_quotes", "trailing_comma")
def reads_python_literals(completions, json_schema, **kwargs):
    return judge_json(completions, json_schema, lambda text: ast.literal_eval(after_thoughts(text).strip()))


@mutant("json_schema", "wrong_type", "extra_key", "negative", "null")
def checks_that_it_is_json(completions, json_schema, **kwargs):
    return judge_json(completions, ["{}"] * len(completions), lambda text: json.loads(after_thoughts(text)))


@mutant("json_schema", "last_block_wrong", "honest_last_block")
def takes_the_first_json_block(completions, json_schema, **kwargs):
    return judge_json(
        completions, json_schema, lambda text: json.loads(re.findall(r"```(?:json)?\n(.*?)```", text, re.S)[0])
    )


@mutant("json_schema", "deep")
def raises_on_deep_json(completions, json_schema, **kwargs):
    return judge_json(completions, json_schema, lambda text: json.loads(after_thoughts(text)))


@mutant("json_schema", "schema_backtracks", seconds=1, isolation="process")
def matches_patterns_without_a_limit(completions, json_schema, **kwargs):
    return judge_json(completions, json_schema, lambda text: json.loads(after_thoughts(text)))


@mutant("json_schema", "schema_unusable", "schema_remote")
def raises_on_a_bad_schema(completions, json_schema, **kwargs):
    return judge_json(completions, json_schema, lambda text: json.loads(after_thoughts(text)))
