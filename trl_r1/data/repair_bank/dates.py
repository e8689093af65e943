"""Dates, times and schedules."""

from datetime import date, timedelta
from typing import Any


def is_leap_year(year: int) -> bool:
    """Tell whether a year of the Gregorian calendar has 366 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year: int, month: int) -> int:
    """Return how many days a month has."""
    if month == 2:
        return 29 if is_leap_year(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def day_of_year(year: int, month: int, day: int) -> int:
    """Return the number of a day in its year, the first of January being 1."""
    return sum(days_in_month(year, earlier) for earlier in range(1, month)) + day


def days_between(first: str, second: str) -> int:
    """Return how many days lie between two dates such as "2024-02-28", whichever comes first."""
    return abs((date.fromisoformat(second) - date.fromisoformat(first)).days)


def add_working_days(start: str, days: int) -> str:
    """Return the date so many working days after another; Saturdays and Sundays are none."""
    current = date.fromisoformat(start)
    while days > 0:
        current += timedelta(days=1)
        if current.weekday() < 5:
            days -= 1
    return current.isoformat()


def parse_minutes(text: str) -> int:
    """Return the minutes since midnight of a time such as "09:30"."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def format_minutes(minutes: int) -> str:
    """Write minutes since midnight as a time such as "09:30"; a day later it begins anew."""
    minutes = minutes % (24 * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def add_minutes(text: str, minutes: int) -> str:
    """Return the time so many minutes after a time such as "23:50"."""
    return format_minutes(parse_minutes(text) + minutes)


def format_seconds(seconds: int) -> str:
    """Write seconds as hours, minutes and seconds, as in "1h 0m 5s", from the first that is not zero."""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{minutes}m {seconds}s"
    return f"{seconds}s"


def overlap(first: tuple[int, int], second: tuple[int, int]) -> int:
    """Return the length of what two intervals share, 0 if nothing."""
    return max(0, min(first[1], second[1]) - max(first[0], second[0]))


def merge_intervals(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join intervals that touch or overlap, and sort them."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def total_covered(intervals: list[tuple[int, int]]) -> int:
    """Return how much is covered by intervals that may overlap."""
    return sum(end - start for start, end in merge_intervals(intervals))


INPUTS: dict[str, list[tuple[Any, ...]]] = {
    "is_leap_year": [(2024,), (2023,), (1900,), (2000,)],
    "days_in_month": [(2024, 2), (2023, 2), (2023, 4), (2023, 12), (2023, 11), (2023, 1)],
    "day_of_year": [(2024, 1, 1), (2024, 3, 1), (2023, 3, 1), (2023, 12, 31)],
    "days_between": [("2024-02-28", "2024-03-01"), ("2023-12-31", "2023-01-01"), ("2020-05-05", "2020-05-05")],
    "add_working_days": [("2024-03-01", 1), ("2024-03-04", 5), ("2024-03-02", 0), ("2024-03-08", 2)],
    "parse_minutes": [("09:30",), ("00:00",), ("23:59",), ("1:05",)],
    "format_minutes": [(570,), (0,), (1439,), (1440,), (65,), (-5,)],
    "add_minutes": [("23:50", 20), ("09:30", 0), ("00:10", -20), ("12:00", 1440)],
    "format_seconds": [(3605,), (59,), (60,), (0,), (3599,), (7325,)],
    "overlap": [((1, 5), (3, 8)), ((1, 2), (3, 4)), ((0, 9), (2, 4)), ((1, 3), (3, 5))],
    "merge_intervals": [([(1, 3), (2, 5)],), ([],), ([(5, 6), (1, 2)],), ([(1, 2), (2, 4)],), ([(1, 9), (2, 3)],)],
    "total_covered": [([(1, 3), (2, 5)],), ([],), ([(0, 1), (5, 7)],), ([(0, 10), (2, 3)],)],
}
