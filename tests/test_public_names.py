"""The public names: complete, sorted, importable, and nothing heavy before they are asked for."""

import subprocess
import sys

import pytest

import trl_r1


def test_names_are_sorted_and_importable():
    assert trl_r1.__all__ == sorted(trl_r1.__all__)
    assert set(trl_r1._HOMES) == set(trl_r1.__all__)
    assert all(getattr(trl_r1, name).__module__.startswith("trl_r1.") for name in trl_r1.__all__)
    assert set(trl_r1.__all__) <= set(dir(trl_r1))


def test_unknown_names_raise():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = trl_r1.nothing


def test_the_command_line_starts_without_torch():
    code = "import sys, trl_r1, trl_r1.cli, trl_r1.pipeline.runner, trl_r1.report; print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
