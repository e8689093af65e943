import pytest
import torch
from scripted_engine import ScriptedEngine
from tiny_models import make_model, make_tokenizer

from trl_r1.errors import GenerationError, R1Error, TemplateError
from trl_r1.generation import SamplingParameters, TransformersEngine, generate
from trl_r1.generation.calls import generate_all, plan_generation
from trl_r1.generation.plan import SampleRow


PROMPTS = ["user : a 4 plus b 5 assistant :", "user : hello assistant :"]
CHAT = [{"role": "user", "content": "hello"}]


def test_missing_samples_are_told_once_each():
    error = GenerationError(7, ["429"] * 4 + ["timeout"] * 2 + ["cut"], 20)
    assert str(error) == "samples: 7 of 20 could not be had: 429 (4 times); timeout (2 times); cut"
    assert (error.count, error.total, len(error.reasons)) == (7, 20, 7)
    many = str(GenerationError(9, [f"reason {number}" for number in range(9)]))
    assert many.endswith("reason 4; and 4 more reasons")


def test_the_summary_counts_prompts_once(tokenizer):
    texts = ["4 plus 5", "hello", "go away", "so", "a", "b"]
    engine = ScriptedEngine(tokenizer, texts, truncated={"go away"})
    groups, summary = generate_all(engine, PROMPTS, SamplingParameters(num_samples=3, batch_size=2))
    assert [[completion.text for completion in group] for group in groups] == [texts[:3], texts[3:]]
    assert (summary.num_prompts, summary.num_completions, summary.num_truncated) == (2, 6, 1)
    assert summary.num_tokens == 3 + 1 + 2 + 1 + 1 + 1
    assert summary.num_prompt_tokens == sum(engine.prompt_lengths(PROMPTS))


def test_an_engine_that_cannot_give_all_is_not_hidden(tokenizer):
    with pytest.raises(GenerationError, match="2 of 6 could not be had: the script ends before"):
        generate(PROMPTS, SamplingParameters(num_samples=3), ScriptedEngine(tokenizer, ["a"] * 4))


@pytest.mark.parametrize("prompt", [[], [{}], ["hello"], [{"content": "hello"}], {"role": "user"}, 3.5, b"hello"])
def test_what_is_no_prompt_is_refused_with_its_number(tokenizer, prompt):
    with pytest.raises(R1Error, match=r"^prompts: number 1 is "):
        plan_generation(ScriptedEngine(tokenizer, []), ["a", prompt], SamplingParameters())


def test_chats_need_a_template(model):
    bare = make_tokenizer()
    bare.chat_template = None
    with pytest.raises(TemplateError, match=r"^chat_template: "):
        generate([CHAT], SamplingParameters(), TransformersEngine(model, bare))


def test_a_chat_reads_as_its_text(model, tokenizer):
    engine, params = TransformersEngine(model, tokenizer), SamplingParameters(max_new_tokens=8, num_samples=2)
    text = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    assert generate([CHAT, PROMPTS[0]], params, engine) == generate([text, PROMPTS[0]], params, engine)


def test_a_batch_can_be_drawn_alone(model, tokenizer):
    engine = TransformersEngine(model, tokenizer)
    params = SamplingParameters(max_new_tokens=8, num_samples=3, batch_size=2)
    groups = engine.generate(PROMPTS, params)
    _, plan = plan_generation(engine, PROMPTS, params)
    last = engine.generate_batch(PROMPTS, plan[-1].rows, params, plan[-1].seed)
    assert plan[-1].rows == (SampleRow(0, 1), SampleRow(0, 2))
    assert last == groups[0][1:]
    assert {completion.seed for completion in last} == {plan[-1].seed}


def test_identity_is_that_of_the_weights(checkpoint, tokenizer):
    loaded = [TransformersEngine.from_pretrained(checkpoint, device="cpu") for _ in range(2)]
    assert loaded[0].identity == loaded[1].identity
    half = TransformersEngine.from_pretrained(checkpoint, dtype="bfloat16", device="cpu")
    assert half.identity["dtype"] == "bfloat16"
    first, second = (TransformersEngine(make_model(tokenizer), tokenizer) for _ in range(2))
    assert first.identity == second.identity
    changed = make_model(tokenizer)
    with torch.no_grad():
        changed.model.norm.weight[3] += 1e-3
    assert TransformersEngine(changed, tokenizer).identity != first.identity
