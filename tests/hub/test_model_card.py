"""The card: a golden text, rebuilt from records alone."""

import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from trl_r1.errors import RecordError
from trl_r1.hub import create_model_card, create_model_cards
from trl_r1.run_records import RunRecords


GOLDEN = Path(__file__).parent / "golden_card.md"


def test_golden_card(evaluated):
    (zero,) = [path for path in create_model_cards(evaluated.folder) if path.parent.name == "zero"]
    text = zero.read_text(encoding="utf-8").replace(str(evaluated.folder), "RUN")
    text = text.rpartition("<!-- trl_r1 card")[0]  # its hash depends on where the test runs, as that of the paths
    text = re.sub(r"^(- configuration: sha256) .*$", r"\1", text, flags=re.MULTILINE)
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_same_records_same_card(evaluated):
    first = [path.read_text() for path in create_model_cards(evaluated.folder)]
    assert [path.read_text() for path in create_model_cards(evaluated.folder)] == first


def test_every_checkpoint_gets_a_card_and_nothing_else_does(evaluated):
    cards = create_model_cards(evaluated.folder)
    assert sorted(path.parent.name for path in cards) == ["base", "cold", "zero"]
    assert not (evaluated.folder / "data" / "README.md").exists()


def test_the_hub_can_read_it(evaluated):
    (evaluated.folder / "pipeline.json").write_text('{"license": "apache-2.0"}')
    create_model_cards(evaluated.folder)
    card = ModelCard.load(evaluated.folder / "zero" / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "text-generation"
    assert card.data.tags == ["trl_r1", "trl", "grpo", "deepseek-r1-recipe", "reasoning"]
    assert card.data.datasets == ["org/questions"]
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.metric_args["n"]) == ("accuracy", 0.9, 512)


def test_the_pipeline_that_made_it_is_named(evaluated):
    (evaluated.folder / "pipeline.json").write_text('{"pipeline": "recipes/my pipeline.yaml", "seed": 5}')
    create_model_cards(evaluated.folder)
    text = (evaluated.folder / "zero" / "README.md").read_text()
    assert "trl-r1 run 'recipes/my pipeline.yaml' --seed 5 --only zero\n" in text


def test_base_model_is_named_for_the_hub(ancestry):
    folder = ancestry.stage("tuned", "sft", weights=b"t", parents=[("Qwen/Qwen2.5-1.5B", "base")])
    header = yaml.safe_load(create_model_card(folder).split("---")[1])
    assert header["base_model"] == ["Qwen/Qwen2.5-1.5B"]
    assert "license" not in header


def test_no_number_without_a_record(ancestry):
    text = create_model_card(ancestry.folder / "zero")
    assert "Not measured yet." in text
    assert "0.900" not in text
    assert "%" not in text.partition("## Results")[2]


def test_results_of_other_weights_are_left_out(evaluated):
    """The checkpoint was trained anew after it was measured."""
    (evaluated.folder / "zero" / "model.safetensors").write_bytes(b"newer")
    from trl_r1.stage_record import describe_artefacts

    evaluated.edit(
        "zero",
        artefacts=[
            {"path": item.path, "size": item.size, "sha256": item.sha256}
            for item in describe_artefacts(evaluated.folder / "zero")
        ],
    )
    assert RunRecords.read(evaluated.folder).stages["zero"].evaluations == ()


@pytest.mark.parametrize("name", ["zero", "base"])
def test_damaged_record_is_no_card(ancestry, name):
    (ancestry.folder / name / "stage.json").write_text("[]")
    with pytest.raises(RecordError):
        create_model_card(ancestry.folder / "zero")
    assert not (ancestry.folder / "zero" / "README.md").exists()


def test_one_damaged_stage_costs_no_other_its_card(evaluated):
    evaluated.stage("beside", "sft", weights=b"beside", parents=[("base", "base")])
    (evaluated.folder / "zero" / "model.safetensors").write_bytes(b"evil")
    with pytest.raises(RecordError) as caught:
        create_model_cards(evaluated.folder)
    refused = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    assert set(refused) == {"no card for zero", "no card for cold"}  # and what was made from it
    names = ("base", "beside", "zero", "cold")
    assert [(evaluated.folder / name / "README.md").exists() for name in names] == [True, True, False, False]


def test_data_stage_has_no_model_card(ancestry):
    with pytest.raises(RecordError, match="leaves no model"):
        create_model_card(ancestry.folder / "data")


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("sft", {}, "no system prompt"),
        ("grpo", {"prompt_template": "r1_zero"}, 'load_prompt_template("r1_zero")'),
        ("script", {}, "continues plain text"),
        ("reward_model", {}, "AutoModelForSequenceClassification"),
    ],
)
def test_usage_fits_the_kind(ancestry, kind, config, expected):
    folder = ancestry.stage("x", kind, weights=b"x", config=config)
    assert expected in create_model_card(folder)


def test_damaged_evaluation_names_its_file(evaluated):
    evaluated.edit("evaluation", evaluations=[{"suite": "test"}])
    with pytest.raises(RecordError, match=r"evaluation/stage\.json: damaged evaluation"):
        create_model_cards(evaluated.folder)


def test_measuring_nothing_known_is_no_result(evaluated):
    entry = dict(RunRecords.read(evaluated.folder).stages["zero"].evaluations[0].content)
    evaluated.edit("evaluation", evaluations=[entry | {"weights_sha256": None}])
    assert RunRecords.read(evaluated.folder).stages["zero"].evaluations == ()
