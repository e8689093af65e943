"""What `trl-r1 validate` says beside mistakes: which stage of the paper it compares with, and where results go."""

from pathlib import Path

import pytest

from trl_r1.presets import STUDENT_RATES
from trl_r1.scripts.validate import validate


ROOT = Path(__file__).parents[2]
HEAD = "# my.yaml · a student\n# trl-r1 sft --config my.yaml\noutput_dir: outputs/my\ndataset_name: me/rows\n"


@pytest.fixture
def said(tmp_path, capsys, monkeypatch):
    """Validates a recipe of these lines and returns what was printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(lines):
        path = tmp_path / "my.yaml"
        path.write_text(HEAD + lines, encoding="utf-8")
        assert validate([str(path)]) == 0
        return capsys.readouterr().out

    return run


def row(text, field):
    return next(line.split()[1:] for line in text.splitlines() if line.split()[:1] == [field])


@pytest.mark.parametrize("base", list(STUDENT_RATES))
def test_a_student_of_the_paper_is_compared_with_its_distillation(said, base):
    text = said(f"model_name_or_path: {base}\nlearning_rate: 1.0e-5\ngradient_accumulation_steps: 4\n")
    assert "paper, distillation" in text
    assert row(text, "learning_rate") == ["1e-05", "2e-05", str(STUDENT_RATES[base])]
    assert row(text, "rows_per_step")[-1] == "64"


def test_any_other_sft_is_compared_with_that_of_r1(said):
    text = said("model_name_or_path: me/base\nlearning_rate: 1.0e-5\n")
    assert "paper, SFT of R1" in text
    assert row(text, "learning_rate")[-1] == "5e-05"
    assert row(text, "rows_per_step")[-1] == "128"


def test_it_says_where_the_result_goes(said):
    text = said("model_name_or_path: me/base\npush_to_hub: true\nhub_model_id: me/my-r1\nhub_private_repo: false\n")
    assert text.splitlines()[-1] == "published to model me/my-r1, branch main, public if new"
    assert "published" not in said("model_name_or_path: me/base\nhub_model_id: me/my-r1\n").splitlines()[-1]


def test_a_placeholder_for_a_name_is_pointed_out(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert validate(["recipes/qwen2.5-1.5b/pipeline.yaml", "recipes/qwen2.5-1.5b/sft_data.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    pipeline = lines[: lines.index("recipes/qwen2.5-1.5b/sft_data.yaml: a good rejection_sample recipe")]
    assert "r1: published to model your-name/Qwen2.5-1.5B-R1, branch main, private if new" in pipeline
    assert not [line for line in pipeline if line.startswith(("prompts:", "evaluation:"))]
    assert pipeline[-1].startswith("your-name is a placeholder")
    assert lines[-1] == pipeline[-1]
    assert validate(["recipes/tiny/pipeline.yaml"]) == 0
    assert "placeholder" not in capsys.readouterr().out
