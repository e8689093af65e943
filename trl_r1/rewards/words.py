r"""Count the words of each language in a text.

The paper asks for the share of target-language words in the chain of thought and does not say what a word is. Here:

- code, mathematics, LaTeX commands, URLs and tags are in no language, nor are digits and symbols;
- a run of letters is one word; Chinese has 1.5 characters to a word, Japanese kana 2.2, so that shares compare;
- single Latin letters are names of quantities (but `a` and `I`), short runs of capitals are abbreviations, and in a
  language of another script a capitalised word right beside that script is a name: neutral, in neither count;
- scripts tell the languages apart. Only languages that share the Latin script need a detector (py3langid, asked per
  sentence of three words or more; shorter ones count for the target).

Known to fail: code without a fence, Japanese written in kanji alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

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
DETECTOR_MIN_WORDS = 3

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
_CHARACTERS_PER_WORD = {"han": 1.5, "kana": 2.2}
_RUNS = re.compile(
    "|".join(
        f"(?P<{script}>[{letters}]+(?:['’][{letters}]+)*)" if script == "latin" else f"(?P<{script}>[{letters}]+)"
        for script, letters in _LETTERS.items()
    )
)
_FORMAL = re.compile(
    r"```.*?(?:```|$)|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\\\(.*?\\\)|\\\[.*?\\\]"
    r"|\\begin\{(\w+\*?)\}.*?\\end\{\1\}|\\boxed\{[^{}]*\}|\\[A-Za-z]+|https?://\S+|</?\w+>",
    re.DOTALL,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|[。！？\n]")
_NATIVE_BESIDE = re.compile(rf"[{''.join(letters for script, letters in _LETTERS.items() if script != 'latin')}]")


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


def count_words(
    text: str,
    target: str | None = None,
    languages: Sequence[str] = ("en", "zh"),
    ignored_tokens: Collection[str] = (),
) -> dict[str, float]:
    """
    Words of each language in a text.

    Args:
        text (`str`):
            Any text; for the language reward, the chain of thought.
        target (`str`, *optional*):
            Language that is expected. Doubtful words count for it.
        languages (`Sequence[str]`, *optional*, defaults to `("en", "zh")`):
            Languages to tell apart.
        ignored_tokens (`Collection[str]`, *optional*):
            Tokens that are no words, such as the labels of operands.

    Returns:
        `dict[str, float]`: language code to number of words. Words of a script that none of the languages is
        written in count under the script's name.

    Raises:
        [`RewardError`]: when a language is unknown.
    """
    target = check_language(target) if target else None
    languages = [check_language(language) for language in languages]
    counts: defaultdict[str, float] = defaultdict(float)
    for sentence in _SENTENCE_END.split(_FORMAL.sub(" ", text)):
        for language, words in _count_in_sentence(sentence, target, languages, ignored_tokens).items():
            counts[language] += words
    return dict(counts)


def is_mixed(
    text: str,
    target: str | None = None,
    languages: Sequence[str] = ("en", "zh"),
    ignored_tokens: Collection[str] = (),
) -> bool:
    """Whether words of more than one language occur in a text. Arguments are those of [`count_words`]."""
    return len(count_words(text, target, languages, ignored_tokens)) > 1


def detect_language(text: str, languages: Sequence[str] = ("en", "zh"), ignored_tokens: Collection[str] = ()) -> str:
    """Language that most words of a text are in; the first of `languages` when it has no words."""
    counts = count_words(text, None, languages, ignored_tokens)
    known = {language: count for language, count in counts.items() if language in languages}
    return max(known, key=lambda language: known[language]) if known else languages[0]


def _count_in_sentence(
    sentence: str, target: str | None, languages: Sequence[str], ignored_tokens: Collection[str]
) -> dict[str, float]:
    runs = [(str(run.lastgroup), run) for run in _RUNS.finditer(sentence) if run.group() not in ignored_tokens]
    has_kana = any(script == "kana" for script, _ in runs)
    weights: defaultdict[str, float] = defaultdict(float)
    latin_words: list[str] = []
    for script, run in runs:
        if script == "latin":
            if not _is_neutral(run, target):
                latin_words.append(run.group())
            continue
        weight = len(run.group()) / _CHARACTERS_PER_WORD[script] if script in _CHARACTERS_PER_WORD else 1.0
        weights[_language_of("kana" if has_kana and script == "han" else script, target, languages)] += weight
    if latin_words:
        weights[_latin_language(latin_words, target, languages)] += len(latin_words)
    return dict(weights)


def _is_neutral(run: re.Match[str], target: str | None) -> bool:
    """Whether a Latin run is a symbol, an abbreviation or a name, and so no word of any language."""
    word = run.group()
    if len(word) == 1:
        return word not in {"a", "I"}
    if word.isupper():
        return len(word) <= 5
    if target is not None and SCRIPT_OF[target] == "latin":
        return False
    around = run.string[max(0, run.start() - 2) : run.start()].strip()[-1:], run.string[run.end() :][:2].strip()[:1]
    return word[0].isupper() and any(_NATIVE_BESIDE.fullmatch(character) for character in around)


def _language_of(script: str, target: str | None, languages: Sequence[str]) -> str:
    """The language a script stands for: the target where it can be, else the first of `languages`, else its name."""
    candidates = [target, *languages] if target else languages
    return next((language for language in candidates if language and SCRIPT_OF[language] == script), script)


def _latin_language(words: list[str], target: str | None, languages: Sequence[str]) -> str:
    latin = sorted({language for language in (target, *languages) if language and SCRIPT_OF[language] == "latin"})
    if len(latin) < 2 or len(words) < DETECTOR_MIN_WORDS:
        return _language_of("latin", target, languages)
    language: str = _detector(tuple(latin)).classify(" ".join(words))[0]
    return language


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
