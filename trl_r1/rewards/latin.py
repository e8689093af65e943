"""Which of the languages of the Latin script each word of a text is in.

py3langid weighs one word at a time, which is weak evidence, and the text is read as the likeliest sequence: to change
the language costs something, less after punctuation. So short lines take the language of their neighbours, a clause in
another language inside a sentence is found, and what cannot be told counts for the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from trl_r1.errors import RewardError
from trl_r1.rewards.scripts import LATIN_LANGUAGES, SCRIPT_OF


OTHER = "other"
# Costs in py3langid's unit, where a typical word tells its language from another by 2 to 10.
_SWITCH, _SWITCH_AT_PUNCTUATION = 12.0, 6.0
_FROM_TARGET_AT_START = 2.0
_INTO_OTHER = 6.0  # on top, for languages nobody named
_MOST_EVIDENCE = 8.0  # of one word: names and loan words are strong evidence for the wrong language
_MOST_WORDS = 65_536  # kept in memory, of each choice of languages


def latin_languages(
    words: Sequence[tuple[str, bool]], target: str | None, languages: Sequence[str], detect_other: bool = False
) -> list[str]:
    """
    The language of each word of a text in the Latin script.

    Args:
        words (`Sequence[tuple[str, bool]]`):
            The words in order, each with whether only a space stands between it and the one before.
        target (`str`, *optional*):
            Language that is expected; first among equals.
        languages (`Sequence[str]`):
            Languages to tell apart; those of other scripts are passed over.
        detect_other (`bool`, *optional*, defaults to `False`):
            Whether words may be in a language that is not among them.

    Returns:
        `list[str]`: one code a word; `"other"` for a language that is neither `target` nor in `languages`.

    Raises:
        [`RewardError`]: when more than one language comes into question and py3langid is not installed.
    """
    named = list(dict.fromkeys(code for code in (target, *languages) if code and SCRIPT_OF[code] == "latin"))
    states = tuple(dict.fromkeys((*named, *LATIN_LANGUAGES))) if detect_other else tuple(named)
    if len(states) < 2 or not words:
        return [states[0] if states else "latin"] * len(words)
    into = [0.0 if state in named else _INTO_OTHER for state in states]
    return [states[index] if index < len(named) else OTHER for index in _likeliest(words, states, into)]


def _likeliest(words: Sequence[tuple[str, bool]], states: tuple[str, ...], into: list[float]) -> list[int]:
    """Viterbi's path: indices of states, one a word."""
    evidence = _evidence_of(states)
    scores = [-_FROM_TARGET_AT_START * (index > 0) - cost for index, cost in enumerate(into)]
    history: list[
        tuple[list[float], int, float]
    ] = []  # scores before a word, the best state, and what leaving it gives
    for word, joined in words:
        best = max(scores)
        changed = best - (_SWITCH if joined else _SWITCH_AT_PUNCTUATION)
        history.append((scores, scores.index(best), changed))
        scores = [
            (score if score >= changed - cost else changed - cost) + weight
            for score, cost, weight in zip(scores, into, evidence[word], strict=True)
        ]
    path = [scores.index(max(scores))]
    for before, best_state, changed in reversed(history[1:]):
        state = path[-1]
        path.append(state if before[state] >= changed - into[state] else best_state)
    return path[::-1]


class _Evidence(dict[str, tuple[float, ...]]):
    """How much each language is behind the best one on a word, at most `_MOST_EVIDENCE`; worked out when asked for."""

    def __init__(self, states: tuple[str, ...]) -> None:
        super().__init__()
        self.states = states

    def __missing__(self, word: str) -> tuple[float, ...]:
        if len(self) >= _MOST_WORDS:
            self.clear()
        ranked = dict(_detector(self.states).rank(f" {word.lower()} "))
        best = max(ranked.values())
        self[word] = tuple(max(ranked[state] - best, -_MOST_EVIDENCE) for state in self.states)
        return self[word]


@lru_cache(maxsize=8)
def _evidence_of(states: tuple[str, ...]) -> _Evidence:
    return _Evidence(states)


@lru_cache(maxsize=8)
def _detector(languages: tuple[str, ...]) -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise RewardError(
            f"languages: {', '.join(languages)} share a script, and telling them apart needs py3langid; "
            "install it with `pip install trl_r1[language]`"
        ) from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(list(languages))
    return identifier
