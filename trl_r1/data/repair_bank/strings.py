"""Text."""

from typing import Any


def only_letters(text: str) -> str:
    """Return the letters of a text in lower case, without anything else."""
    return "".join(character.lower() for character in text if character.isalpha())


def is_palindrome(text: str) -> bool:
    """Tell whether a text reads the same backwards, whatever its case and punctuation."""
    letters = only_letters(text)
    return letters == letters[::-1]


def are_anagrams(first: str, second: str) -> bool:
    """Tell whether two texts use the same letters equally often."""
    return sorted(only_letters(first)) == sorted(only_letters(second))


def count_vowels(text: str) -> int:
    """Count the vowels of a text, whatever their case."""
    count = 0
    for character in text.lower():
        if character in "aeiou":
            count += 1
    return count


def caesar(text: str, shift: int) -> str:
    """Shift every letter along the alphabet, keep its case, and leave all else alone."""
    result = []
    for character in text:
        if character.isascii() and character.isalpha():
            start = ord("a") if character.islower() else ord("A")
            result.append(chr((ord(character) - start + shift) % 26 + start))
        else:
            result.append(character)
    return "".join(result)


def run_lengths(text: str) -> list[tuple[str, int]]:
    """Return each run of one character with its length, in order."""
    runs: list[tuple[str, int]] = []
    for character in text:
        if runs and runs[-1][0] == character:
            runs[-1] = (character, runs[-1][1] + 1)
        else:
            runs.append((character, 1))
    return runs


def compress(text: str) -> str:
    """Write each run of a character as the character and the length, which is left out where it is one."""
    return "".join(character + (str(length) if length > 1 else "") for character, length in run_lengths(text))


def truncate(text: str, width: int) -> str:
    """Cut a text to a width, three dots included; a shorter one stays as it is."""
    if len(text) <= width:
        return text
    if width < 3:
        return text[:width]
    return text[: width - 3] + "..."


def to_snake_case(name: str) -> str:
    """Turn camel case into words joined by underscores."""
    words = ""
    for index, character in enumerate(name):
        if character.isupper() and index > 0:
            words += "_"
        words += character.lower()
    return words


def to_camel_case(name: str) -> str:
    """Turn words joined by underscores into camel case with a small first letter."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def wrap_words(text: str, width: int) -> list[str]:
    """Break a text into lines of at most a width, between words only."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        lines.append(line)
    return lines


def common_prefix(words: list[str]) -> str:
    """Return the longest text that all words begin with."""
    if not words:
        return ""
    shortest = min(words, key=len)
    for index, character in enumerate(shortest):
        if any(word[index] != character for word in words):
            return shortest[:index]
    return shortest


def is_balanced(text: str) -> bool:
    """Tell whether round, square and curly brackets are opened and closed in order."""
    pairs = {")": "(", "]": "[", "}": "{"}
    opened: list[str] = []
    for character in text:
        if character in "([{":
            opened.append(character)
        elif character in pairs and (not opened or opened.pop() != pairs[character]):
            return False
    return not opened


def parse_pairs(text: str) -> dict[str, str]:
    """Read pairs such as "a=1;b=2" into a dictionary, without the blanks around keys and values."""
    pairs = {}
    for part in text.split(";"):
        if "=" in part:
            key, value = part.split("=", 1)
            pairs[key.strip()] = value.strip()
    return pairs


def initials(name: str) -> str:
    """Return the first letters of the words of a name, in capitals, each followed by a dot."""
    return "".join(word[0].upper() + "." for word in name.split())


def center_text(text: str, width: int, fill: str) -> str:
    """Pad a text on both sides to a width; an odd rest goes to the right."""
    missing = width - len(text)
    if missing <= 0:
        return text
    left = missing // 2
    return fill * left + text + fill * (missing - left)


INPUTS: dict[str, list[tuple[Any, ...]]] = {
    "only_letters": [("Hello, World 42!",), ("",), ("aBc",), ("1-2-3",)],
    "is_palindrome": [("Never odd or even",), ("abca",), ("",), ("A",), ("ab",), ("No lemon, no melon.",)],
    "are_anagrams": [("Listen", "Silent"), ("aab", "abb"), ("", ""), ("Dormitory", "dirty room"), ("abc", "abcd")],
    "count_vowels": [("Education",), ("rhythm",), ("",), ("AEIOU aeiou",), ("Umbrella",)],
    "caesar": [("abc XYZ", 3), ("Hello!", 0), ("zebra", 1), ("Attack at 5", 13), ("abc", -1), ("m", 26)],
    "run_lengths": [("aaabbc",), ("",), ("abc",), ("zz",), ("aabaa",)],
    "compress": [("aaabbc",), ("",), ("abc",), ("zzzzzzzzzzzz",), ("aabaa",)],
    "truncate": [("hello world", 8), ("hello", 5), ("hello", 4), ("hello", 3), ("hello", 2), ("", 4)],
    "to_snake_case": [("camelCase",), ("Word",), ("aBC",), ("plain",), ("",)],
    "to_camel_case": [("snake_case_name",), ("word",), ("a_b",), ("",), ("get_HTTP_code",)],
    "wrap_words": [("the quick brown fox jumps", 10), ("a b c d", 3), ("word", 4), ("", 5), ("longword a", 4)],
    "common_prefix": [(["flower", "flow", "flight"],), ([],), (["same", "same"],), (["a", "b"],), (["ab", "abc"],)],
    "is_balanced": [("(a[b]{c})",), ("(]",), ("((",), (")",), ("",), ("{[()]}()",), ("([)]",)],
    "parse_pairs": [("a=1;b=2",), ("",), (" x = y = z ; w",), ("k=;m = 3",)],
    "initials": [("ada lovelace",), ("Grace Brewster Hopper",), ("",), ("x",)],
    "center_text": [("ab", 6, "."), ("ab", 5, "-"), ("abc", 3, "*"), ("abc", 2, "*"), ("", 3, "x")],
}
