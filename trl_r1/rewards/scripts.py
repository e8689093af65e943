"""Scripts, and which language stands for which. Used by the word counter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from trl_r1.errors import RewardError


LATIN_LANGUAGES = ("en", "fr", "de", "es", "it", "pt", "nl", "pl", "sv", "da", "no", "fi", "cs", "ro", "tr", "id")
SCRIPT_OF: dict[str, str] = dict.fromkeys(LATIN_LANGUAGES, "latin") | {
    "zh": "han",
    "ja": "kana",
    "ko": "hangul",
    "ru": "cyrillic",
    "uk": "cyrillic",
    "ar": "arabic",
    "fa": "arabic",
    "he": "hebrew",
    "el": "greek",
    "hi": "devanagari",
}

_LETTERS = {
    "latin": "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ",
    "han": "㐀-䶿一-鿿豈-﫿〇々",
    "kana": "぀-ヿㇰ-ㇿ",
    "hangul": "가-힣ᄀ-ᇿ",
    "cyrillic": "Ѐ-ӿ",
    "arabic": "؀-ۿ",
    "hebrew": "֐-׿",
    "greek": "Ͱ-Ͽ",
    "devanagari": "ऀ-ॿ",
}
CHARACTERS_PER_WORD = {"han": 1.5, "kana": 2.2}
RUNS = re.compile(
    "|".join(
        f"(?P<{script}>[{letters}]+(?:['’][{letters}]+)*)" if script == "latin" else f"(?P<{script}>[{letters}]+)"
        for script, letters in _LETTERS.items()
    )
)
NATIVE = re.compile(f"[{''.join(letters for script, letters in _LETTERS.items() if script != 'latin')}]")
KANA = re.compile(f"[{_LETTERS['kana']}]")


def check_language(language: str) -> str:
    """
    The two-letter code of a language.

    Raises:
        [`RewardError`]: when its words cannot be counted.
    """
    code = language.strip().lower().replace("_", "-").split("-")[0]
    if code not in SCRIPT_OF:
        raise RewardError(f"language: {language!r} is unknown; use one of {', '.join(sorted(SCRIPT_OF))}")
    return code


def language_of_script(script: str, target: str | None, languages: Sequence[str]) -> str:
    """The language a script stands for: the target where it can be, else the first of `languages`, else its name."""
    candidates = [target, *languages] if target else languages
    return next((language for language in candidates if language and SCRIPT_OF[language] == script), script)


@lru_cache(maxsize=8192)
def han_origin(character: str) -> int:
    """
    Where a Chinese character is written: 1 only in Japan (`円`), -1 only in simplified Chinese (`对`), 0 elsewhere.

    Read off the national character sets, which Python ships as codecs: what GB 2312 holds and JIS X 0208 does not is
    simplified Chinese; what JIS X 0208 holds and neither GB 2312 nor Big5 does is a Japanese simplification.
    """
    japanese, simplified = _encodable(character, "euc_jp"), _encodable(character, "gb2312")
    if japanese != simplified:
        return -1 if simplified else int(not _encodable(character, "big5"))
    return 0


def _encodable(character: str, codec: str) -> bool:
    try:
        # JIS X 0212, a supplement full of Chinese forms, takes three bytes in EUC
        return len(character.encode(codec)) == 2
    except UnicodeEncodeError:
        return False
