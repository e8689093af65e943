"""Reading YAML: what is refused, with which line, and that nothing in a file runs."""

import math
from pathlib import Path

import pytest

from trl_r1.errors import RecipeError
from trl_r1.recipe.yaml_files import load_yaml
from trl_r1.user_code import find_file, shipped_recipes


def write(folder, content):
    path = folder / "recipe.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ("beta: 0\nloss_type: grpo\nbeta: 1\n", ["beta: set twice, in lines 1 and 3; keep one of them"]),
        (
            "a: {x: 1, x: 2}\nb: 1\nb: 2\n",
            ["x: set twice, in lines 1 and 1; keep one of them", "b: set twice, in lines 2 and 3; keep one of them"],
        ),
        (
            "a: 1\nb: !!python/object/apply:os.system ['touch ran']\n",
            ["line 2: the tag !!python/object/apply:os.system is not allowed; a recipe holds plain values only"],
        ),
        ("a: !mine 3\n", ["line 1: the tag !mine is not allowed; a recipe holds plain values only"]),
        ("a: !!set {x, y}\n", ["line 1: the tag !!set is not allowed; a recipe holds plain values only"]),
        ("a: [1, 2\nb: 3\n", ["line 2: not valid YAML (expected ',' or ']', but got ':')"]),
        ("a: 1\n\tb: 2\n", ["line 2: not valid YAML (found character '\\t' that cannot start any token)"]),
        ("a: 1\n---\nb: 2\n", ["line 2: not valid YAML (but found another document)"]),
        ("a: *nowhere\n", ["line 1: not valid YAML (found undefined alias 'nowhere')"]),
        ("? [1, 2]\n: 3\n", ["line 1: a key must be a word, not sequence"]),
        ("", ["the file is empty; write `field: value` lines"]),
        ("# only a comment\n", ["the file is empty; write `field: value` lines"]),
        ("- a\n- b\n", ["holds a list, not `field: value` lines"]),
        ("just text\n", ["holds only the value 'just text', not `field: value` lines"]),
        ("null\n", ["holds only the value None, not `field: value` lines"]),
        ("1: a\non: b\n", ["line 1: the key 1 is not text; quote it", "line 2: the key on is not text; quote it"]),
        (b"\x80\x02PK\xff", ["is not text (byte 0 is no UTF-8); give a YAML file"]),
        ("a: '\x07'\n", ["not valid YAML (unacceptable character #x0007: special characters are not allowed)"]),
        ("a: " + "[" * 3000 + "]" * 3000, ["not valid YAML (maximum recursion depth exceeded"]),
    ],
)
def test_refused_with_all_problems(tmp_path, monkeypatch, content, problems):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, content)
    with pytest.raises(RecipeError) as caught:
        load_yaml(path)
    assert len(caught.value.problems) == len(problems)
    assert all(found.startswith(wanted) for found, wanted in zip(caught.value.problems, problems, strict=True))
    assert all("\n" not in problem for problem in caught.value.problems)
    assert str(caught.value).startswith(str(path))
    assert not (tmp_path / "ran").exists()


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(RecipeError, match=r"nothing\.yaml: there is no such file"):
        load_yaml(tmp_path / "nothing.yaml")
    write(tmp_path, "a: 1\n")
    with pytest.raises(RecipeError, match=r"is a folder; name a file in it, such as recipe\.yaml"):
        load_yaml(tmp_path)


def test_values_read(tmp_path):
    content = load_yaml(
        write(
            tmp_path,
            "rate: 1e-6\nbig: 3E+2\nplain: 1.5e-3\nsmall: -2e4\ndate: 2024-01-31\nword: e5\nyes_word: yes\n"
            "base: &base {a: 1, b: 2}\nmerged: {<<: *base, b: 3}\nagain: *base\nsame: &loop [1]\n",
        )
    )
    assert content["rate"] == 1e-6
    assert isinstance(content["rate"], float)
    assert math.isclose(content["big"], 300.0)
    assert (content["plain"], content["small"], content["word"]) == (1.5e-3, -2e4, "e5")
    assert content["date"] == "2024-01-31"
    assert content["yes_word"] is True
    assert content["merged"] == {"a": 1, "b": 3}
    assert content["again"] == {"a": 1, "b": 2}


def test_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    assert load_yaml(write(tmp_path, b"\xef\xbb\xbfa: 1\n")) == {"a": 1}


def test_recipe_found_beside_the_package(tmp_path, monkeypatch):
    shipped = tmp_path / "package" / "recipes"
    (shipped / "tiny").mkdir(parents=True)
    (shipped / "tiny" / "x.yaml").write_text("a: 1\n")
    monkeypatch.setattr("trl_r1.user_code.shipped_recipes", lambda: shipped)
    monkeypatch.chdir(tmp_path)
    assert find_file("recipes/tiny/x.yaml") == shipped / "tiny" / "x.yaml"
    assert find_file("tiny/x.yaml") == shipped / "tiny" / "x.yaml"
    assert load_yaml("tiny/x.yaml") == {"a": 1}
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "x.yaml").write_text("a: 2\n")
    assert load_yaml("tiny/x.yaml") == {"a": 2}  # the working directory comes first
    assert find_file("tiny/none.yaml") == Path("tiny/none.yaml")


def test_checkout_ships_its_recipes():
    assert (shipped_recipes() / "tiny").is_dir()
