r"""Count the words of each language in a text.

The paper asks for the share of target-language words in the chain of thought and does not say what a word is. Here:

- code, mathematics, LaTeX commands, quantities in formulas, URLs and tags are in no language, with or without
  delimiters ([`~trl_r1.rewards.formal.strip_formal`]), nor are digits and symbols;
- a run of letters is one word; Chinese has 1.5 characters to a word, Japanese kana 2.2, so that shares compare;
- single Latin letters are names of quantities (but `a` and `I`), short runs of capitals are abbreviations (three in a
  row are a shout), and in a language of another script a capitalised word right beside that script is a name: neutral,
  in neither count;
- scripts tell the languages apart. Only languages that share the Latin script need py3langid
  ([`~trl_r1.rewards.latin.latin_languages`]);
- Chinese characters are Japanese beside kana in a clause. Where Japanese is among the languages, so is a clause in
  kanji alone if it has forms that only Japan writes, or if nothing in it is simplified and Chinese is not expected.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from trl_r1.rewards.formal import strip_formal
from trl_r1.rewards.latin import latin_languages
from trl_r1.rewards.scripts import (
    CHARACTERS_PER_WORD,
    KANA,
    NATIVE,
    RUNS,
    SCRIPT_OF,
    check_language,
    han_origin,
    language_of_script,
)


_CLAUSE_END = re.compile(r"(?<=[.!?])\s|[。！？，；：、\n]")
_SHOUTED_WORDS = 3


def count_words(
    text: str,
    target: str | None = None,
    languages: Sequence[str] = ("en", "zh"),
    ignored_tokens: Collection[str] = (),
    detect_other: bool = False,
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
        detect_other (`bool`, *optional*, defaults to `False`):
            Whether to look for Latin words in a language that is not among `languages`. Without it they count for one
            that is. Needs py3langid.

    Returns:
        `dict[str, float]`: language code to number of words. Words of a script that none of the languages is
        written in count under the script's name, and Latin words in another language under `"other"`.

    Raises:
        [`RewardError`]: when a language is unknown.
    """
    target = check_language(target) if target else None
    languages = [check_language(language) for language in languages]
    counts: defaultdict[str, float] = defaultdict(float)
    latin_words: list[tuple[str, bool]] = []
    text = strip_formal(text)
    kana_in_text = KANA.search(text) is not None
    for clause in _CLAUSE_END.split(text):
        runs = [(str(run.lastgroup), run) for run in RUNS.finditer(clause) if run.group() not in ignored_tokens]
        for script, run in runs:
            if script != "latin":
                weight = len(run.group()) / CHARACTERS_PER_WORD[script] if script in CHARACTERS_PER_WORD else 1.0
                counts[_native_language(script, clause, kana_in_text, target, languages)] += weight
        latin_words += _latin_words([run for script, run in runs if script == "latin"], target)
    for language in latin_languages(latin_words, target, languages, detect_other):
        counts[language] += 1
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


def _native_language(
    script: str, clause: str, kana_in_text: bool, target: str | None, languages: Sequence[str]
) -> str:
    """The language of a run in another script than the Latin one."""
    if script == "han" and (kana_in_text or target == "ja") and _is_japanese(clause, target, languages):
        script = "kana"
    return language_of_script(script, target, languages)


def _is_japanese(clause: str, target: str | None, languages: Sequence[str]) -> bool:
    """Whether a clause's Chinese characters are Japanese, in a text that has kana or that should be Japanese."""
    if KANA.search(clause):
        return True
    if target != "ja" and "ja" not in languages:
        return False
    origin = sum(map(han_origin, clause))
    return origin > 0 or (origin == 0 and target != "zh")


def _latin_words(runs: list[re.Match[str]], target: str | None) -> Iterator[tuple[str, bool]]:
    """The Latin runs of a clause that are words, each with whether only a space parts it from the one before."""
    shouted = _shouted(runs)
    end = -1
    for index, run in enumerate(runs):
        if index in shouted or not _is_neutral(run, target):
            yield run.group(), run.start() == end + 1
        end = run.end()


def _shouted(runs: list[re.Match[str]]) -> set[int]:
    """Places of the runs in capitals that stand three or more in a row: a sentence, and no abbreviations."""
    places: set[int] = set()
    row: list[int] = []
    for index, run in enumerate([*runs, None]):
        capital = run is not None and run.group().isupper()
        if row and not (capital and run is not None and run.start() == runs[row[-1]].end() + 1):
            places.update(row if len(row) >= _SHOUTED_WORDS else ())
            row = []
        if capital:
            row.append(index)
    return places


def _is_neutral(run: re.Match[str], target: str | None) -> bool:
    """Whether a Latin run is a symbol, an abbreviation or a name, and so no word of any language."""
    word = run.group()
    if len(word) == 1:
        return word not in {"a", "I"}
    if word.isupper():
        return len(word) <= 5
    if target is not None and SCRIPT_OF[target] == "latin":
        return False
    if not word[0].isupper():
        return False
    before = run.string[max(0, run.start() - 2) : run.start()].strip()[-1:]
    after = run.string[run.end() : run.end() + 2].strip()[:1]
    return bool(NATIVE.match(before) or NATIVE.match(after))
