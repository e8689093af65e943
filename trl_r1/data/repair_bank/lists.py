"""Lists."""

from typing import Any


def running_totals(values: list[int]) -> list[int]:
    """Return the sum of all values up to and including each one."""
    totals = []
    total = 0
    for value in values:
        total += value
        totals.append(total)
    return totals


def chunks(values: list[int], size: int) -> list[list[int]]:
    """Split a list into parts of a size, the last of which may be shorter."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def unique(values: list[int]) -> list[int]:
    """Return the values without repetitions, in the order of their first appearance."""
    seen = set()
    result = []
    for value in values:
        if value not in seen:
            seen.add(value)
            result.append(value)
    return result


def rotate(values: list[int], steps: int) -> list[int]:
    """Move the first elements to the end, as many as there are steps; more steps than elements go round again."""
    if not values:
        return []
    steps = steps % len(values)
    return values[steps:] + values[:steps]


def merge_sorted(first: list[int], second: list[int]) -> list[int]:
    """Merge two sorted lists into one."""
    merged: list[int] = []
    i = j = 0
    while i < len(first) and j < len(second):
        if first[i] <= second[j]:
            merged.append(first[i])
            i += 1
        else:
            merged.append(second[j])
            j += 1
    return merged + first[i:] + second[j:]


def binary_search(values: list[int], wanted: int) -> int:
    """Return where a value is in a sorted list, or -1 where it is not."""
    low, high = 0, len(values) - 1
    while low <= high:
        middle = (low + high) // 2
        if values[middle] == wanted:
            return middle
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return -1


def second_largest(values: list[int]) -> int | None:
    """Return the second largest of the different values, or None if there are fewer than two."""
    different = sorted(set(values))
    if len(different) < 2:
        return None
    return different[-2]


def mean(values: list[float]) -> float:
    """Return the arithmetic mean, 0.0 for no values."""
    if not values:
        return 0.0
    return sum(values) / len(values)


def median(values: list[float]) -> float:
    """Return the middle of the sorted values, or the mean of the middle two."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[middle]
    return mean(ordered[middle - 1 : middle + 1])


def variance(values: list[float]) -> float:
    """Return the mean squared distance from the mean."""
    center = mean(values)
    return mean([(value - center) ** 2 for value in values])


def moving_average(values: list[float], window: int) -> list[float]:
    """Return the mean of each window of neighbours, from left to right."""
    return [mean(values[start : start + window]) for start in range(len(values) - window + 1)]


def clip_all(values: list[int], low: int, high: int) -> list[int]:
    """Replace values below a limit, or above another, by that limit."""
    return [min(max(value, low), high) for value in values]


def flatten(values: list[Any]) -> list[Any]:
    """Return the elements of a nested list, in order, in one list."""
    flat: list[Any] = []
    for value in values:
        if isinstance(value, list):
            flat.extend(flatten(value))
        else:
            flat.append(value)
    return flat


def pairs_with_sum(values: list[int], total: int) -> list[tuple[int, int]]:
    """Return all pairs of positions, the smaller first, whose values add up to a total."""
    found = []
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            if values[i] + values[j] == total:
                found.append((i, j))
    return found


def longest_rise(values: list[int]) -> int:
    """Return the length of the longest run of neighbours that strictly rise."""
    longest = length = 0
    for index, value in enumerate(values):
        if index > 0 and value > values[index - 1]:
            length += 1
        else:
            length = 1
        longest = max(longest, length)
    return longest


def best_sum(values: list[int]) -> int:
    """Return the largest sum of neighbours, at least one of them."""
    best = current = values[0]
    for value in values[1:]:
        current = max(value, current + value)
        best = max(best, current)
    return best


def interleave(first: list[int], second: list[int]) -> list[int]:
    """Take elements from two lists by turns, then the rest of the longer one."""
    mixed = []
    for index in range(max(len(first), len(second))):
        if index < len(first):
            mixed.append(first[index])
        if index < len(second):
            mixed.append(second[index])
    return mixed


INPUTS: dict[str, list[tuple[Any, ...]]] = {
    "running_totals": [([1, 2, 3],), ([],), ([5],), ([-1, 1, -1],)],
    "chunks": [([1, 2, 3, 4, 5], 2), ([], 3), ([1, 2], 5), ([1, 2, 3, 4], 4), ([1, 2, 3], 1)],
    "unique": [([3, 1, 3, 2, 1],), ([],), ([7, 7, 7],), ([1, 2],)],
    "rotate": [([1, 2, 3, 4], 1), ([1, 2, 3], 0), ([], 2), ([1, 2, 3], 4), ([1, 2, 3, 4], -1)],
    "merge_sorted": [([1, 3], [2, 4]), ([], [1]), ([5], []), ([1, 1], [1]), ([1, 9], [2, 3, 10])],
    "binary_search": [([1, 3, 5, 7], 5), ([1, 3, 5, 7], 1), ([1, 3, 5, 7], 7), ([1, 3, 5], 4), ([], 1), ([2], 2)],
    "second_largest": [([1, 5, 3],), ([2, 2],), ([],), ([9, 9, 4],), ([-1, -2],)],
    "mean": [([1.0, 2.0, 6.0],), ([],), ([5.0],), ([-1.0, 1.0],)],
    "median": [([3.0, 1.0, 2.0],), ([4.0, 1.0, 3.0, 2.0],), ([7.0],), ([1.0, 9.0],)],
    "variance": [([1.0, 3.0],), ([5.0, 5.0],), ([1.0, 2.0, 6.0],), ([],)],
    "moving_average": [([1.0, 2.0, 3.0, 4.0], 2), ([1.0, 5.0], 2), ([1.0, 2.0, 4.0], 1), ([1.0], 2)],
    "clip_all": [([1, 5, 9], 2, 8), ([], 0, 1), ([-5, 0, 5], 0, 0), ([3, 4], 3, 4)],
    "flatten": [([1, [2, [3, 4]], 5],), ([],), ([[], [1]],), ([[[[7]]]],)],
    "pairs_with_sum": [([1, 2, 3, 4], 5), ([2, 2, 2], 4), ([], 1), ([1], 2), ([0, -1, 1], 0)],
    "longest_rise": [([1, 2, 3, 1, 2],), ([],), ([5],), ([3, 2, 1],), ([1, 1, 2, 3, 4],)],
    "best_sum": [([1, -2, 3, 4],), ([-3, -1, -2],), ([5],), ([2, -1, 2],), ([4, -10, 3],)],
    "interleave": [([1, 2], [3, 4]), ([], [1]), ([1, 2, 3], [9]), ([7], [])],
}
