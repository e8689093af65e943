"""Does the policy think in the language it was asked in? The paper's language-consistency reward (its equation 7)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from trl_r1.chat_template import completion_text
from trl_r1.errors import RewardError
from trl_r1.rewards.completions import Text, parse_completions
from trl_r1.rewards.scripts import check_language
from trl_r1.rewards.words import count_words, detect_language


class LanguageConsistencyReward:
    """
    Share of the words in the chain of thought that are in the target language. See [`count_words`] for what a word is.

    Made by [`get_language_consistency_reward`], which documents the arguments. Instances pickle.
    """

    def __init__(
        self,
        target_language: str | None = None,
        language_column: str = "language",
        min_words: float = 1,
        ignored_tokens: Collection[str] = (),
        languages: Sequence[str] = ("en", "zh"),
        detect_other: bool = False,
    ) -> None:
        if not languages:
            raise RewardError("languages: it is empty; name at least one language, such as [en, zh]")
        self.target_language = check_language(target_language) if target_language else None
        self.language_column = language_column
        self.min_words = min_words
        self.ignored_tokens = frozenset(ignored_tokens)
        self.languages = [check_language(language) for language in languages]
        self.detect_other = detect_other
        self.__name__ = "language_consistency_reward"

    def __call__(
        self,
        completions: Sequence[Text],
        prompts: Sequence[Text] | None = None,
        prompt_tail: Sequence[str | None] | None = None,
        response_format: Sequence[str | None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward. Returns shares in [0, 1], one a completion."""
        parsed = parse_completions(completions, prompt_tail, response_format)
        targets = self._targets(len(completions), prompts, kwargs)
        if log_extra is not None:
            log_extra("target_language", targets)
        return [
            self.score(completion.reasoning or "", target) for completion, target in zip(parsed, targets, strict=True)
        ]

    def score(self, reasoning: str, target: str) -> float:
        """Share of target-language words in one chain of thought; 0.0 when it has fewer than `min_words` words."""
        counts = count_words(reasoning, target, self.languages, self.ignored_tokens, self.detect_other)
        total = sum(counts.values())
        return counts.get(target, 0.0) / total if total > 0 and total >= self.min_words else 0.0

    def _targets(self, rows: int, prompts: Sequence[Text] | None, columns: dict[str, Any]) -> list[str]:
        if self.target_language is not None:
            return [self.target_language] * rows
        named: Sequence[str | None] = columns.get(self.language_column) or [None] * rows
        # The question itself where there is one: a prompt template around it may be in another language.
        questions: Sequence[Text] | None = columns.get("problem") or prompts
        targets = []
        for index in range(rows):
            name = named[index]
            if name is None and questions is None:
                raise RewardError(
                    f"language_consistency_reward: no target language; set target_language, or give the rows a "
                    f"column {self.language_column!r}"
                )
            targets.append(check_language(name) if name else self._detect(questions[index] if questions else ""))
        return targets

    def _detect(self, question: Text) -> str:
        text = question if isinstance(question, str) else completion_text(question[-1:])
        return detect_language(text, self.languages, self.ignored_tokens)


def get_language_consistency_reward(
    target_language: str | None = None,
    language_column: str = "language",
    min_words: float = 1,
    ignored_tokens: Collection[str] = (),
    languages: Sequence[str] = ("en", "zh"),
    detect_other: bool = False,
) -> LanguageConsistencyReward:
    """
    Reward the share of target-language words in the chain of thought.

    The paper adds it to the other rewards without a coefficient, for all data. An empty chain earns 0.0: were it 1.0,
    not thinking would be the easiest way to be consistent.

    Args:
        target_language (`str`, *optional*):
            Two-letter code. By default each row's own: the language column, or else the language of its question.
        language_column (`str`, *optional*, defaults to `"language"`):
            Dataset column with the language of the question.
        min_words (`float`, *optional*, defaults to `1`):
            Chains with fewer countable words earn 0.0.
        ignored_tokens (`Collection[str]`, *optional*):
            Tokens that are no words, such as the labels of operands.
        languages (`Sequence[str]`, *optional*, defaults to `("en", "zh")`):
            Languages to tell apart. More than one in the Latin script needs the extra `language`.
        detect_other (`bool`, *optional*, defaults to `False`):
            Whether to look for Latin words in a language that is not among `languages`: they count, but never for the
            target. Without it, German where only English and Chinese are named is English. Needs the extra
            `language`. Off by default, so that a reward does not depend on which extras are installed.

    Returns:
        [`LanguageConsistencyReward`]

    Raises:
        [`RewardError`]: when a language is unknown.

    Example:

    ```python
    >>> get_language_consistency_reward(target_language="en")(["<think> add them 加 </think> 3"])
    [0.75]
    ```
    """
    return LanguageConsistencyReward(
        target_language, language_column, min_words, ignored_tokens, languages, detect_other
    )
