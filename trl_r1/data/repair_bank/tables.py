"""Dictionaries, records and grids."""

from typing import Any


def count_items(items: list[str]) -> dict[str, int]:
    """Count how often each item occurs."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    return counts


def most_common(items: list[str]) -> str | None:
    """Return the item that occurs most often, of several the one first in the alphabet; None for no items."""
    counts = count_items(items)
    if not counts:
        return None
    return min(counts, key=lambda item: (-counts[item], item))


def invert(mapping: dict[str, int]) -> dict[int, list[str]]:
    """Return the sorted keys of each value."""
    inverted: dict[int, list[str]] = {}
    for key, value in sorted(mapping.items()):
        inverted.setdefault(value, []).append(key)
    return inverted


def group_by_length(words: list[str]) -> dict[int, list[str]]:
    """Group words by their length, in the order they come."""
    groups: dict[int, list[str]] = {}
    for word in words:
        groups.setdefault(len(word), []).append(word)
    return groups


def merge_counts(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """Add up two dictionaries of counts; counts that come to zero are left out."""
    merged = dict(first)
    for key, value in second.items():
        merged[key] = merged.get(key, 0) + value
    return {key: value for key, value in merged.items() if value != 0}


def total_price(items: list[dict[str, Any]], discount: int) -> int:
    """Return the price of all items in cents, each times its quantity, less a discount in per cent, rounded down."""
    total = 0
    for item in items:
        total += item["price"] * item.get("quantity", 1)
    return total * (100 - discount) // 100


def letter_grade(points: int) -> str:
    """Return A from 90 points, B from 80, C from 70, and F below."""
    if points >= 90:
        return "A"
    if points >= 80:
        return "B"
    if points >= 70:
        return "C"
    return "F"


def grade_table(points: dict[str, int]) -> dict[str, list[str]]:
    """Return the sorted names for each grade that somebody has."""
    table: dict[str, list[str]] = {}
    for name in sorted(points):
        table.setdefault(letter_grade(points[name]), []).append(name)
    return table


def lookup(tree: dict[str, Any], path: str, default: Any) -> Any:
    """Follow keys joined by dots into nested dictionaries; a default stands in where one is missing."""
    current: Any = tree
    for key in path.split("."):
        if not isinstance(current, dict) or key not in current:
            return default
        current = current[key]
    return current


def transpose(grid: list[list[int]]) -> list[list[int]]:
    """Swap rows and columns of a grid."""
    if not grid:
        return []
    return [[row[column] for row in grid] for column in range(len(grid[0]))]


def rotate_right(grid: list[list[int]]) -> list[list[int]]:
    """Turn a grid by a quarter to the right."""
    return [row[::-1] for row in transpose(grid)]


def count_neighbours(grid: list[list[int]], row: int, column: int) -> int:
    """Add up the values around a cell, diagonal ones included, the cell itself not."""
    total = 0
    for i in range(max(0, row - 1), min(len(grid), row + 2)):
        for j in range(max(0, column - 1), min(len(grid[0]), column + 2)):
            if (i, j) != (row, column):
                total += grid[i][j]
    return total


def next_generation(grid: list[list[int]]) -> list[list[int]]:
    """Make one step of Conway's game of life; nothing lives outside the grid."""
    result = []
    for i, row in enumerate(grid):
        cells = []
        for j, cell in enumerate(row):
            count = count_neighbours(grid, i, j)
            cells.append(1 if count == 3 or (cell == 1 and count == 2) else 0)
        result.append(cells)
    return result


def diagonal_sum(grid: list[list[int]]) -> int:
    """Add up both diagonals of a square grid, the middle cell only once."""
    size = len(grid)
    total = 0
    for index in range(size):
        total += grid[index][index]
        if index != size - 1 - index:
            total += grid[index][size - 1 - index]
    return total


INPUTS: dict[str, list[tuple[Any, ...]]] = {
    "count_items": [(["a", "b", "a"],), ([],), (["x"],)],
    "most_common": [(["b", "a", "b"],), ([],), (["b", "a"],), (["c", "c", "a", "a", "b"],)],
    "invert": [({"b": 1, "a": 1, "c": 2},), ({},), ({"x": 0},)],
    "group_by_length": [(["a", "bb", "c"],), ([],), (["", "xyz"],)],
    "merge_counts": [({"a": 1}, {"a": 2, "b": 3}), ({}, {}), ({"a": 1}, {"a": -1}), ({"x": 2}, {})],
    "total_price": [
        ([{"price": 100, "quantity": 2}, {"price": 50}], 10),
        ([], 5),
        ([{"price": 99}], 0),
        ([{"price": 101}], 50),
    ],
    "letter_grade": [(90,), (89,), (80,), (79,), (70,), (69,), (100,), (0,)],
    "grade_table": [({"ann": 95, "bob": 70, "cy": 90},), ({},), ({"z": 10, "a": 10, "m": 80},)],
    "lookup": [({"a": {"b": 1}}, "a.b", 0), ({"a": 1}, "a.b", "no"), ({}, "x", None), ({"k": {}}, "k", 5)],
    "transpose": [([[1, 2, 3], [4, 5, 6]],), ([],), ([[7]],), ([[1], [2]],)],
    "rotate_right": [([[1, 2], [3, 4]],), ([],), ([[1, 2, 3]],)],
    "count_neighbours": [
        ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], 1, 1),
        ([[1, 0], [2, 4]], 0, 0),
        ([[5]], 0, 0),
        ([[0, 3, 0], [1, 0, 1], [0, 0, 9]], 2, 1),
    ],
    "next_generation": [
        ([[0, 1, 0], [0, 1, 0], [0, 1, 0]],),
        ([[1, 1], [1, 1]],),
        ([[1, 0], [0, 0]],),
        ([[1, 1, 1], [1, 1, 1], [1, 1, 1]],),
        ([[1, 1], [1, 0]],),
    ],
    "diagonal_sum": [([[1, 2], [3, 4]],), ([[1, 2, 3], [4, 5, 6], [7, 8, 9]],), ([[5]],), ([],)],
}
