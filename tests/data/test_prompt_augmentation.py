"""Ways to ask: the banks, what each draws, and that training without them is as it was."""

import pytest
from datasets import Dataset

from trl_r1.chat_template import load_template
from trl_r1.data.phrasings import load_variants
from trl_r1.data.prompt_augmentation import VARIANT_COLUMN, PromptAugmentation, augment_prompts
from trl_r1.data.prompt_variants import PromptVariant
from trl_r1.data.rendering import PromptRenderer
from trl_r1.errors import DataError, RecipeError


WAYS = tuple(PromptVariant(name=name, instruction=f"{name} {{problem}}") for name in ("one", "two", "three"))


@pytest.fixture
def chat(tokenizer):
    tokenizer.chat_template = load_template("r1")
    return PromptRenderer(tokenizer)


def rows(renderer, count=300):
    problems = [f"what is a {number % 10} plus b {number % 7} ?" for number in range(count)]
    return Dataset.from_dict(
        {
            "problem": problems,
            "prompt": [renderer.to_prompt(problem) for problem in problems],
            "solution": ["1"] * count,
            "prompt_tail": [renderer.prompt_tail] * count,
            "response_format": ["r1"] * count,
        }
    )


@pytest.mark.parametrize("name", ["default", "formats", "languages"])
def test_every_bank_asks_the_whole_question_once(name, chat):
    variants = load_variants(name)
    assert len({variant.name for variant in variants}) == len(variants) >= 6
    for variant in variants:
        assert variant.ask("What is {x}?").count("What is {x}?") == 1
        prompt = variant.to_prompt(chat, "What is 2 + 3?")
        assert prompt[-1]["role"] == "user"
        assert prompt[-1]["content"] == variant.ask("What is 2 + 3?")
        assert [message["role"] for message in prompt].count("assistant") == len(variant.examples)
    assert len({str(variant.to_prompt(chat, "What is 2 + 3?")) for variant in variants}) == len(variants)


def test_the_papers_prompt_is_among_them():
    paper = next(variant for variant in load_variants("default") if variant.name == "paper")
    assert paper.ask("Q").endswith("Please reason step by step, and put your final answer within \\boxed{}.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variants: []", "must hold `variants`"),
        ("variants: [{instruction: x}]", r"variants\[0\].name: None is not text"),
        ("variants: [bare]", r"variants\[0\]: 'bare' is not a mapping"),
        ("variants: [{name: a, instruction: x}]", "holds {problem} 0 times"),
        ("variants: [{name: a, instuction: '{problem}'}]", "did you mean 'instruction'"),
        ("variants: [{name: a}, {name: a}]", "the name 'a' stands twice"),
        ("variants: [{name: a, examples: [[1]]}]", r"examples\[0\]: \[1\] is no pair of texts"),
        ("variants: [{name: a, examples: [[1, 2]]}]", "both in quotes"),
        ("variants: [{name: a, examples: 3}]", "no list of pairs"),
        ("variants: [{name: a, system_prompt: 3}]", "system_prompt: 3 is not text"),
        ("variants: [{name: a, prompt_template: no/such.txt}]", "prompt_template: .*no/such.txt"),
        ("ways: [{name: a}]", "must hold `variants`"),
    ],
)
def test_a_bank_that_makes_no_sense_is_refused(text, message, tmp_path):
    (tmp_path / "bank.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_variants(str(tmp_path / "bank.yaml"))


def test_a_bank_that_is_not_there_is_named():
    with pytest.raises(RecipeError, match="did you mean 'formats'"):
        load_variants("format")
    with pytest.raises(RecipeError, match=r"there is no file 'nowhere\.yaml'"):
        load_variants("nowhere.yaml")


def test_what_a_variant_leaves_empty_is_its_default(tmp_path):
    (tmp_path / "bank.yaml").write_text("variants: [{name: a, instruction: null, examples: null}]")
    assert load_variants(str(tmp_path / "bank.yaml")) == [PromptVariant(name="a")]


def test_each_question_is_asked_in_one_way_drawn_by_the_seed(chat):
    plain = rows(chat)
    grown = augment_prompts(plain, PromptAugmentation(variants=WAYS), chat)
    assert len(grown) == len(plain)
    names = grown[VARIANT_COLUMN][:]
    assert all(70 <= names.count(way.name) <= 130 for way in WAYS)
    for row, name in zip(grown, names, strict=True):
        assert row["prompt"] == chat.to_prompt(f"{name} {row['problem']}")
    again = augment_prompts(plain, PromptAugmentation(variants=WAYS), chat)
    assert again[VARIANT_COLUMN][:] == names
    other = augment_prompts(plain, PromptAugmentation(variants=WAYS, seed=1), chat)
    assert other[VARIANT_COLUMN][:] != names


def test_copies_ask_each_question_in_different_ways(chat):
    plain = rows(chat, 20)
    augmentation = PromptAugmentation(variants=WAYS, copies=2)
    grown = augment_prompts(plain, augmentation, chat)
    assert len(grown) == 40
    for place in range(20):
        pair = grown[2 * place : 2 * place + 2]
        assert pair["problem"] == [plain[place]["problem"]] * 2
        assert len(set(pair[VARIANT_COLUMN])) == 2
    told = augmentation.describe(grown)
    counts = {way.name: grown[VARIANT_COLUMN][:].count(way.name) for way in WAYS}
    assert all(f"{name} {count}" in told for name, count in counts.items())
    assert "2 of 3 variants" in told


def test_a_variant_may_have_a_template_of_its_own(chat, tmp_path):
    (tmp_path / "plain.txt").write_text("user : {prompt} assistant : <think>")
    plain = PromptVariant(name="plain", prompt_template=str(tmp_path / "plain.txt"))
    [row] = augment_prompts(rows(chat, 1), PromptAugmentation(variants=(plain,)), chat)
    assert row["prompt"] == "user : what is a 0 plus b 0 ? assistant : <think>"
    assert row["prompt_tail"].strip() == "<think>"
    both = PromptAugmentation(variants=(plain, PromptVariant(name="system", system_prompt="hello")), copies=2)
    with pytest.raises(DataError, match="one kind"):
        augment_prompts(rows(chat, 4), both, chat)


def test_rows_that_no_gold_answer_decides_stay_as_they_are_and_keep_their_share(chat):
    kinds = ["reasoning", None, "choice", "code", "helpful", "instructions"] * 5
    plain = rows(chat, 30).add_column("reward_type", kinds)
    ready = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "what is a 4 plus b 4 ?"}]
    prompts = plain["prompt"][:]
    prompts[4] = ready
    plain = plain.remove_columns("prompt").add_column("prompt", prompts)
    augmentation = PromptAugmentation(variants=WAYS, copies=2)
    grown = augment_prompts(plain, augmentation, chat)
    assert grown["reward_type"][:] == [kind for kind in kinds for _ in range(2)]
    for index, row in enumerate(grown):
        if row["reward_type"] in ("reasoning", None, "choice"):
            assert row["prompt"] == chat.to_prompt(f"{row[VARIANT_COLUMN]} {row['problem']}")
        else:
            assert (row["prompt"], row[VARIANT_COLUMN]) == (prompts[index // 2], "as_written")
    assert augmentation.describe(grown).endswith(", as_written 30")


def test_rows_without_a_type_are_drawn_as_they_were_beside_rows_of_other_types(chat):
    plain = rows(chat, 40)
    mixed = plain.add_column("reward_type", ["code"] + ["reasoning"] * 39)
    alone = augment_prompts(plain, PromptAugmentation(variants=WAYS), chat)
    assert augment_prompts(mixed, PromptAugmentation(variants=WAYS), chat)["prompt"][1:] == alone["prompt"][1:]


def test_what_cannot_be_varied_is_refused(chat):
    ready = rows(chat, 3).remove_columns("prompt").add_column("prompt", [[{"role": "user", "content": "other"}]] * 3)
    with pytest.raises(DataError, match="ready-made prompt"):
        augment_prompts(ready, PromptAugmentation(variants=WAYS), chat)
    with pytest.raises(RecipeError, match="prompt_augmentation_copies: 4 must lie between 1"):
        PromptAugmentation(variants=WAYS, copies=4)
    with pytest.raises(RecipeError, match="there is no variant"):
        PromptAugmentation(variants=())
