"""Files and functions that recipes name."""

import pytest

from trl_r1.chat_template import join_response
from trl_r1.errors import R1Error
from trl_r1.user_code import find_file, load_callable


def test_functions_load_by_path(tmp_path):
    file = tmp_path / "world.py"
    file.write_text("def write(row, parsed):\n    return 'x'\n")
    assert load_callable(f"{file}:write")({}, None) == "x"
    assert load_callable(f"{file}:write") is load_callable(f"{file}:write")
    assert load_callable("trl_r1.chat_template.join_response") is join_response


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("write", "'write' is no function; write package.module.name or file.py:name"),
        ("none.py:write", "there is no file 'none.py'"),
        ("world.py:wrote", "there is no 'wrote' there; did you mean write"),
        ("world.py:VALUE", "it is a int, not a function"),
        ("broken.py:write", r"does not run \(ZeroDivisionError"),
        ("no_such_package.write", r"cannot import no_such_package \(ModuleNotFoundError"),
        ("broken.write", r"cannot import broken \(ZeroDivisionError"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, monkeypatch, name, message):
    (tmp_path / "world.py").write_text("def write(row):\n    return 'x'\n\nVALUE = 3\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(R1Error, match=message) as caught:
        load_callable(name)
    assert "\n" not in str(caught.value)


def test_what_a_shipped_recipe_names_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_file("recipes/tiny/prompt.txt").is_file()
    assert load_callable("recipes/tiny/world.py:is_rude")("go away , you bore me , now leave .")
    assert str(find_file("recipes/tiny/none.txt")) == "recipes/tiny/none.txt"
