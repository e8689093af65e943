"""`trl-r1 benchmarks`: what there is to measure, printed."""

import pytest

from trl_r1.cli import main
from trl_r1.evaluation.benchmarks import list_benchmarks


def test_every_benchmark_has_a_line(capsys):
    assert main(["benchmarks", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert [row.split(" | ")[0].removeprefix("| ").replace("\\", "") for row in rows] == [
        benchmark.name for benchmark in list_benchmarks()
    ]
    aime = next(row for row in rows if "2024" in row)
    assert aime == r"| aime\_2024 | HuggingFaceH4/aime\_2024 | maths | 30 | 64 | 32,768 |"
    assert any("not known" in row for row in rows)


def test_a_named_one_says_where_it_is_from(tmp_path, capsys):
    own = tmp_path / "own.yaml"
    own.write_text("name: own\ntitle: Own\nreader: math\nhub_id: me/[red]own\nverifier: math\nsource: my notes\n")
    assert main(["benchmarks", str(own), "reasoning_gym/leg_counting"]) == 0
    out = capsys.readouterr().out
    assert "own: my notes." in out
    assert "me/[red]own" in out  # no markup
    assert "made here" in out
    assert "aime_2024" not in out


@pytest.mark.parametrize(("name", "hint"), [("aim_2024", "did you mean 'aime_2024'"), ("no.yaml", "there is no file")])
def test_one_that_is_not_there_is_refused(name, hint, capsys):
    assert main(["benchmarks", name]) == 2
    written = capsys.readouterr()
    assert hint in " ".join((written.out + written.err).split())
