"""Break a Python function in one place, as people do: a wrong operator, a limit off by one, a forgotten branch."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args


MutationKind = Literal[
    "operator",  # - for +, and the like
    "comparison",  # < for <=, == for !=, in for not in
    "constant",  # a number off by one, True for False
    "logic",  # and for or, a condition turned round
    "swapped_arguments",
    "wrong_variable",  # another variable of the function
    "off_by_one",  # an index or the end of a range
    "missing_return",
    "missing_branch",  # an `if` without `else`, dropped
    "missing_statement",
]
MUTATION_KINDS: tuple[MutationKind, ...] = get_args(MutationKind)

_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div, ast.Mod),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_Change: TypeAlias = tuple[MutationKind, ast.AST, "ast.AST | None"]  # what to put in a node's place; `None` drops it


@dataclass(frozen=True, slots=True)
class Mutant:
    """
    A source with one thing wrong.

    Args:
        kind (`str`):
            What was done.
        line (`int`):
            First line it was done to, counting from 1.
        source (`str`):
            The whole changed source.
    """

    kind: MutationKind
    line: int
    source: str


def mutate(source: str) -> list[Mutant]:
    """
    Every mutant of a source that differs in one place of one function, in a fixed order.

    Formatting outside that place stays, so a diff to the source is short. Docstrings, annotations and signatures are
    left alone. A mutant may still compute the same.

    Args:
        source (`str`):
            Python code.

    Returns:
        `list[Mutant]`: without repetitions.

    Example:

    ```python
    >>> [mutant.source for mutant in mutate("def double(x):\\n    return x * 2\\n")][0]
    'def double(x):\\n    return x + 2\\n'
    ```
    """
    found: dict[str, Mutant] = {}
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            for kind, node, changed in _changes(function):
                text = _splice(source, node, changed)
                if text != source:
                    found.setdefault(text, Mutant(kind, getattr(node, "lineno", 1), text))
    return list(found.values())


def _changes(function: ast.FunctionDef) -> Iterator[_Change]:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    names = _variables(function)
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.stmt):
                yield from _statement_changes(node)
            elif isinstance(node, ast.expr):
                yield from _expression_changes(node, names)


def _statement_changes(node: ast.stmt) -> Iterator[_Change]:
    match node:
        case ast.Return(value=ast.expr()):
            yield "missing_return", node, None
        case ast.If(orelse=[]):
            yield "missing_branch", node, None
        case ast.AugAssign(op=operator):
            for other in _OPERATORS.get(type(operator), ()):
                yield "operator", node, _with(node, op=other())
            yield "missing_statement", node, None
        case ast.Expr() | ast.Assign():
            yield "missing_statement", node, None
    if isinstance(node, ast.If | ast.While):
        yield "logic", node.test, ast.UnaryOp(ast.Not(), node.test)


def _expression_changes(node: ast.expr, names: list[str]) -> Iterator[_Change]:
    match node:
        case ast.BinOp(op=operator):
            for other in _OPERATORS.get(type(operator), ()):
                yield "operator", node, _with(node, op=other())
        case ast.Compare(ops=[operator]):
            for compared in _COMPARISONS.get(type(operator), ()):
                yield "comparison", node, _with(node, ops=[compared()])
        case ast.BoolOp(op=operator):
            yield "logic", node, _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "logic", node, operand
        case ast.Constant(value=bool(value)):
            yield "constant", node, ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield from (("constant", node, ast.Constant(near)) for near in (value + 1, value - 1) if near >= 0)
        case ast.Call(func=ast.Name(id="range"), args=[*rest, end]) if len(rest) < 2:
            for operator in (ast.Add(), ast.Sub()):
                moved = ast.BinOp(end, operator, ast.Constant(1))
                yield "off_by_one", node, _with(node, args=[*rest, moved])
        case ast.Call(args=[first, second, *others]):
            yield "swapped_arguments", node, _with(node, args=[second, first, *others])
        case ast.Subscript(slice=ast.Name() as index, ctx=ast.Load()):
            yield "off_by_one", node, _with(node, slice=ast.BinOp(index, ast.Add(), ast.Constant(1)))
        case ast.Name(id=name, ctx=ast.Load()) if name in names:
            yield from (("wrong_variable", node, ast.Name(other, ast.Load())) for other in names if other != name)


def _variables(function: ast.FunctionDef) -> list[str]:
    """Parameters and other names the function sets, in the order they first occur."""
    names = [argument.arg for argument in function.args.args]
    names += [node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return list(dict.fromkeys(names))


def _with(node: Any, **fields: Any) -> Any:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _splice(source: str, node: Any, changed: ast.AST | None) -> str:
    """The source with another node in a node's place, or with the lines of a statement dropped."""
    lines = source.splitlines(keepends=True)
    before, first = lines[: node.lineno - 1], lines[node.lineno - 1].encode()
    last, after = lines[node.end_lineno - 1].encode(), lines[node.end_lineno :]
    head, tail = first[: node.col_offset].decode(), last[node.end_col_offset :].decode()
    if changed is not None:
        return "".join([*before, head, ast.unparse(ast.fix_missing_locations(changed)), tail, *after])
    dropped = "".join([*before, *after])
    return dropped if _parses(dropped) else "".join([*before, head, "pass", tail, *after])


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True
