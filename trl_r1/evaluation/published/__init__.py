"""Published numbers with their sources, and whether a measurement of ours agrees with them."""

from trl_r1.evaluation.published.agreement import (
    Agreement,
    Measured,
    compare_numbers,
    compare_with_published,
    largest_sampling_error,
)
from trl_r1.evaluation.published.numbers import PublishedNumber, list_published, published_numbers


__all__ = [
    "Agreement",
    "Measured",
    "PublishedNumber",
    "compare_numbers",
    "compare_with_published",
    "largest_sampling_error",
    "list_published",
    "published_numbers",
]
