"""Which part of a completion is the program."""

import pytest

from trl_r1.verifiers.code_extraction import MAX_PROGRAM_CHARS, extract_program


GOOD = "```python\nprint(1)\n```"


@pytest.mark.parametrize(
    "text",
    [
        f"<think> x </think> {GOOD}".replace("> `", ">\n`"),
        f"<think> x </think>\nFirst\n```python\nprint(0)\n```\nbetter:\n{GOOD}\nDone.",
        f"<think> ```python\nprint(0)\n``` </think>\n{GOOD}",
        f"<think> x </think>\n<answer>\n{GOOD}\n</answer>",
        f"<think> x </think>\n{GOOD}\nIt prints:\n```\n1\n```",  # tagged before untagged
        f"<think> x </think>\n{GOOD}\nRun it:\n```bash\npython x.py\n```",
        "<think> x </think>\n```\nprint(1)\n```",
        "<think> x </think>\n```py\nprint(1)\n```",
        "<think> x </think>\n```Python3 title=x\nprint(1)\n```",
        "<think> x </think>\n~~~python\nprint(1)\n~~~",
        "<think> x </think>\n````python\nprint(1)\n````",
        "<think> x </think>\n1. so:\n   ```python\n   print(1)\n   ```",
        "<think> x </think>\nprint(1)",
        "print(1)",
        GOOD,
        "```python\nprint(1)\n```  \r\n",
    ],
)
def test_the_program_is_found(text):
    assert extract_program(text).text.strip() == "print(1)"


def test_a_fence_inside_a_docstring_does_not_close_the_block():
    code = 'def f():\n    """\n    ```\n    f()\n    ```\n    """\n    return 1'
    assert extract_program(f"```python\n{code}\n```").text == code
    listed = "    " + f"```python\n{code}\n```".replace("\n", "\n    ")
    assert extract_program(f"1. so:\n\n{listed}").text == code


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "no answer after the thoughts"),
        ("<think> x </think>", "no answer after the thoughts"),
        (f"<think> x\n{GOOD}", "no answer after the thoughts"),
        (f"<think> {GOOD} </think>", "no answer after the thoughts"),
        (f"<think> x </think> <answer>\n{GOOD}", "no answer after the thoughts"),
        ("<think> x </think>\n```python\nprint(1)", "the last code block is not closed"),
        (f"<think> x </think>\n{GOOD}\nbetter:\n```python\nprint(2)", "the last code block is not closed"),
        ("<think> x </think>\n```python\nprint(1)```", "the last code block is not closed"),
        ("<think> x </think>\n```python\n```", "the code block is empty"),
        ("<think> x </think>\n```cpp\nint main() {}\n```", "no Python code block, only cpp"),
        (f"```python\n{'x = 1; ' * MAX_PROGRAM_CHARS}\n```", "the program is longer than 200000 characters"),
    ],
)
def test_no_program(text, missing):
    program = extract_program(text)
    assert (program.text, program.missing) == (None, missing)


def test_the_thoughts_are_never_read():
    text = f"<think> {GOOD} </think> I give up"
    assert extract_program(text).text == "I give up"  # no Python: it fails in the sandbox


def test_it_is_linear_in_the_length():
    assert extract_program("`" * 100_000).text is None
    assert extract_program("```\n" * 50_001).missing == "the last code block is not closed"
