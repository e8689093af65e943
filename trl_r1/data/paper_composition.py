"""What DeepSeek-R1's second fine-tuning was made of, for the side of one's own table.

Source: arXiv v2, section B.3.3, table 5. Its tokenizer is not named, nor whether tokens of the prompt are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


TOTAL: Final = "total"


class PaperCount(NamedTuple):
    """A line of the paper's table: samples, and means of rounds and tokens a sample."""

    samples: int
    rounds: float
    tokens: float


PAPER_COMPOSITION: Final[Mapping[str, PaperCount]] = {
    "math": PaperCount(395_285, 1.0, 6_094.2),
    "code": PaperCount(211_129, 1.1, 7_435.7),
    "stem": PaperCount(10_124, 1.0, 4_928.8),
    "logic": PaperCount(10_395, 1.0, 2_739.0),
    "general": PaperCount(177_812, 1.1, 1_419.8),
    TOTAL: PaperCount(804_745, 1.0, 5_355.3),
}
_SPELLINGS: Final = {"maths": "math", "mathematics": "math", "coding": "code", "programming": "code"}


def paper_row(domain: str) -> tuple[str, str, str, str]:
    """Samples, share, rounds and tokens of the paper's domain of that name; empty where it has none."""
    name = domain.strip().lower()
    found = PAPER_COMPOSITION.get(_SPELLINGS.get(name, name))
    if found is None:
        return ("", "", "", "")
    share = found.samples / PAPER_COMPOSITION[TOTAL].samples
    return f"{found.samples:,}", f"{share:.1%}", f"{found.rounds:.1f}", f"{found.tokens:,.1f}"
