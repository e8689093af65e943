"""Cases that hold for every reward: whatever comes, one finite number or None a completion, in time."""

from __future__ import annotations

from typing import Any, Final

from trl_r1.bench.case import ANYTHING, Case, Row, single, thought
from trl_r1.bench.cases.junk import junk_cases


_COLUMNS: Final[dict[str, Any]] = {"solution": "7"}

CASES: Final[list[Case]] = [
    single("contract/plain", thought("7"), ANYTHING, "an ordinary completion", honest=True, **_COLUMNS),
    single(
        "contract/messages",
        [{"role": "assistant", "content": thought("7")}],
        ANYTHING,
        "a completion as messages",
        honest=True,
        **_COLUMNS,
    ),
    Case(
        "contract/group",
        tuple(Row(thought(str(number)), ANYTHING, _COLUMNS) for number in range(16)),
        "a whole group at once",
        honest=True,
    ),
    Case(
        "contract/group_of_copies",
        tuple(Row(thought("7"), ANYTHING, _COLUMNS) for _ in range(8)),
        "a group of one completion eight times: no division by its spread",
    ),
    Case("contract/empty_batch_of_one", (Row("", ANYTHING, _COLUMNS, tokens=0),), "no token at all"),
    *junk_cases("contract", ANYTHING, **_COLUMNS),
]
