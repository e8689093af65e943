"""The import order of DESIGN: left to right only, and nothing in a tier imports its neighbour."""

import ast
from pathlib import Path

import trl_r1


ROOT = Path(trl_r1.__file__).parent
TIERS = [
    {"errors"},
    {"user_code", "redaction"},
    {"chat_template", "stage_record"},
    {"verifiers", "run_records"},
    {"rewards"},
    {"bench"},
    {"presets", "script_arguments"},
    {"grpo_checks"},
    {"configs"},
    {"recipe"},
    {"generation"},
    {"data"},
    {"evaluation"},
    {"trainer"},
    {"hub", "report"},
    {"pipeline"},
    {"scripts"},
    {"cli"},
]
LEVEL = {name: level for level, tier in enumerate(TIERS) for name in tier}


def imported_parts(path):
    """Names of the top-level parts of trl_r1 a file imports, late imports included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "trl_r1":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("trl_r1."))


def own_part(path):
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def test_every_part_has_a_place():
    parts = {own_part(path) for path in ROOT.rglob("*.py")} - {"__init__", "_recipes"}
    assert parts == set(LEVEL)


def test_imports_point_left():
    wrong = [
        f"{path.relative_to(ROOT)} imports {part}"
        for path in ROOT.rglob("*.py")
        if own_part(path) not in {"__init__", "_recipes"}
        for part in imported_parts(path)
        if part != own_part(path) and LEVEL[part] >= LEVEL[own_part(path)]
    ]
    assert not wrong


def test_no_print_in_the_library():
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not calls
