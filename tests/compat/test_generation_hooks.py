"""What compact generation leans on in Transformers and PyTorch; a failure says what changed and who relies on it."""

import inspect

import pytest
import torch
import transformers
from transformers import DynamicCache, GenerationMixin, LlamaConfig, LlamaForCausalLM
from transformers.cache_utils import DynamicLayer
from transformers.generation import logits_process


DECODING, LIVE_ROWS = "trl_r1/generation/decoding.py", "trl_r1/generation/live_rows.py"
COMPACTION, SAMPLING = "trl_r1/generation/compaction.py", "trl_r1/generation/sampling.py"


def version():
    return f"transformers {transformers.__version__}, torch {torch.__version__}"


@pytest.mark.parametrize(
    ("name", "parameters", "user"),
    [
        ("_prefill", ["self", "input_ids", "generation_config", "model_kwargs", "is_first_iteration"], DECODING),
        ("_optimize_model_for_decode", ["self"], DECODING),
        (
            "_sample",
            [
                *("self", "input_ids", "logits_processor", "stopping_criteria", "generation_config", "synced_gpus"),
                *("streamer", "model_kwargs"),
            ],
            COMPACTION,
        ),
        (
            "prepare_inputs_for_generation",
            [
                *("self", "input_ids", "next_sequence_length", "cache", "attention_mask", "inputs_embeds"),
                *("is_first_iteration", "kwargs"),
            ],
            DECODING,
        ),
        (
            "_update_model_kwargs_for_generation",
            ["self", "outputs", "model_kwargs", "is_encoder_decoder", "num_new_tokens"],
            DECODING,
        ),
    ],
)
def test_method_keeps_its_parameters(name, parameters, user):
    found = list(inspect.signature(getattr(GenerationMixin, name)).parameters)
    assert found == parameters, f"{version()}: GenerationMixin.{name}{tuple(found)}, {user} expects {parameters}"


def test_generate_takes_a_loop_and_gives_it_what_ours_reads():
    seen = {}

    def loop(model, input_ids, logits_processor, stopping_criteria, generation_config, **model_kwargs):
        seen.update(model_kwargs, pad=generation_config._pad_token_tensor, limit=stopping_criteria.max_length)
        return input_ids

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=8, eos_token_id=1, pad_token_id=0, **sizes))
    ids, mask = torch.tensor([[0, 3], [4, 3]]), torch.tensor([[0, 1], [1, 1]])
    model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=3, custom_generate=loop)
    told = f"{version()}: generate hands other things to custom_generate; {DECODING} relies on it"
    assert {"attention_mask", "position_ids", "cache", "use_cache", "logits_to_keep"} <= seen.keys(), told
    assert seen.keys() <= {"attention_mask", "position_ids", "cache", "use_cache", "logits_to_keep", "pad", "limit"}, (
        told
    )
    assert torch.equal(seen["attention_mask"], mask), told
    assert torch.equal(seen["position_ids"], torch.tensor([[0, 0], [0, 1]])), told
    assert type(seen["cache"]) is DynamicCache, told
    assert [type(layer) for layer in seen["cache"].layers] == [DynamicLayer], told
    assert (int(seen["pad"]), seen["limit"]) == (0, 5), told


def test_a_cache_made_of_tensors_has_their_length():
    states = torch.zeros(1, 1, 6, 1)
    cache = DynamicCache([(states, states)])
    assert cache.get_seq_length() == 6, f"{version()}: DynamicCache takes tensors otherwise; {LIVE_ROWS} relies on it"
    assert cache.get_mask_sizes(1, 0) == (7, 0), f"{version()}: other mask sizes; {LIVE_ROWS} relies on them"


def test_repetition_penalty_keeps_prompt_lengths_where_ours_selects_them():
    penalty = logits_process.RepetitionPenaltyLogitsProcessor(1.2, prompt_ignore_length=torch.tensor([0, 1]))
    assert torch.equal(penalty.prompt_ignore_length, torch.tensor([0, 1])), (
        f"{version()}: RepetitionPenaltyLogitsProcessor keeps its lengths otherwise; trl_r1/generation/row_wise.py"
    )


@pytest.mark.parametrize("shape", [(1, 7), (5, 2048), (64, 301)])
def test_multinomial_is_the_largest_ratio_to_exponential_noise(shape):
    probs = torch.randn(shape, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)
    torch.manual_seed(1)
    expected = torch.multinomial(probs, num_samples=1).squeeze(1)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    drawn = (probs / torch.empty_like(probs).exponential_(1)).argmax(dim=-1)
    told = f"{version()}: torch.multinomial draws otherwise; {SAMPLING} relies on it"
    assert torch.equal(drawn, expected), told
    assert torch.equal(torch.get_rng_state(), state), told


def test_the_state_moves_on_by_integers_as_by_noise():
    from trl_r1.generation.sampling import _integers_pass_over_noise

    assert _integers_pass_over_noise(), (
        f"{version()}: noise and integers move the CPU's random state differently; {SAMPLING} stays exact, but draws "
        "noise for rows that have ended: look for another way to pass over it"
    )
