import logging

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    DynamicCache,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    LogitsProcessor,
    LogitsProcessorList,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)

from trl_r1.generation.compaction import compact_generation, why_not_compact
from trl_r1.generation.sampling import Sampler


VOCABULARY, END, PAD = 40, 1, 0
LIMIT = 30
SIZES = {"vocab_size": VOCABULARY, "bos_token_id": None, "eos_token_id": END, "pad_token_id": PAD}


def qwen2(**options):
    """Two layers, two query heads for one key head."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Qwen2Config(**SIZES, **sizes, num_key_value_heads=2, initializer_range=0.2, **options)
    return Qwen2ForCausalLM(config).eval()


def gpt2(**options):
    """Learned positions."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(**SIZES, n_embd=32, n_layer=2, n_head=2, n_positions=128, **options)).eval()


def llama():
    """No grouping of heads."""
    torch.manual_seed(0)
    config = LlamaForCausalLM.config_class(
        **SIZES,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


def endless():
    """A policy that declares no end token, from which `generate` would fill in the one that is unset."""
    model = qwen2()
    model.generation_config.eos_token_id = None
    return model


def prompts(lengths=(9, 5, 7), repeats=4, pad_to=0):
    """Left-padded prompts, each repeated."""
    draw = torch.Generator().manual_seed(3)
    width = max(*lengths, pad_to)
    ids, mask = torch.zeros(len(lengths), width, dtype=torch.long), torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, width - length :] = torch.randint(2, VOCABULARY, (length,), generator=draw)
        mask[row, width - length :] = 1
    return {"input_ids": ids.repeat_interleave(repeats, 0), "attention_mask": mask.repeat_interleave(repeats, 0)}


def sampling(**options):
    defaults = {"do_sample": True, "top_k": 0, "max_new_tokens": LIMIT, "eos_token_id": END, "pad_token_id": PAD}
    return GenerationConfig(**{**defaults, **options})


@pytest.fixture
def declined(caplog, monkeypatch):
    """Why calls were left to Transformers, so far in this test."""
    monkeypatch.setattr("trl_r1.generation.compaction._logged", set())
    caplog.set_level(logging.WARNING, "trl_r1.generation.compaction")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("trl_r1.generation")]


def both(model, inputs, config=None, seed=0, **arguments):
    """Tokens and random state after stock's loop, then after ours."""
    found = []
    for compact in (False, True):
        made = {name: make() for name, make in arguments.items()}
        call = {**inputs, **made, "generation_config": config or sampling()}
        torch.manual_seed(seed)
        if compact:
            with compact_generation(model):
                tokens = model.generate(**call)
        else:
            tokens = model.generate(**call)
        found.append((tokens, torch.get_rng_state()))
    return found


def assert_same(model, inputs, config=None, **arguments):
    """Ours gives stock's tokens, shape, type and random state; returns the tokens."""
    for seed in (0, 1):
        (stock, state), (ours, after) = both(model, inputs, config, seed, **arguments)
        assert ours.dtype == stock.dtype
        assert ours.tolist() == stock.tolist()
        assert torch.equal(state, after)
        assert ours.is_contiguous()
    return ours


def lengths_of(tokens, width):
    ends = tokens[:, width:] == END
    return torch.where(ends.any(1), ends.int().argmax(1) + 1, tokens.shape[1] - width).tolist()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.7},
        {"top_p": 0.8},
        {"top_k": 5},
        {"min_p": 0.1},
        {"typical_p": 0.8},
        {"epsilon_cutoff": 0.02},
        {"eta_cutoff": 0.02},
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 6},
        {"suppress_tokens": [5, 6, 7]},
        {"bad_words_ids": [[4], [8, 9]]},
        {"exponential_decay_length_penalty": (4, 1.2)},
        {"eos_token_id": [END, 7, 12]},
        {"do_sample": False, "top_k": None},
        {"temperature": 0.9, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1},
        {"num_return_sequences": 3},
        {"max_new_tokens": 1},
        {"pad_token_id": END},
    ],
    ids=str,
)
def test_tokens_are_stocks(options, declined):
    tokens = assert_same(qwen2(), prompts(), sampling(**options))
    assert tokens.shape[1] > 9
    assert declined() == []


def test_rows_end_at_different_times_and_leave():
    model, inputs = qwen2(), prompts()
    widths = []
    model.register_forward_pre_hook(lambda _, args, kwargs: widths.append(len(kwargs["input_ids"])), with_kwargs=True)
    (_, _), (tokens, _) = both(model, inputs)
    ours = widths[len(widths) // 2 :]
    lengths = lengths_of(tokens, 9)
    assert len(set(lengths)) > 4
    assert ours[0] == 3  # each prompt is read once
    assert ours[1:] == [sum(length > step for length in lengths) for step in range(1, max(lengths))]


@pytest.mark.parametrize("make", [llama, qwen2, gpt2])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_architectures_and_attention_functions(make, attention, declined):
    model = make()
    model.set_attn_implementation(attention)
    assert why_not_compact(model, sampling()) is None
    assert_same(model, prompts())
    assert declined() == []


def test_bfloat16():
    assert_same(qwen2().to(torch.bfloat16), prompts())


def test_bfloat16_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert_same(qwen2(), prompts())


class CountCasts(TorchDispatchMode):
    """How often a tensor is cast."""

    def __init__(self, tensor):
        super().__init__()
        self.address, self.count = tensor.data_ptr(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default and args[0].data_ptr() == self.address:
            self.count += 1
        return func(*args, **kwargs or {})


def test_mixed_precision_casts_weights_once_a_call_and_forgets_them():
    model = qwen2()
    model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)  # as accelerate does
    weight = model.model.layers[0].mlp.up_proj.weight
    assert_same(model, prompts())
    with CountCasts(weight) as casts:
        compact_call(model)
    assert casts.count == 1
    with torch.no_grad():
        weight.copy_(weight.flip(0))
    assert_same(model, prompts())


def test_training_mode_without_dropout(declined):
    assert_same(qwen2().train(), prompts())
    assert declined() == []


@pytest.mark.parametrize("lengths", [(9, 5, 7), (6, 6, 6), (1, 20, 1), (4,)])
@pytest.mark.parametrize("repeats", [1, 4])
def test_prompt_lengths_and_repeats(lengths, repeats):
    assert_same(qwen2(), prompts(lengths, repeats))


def test_prompts_padded_beyond_the_longest():
    assert_same(qwen2(), prompts((3, 5), pad_to=16))


def test_equal_prompts_that_are_not_neighbours():
    inputs = {name: tensor[torch.tensor([0, 4, 8, 1, 5, 0])] for name, tensor in prompts().items()}
    assert_same(qwen2(), inputs)


def test_equal_ids_under_different_masks_are_different_prompts():
    inputs = prompts((6, 6), repeats=2)
    inputs["input_ids"][:] = inputs["input_ids"][0]
    inputs["attention_mask"][2:, :3] = 0
    assert_same(qwen2(), inputs)


def test_no_attention_mask():
    assert_same(qwen2(), {"input_ids": prompts((6, 6))["input_ids"]})


def test_no_row_ends():
    tokens = assert_same(qwen2(), prompts(), sampling(suppress_tokens=[END]))
    assert tokens.shape[1] == 9 + LIMIT


def test_without_an_end_token():
    tokens = assert_same(endless(), prompts(), sampling(eos_token_id=None))
    assert tokens.shape[1] == 9 + LIMIT
    assert END in tokens[:, 9:-1]  # a token like any other


class EndTogether(LogitsProcessor):
    """Stateless, but unknown; ends every row at its fifth token."""

    def __init__(self):
        self.seen = []

    def __call__(self, input_ids, scores):
        self.seen.append(len(input_ids))
        scores[:, END] = torch.inf if input_ids.shape[1] == 9 + 4 else -torch.inf
        return scores.nan_to_num(posinf=1e4)


class RowLengths(LogitsProcessor, StoppingCriteria):
    """Ends row r at its token r + 2: as a processor by the end token, as a criterion by itself."""

    def __init__(self, rows=12):
        self.all = self.left = torch.arange(rows) + 2

    def select_rows(self, index):
        self.left = self.all[index]


class ByToken(RowLengths):
    def __call__(self, input_ids, scores):
        last = self.left <= input_ids.shape[1] + 1 - 9
        scores[:, END] = torch.where(last, 1e4, -torch.inf)
        return scores


class ByCriterion(RowLengths):
    def __call__(self, input_ids, scores, **kwargs):
        return self.left <= input_ids.shape[1] - 9


def test_an_unknown_processor_is_left_to_stock_and_named(declined):
    tokens = assert_same(qwen2(), prompts(), logits_processor=lambda: LogitsProcessorList([EndTogether()]))
    assert lengths_of(tokens, 9) == [5] * 12
    [message] = declined()  # once for both calls
    assert "EndTogether may depend on rows that have ended" in message


def test_all_rows_end_at_once(declined):
    limits = {"logits_processor": lambda: LogitsProcessorList([ByTokenTogether()])}
    tokens = assert_same(qwen2(), prompts(), **limits)
    assert lengths_of(tokens, 9) == [5] * 12
    assert declined() == []


class ByTokenTogether(ByToken):
    def __init__(self):
        self.all = self.left = torch.full((12,), 5)


def test_a_processor_that_follows_rows(declined):
    tokens = assert_same(qwen2(), prompts(), logits_processor=lambda: LogitsProcessorList([ByToken()]))
    assert lengths_of(tokens, 9) == list(range(2, 14))
    assert declined() == []


def test_a_criterion_that_follows_rows(declined):
    assert_same(qwen2(), prompts(), stopping_criteria=lambda: StoppingCriteriaList([ByCriterion()]))
    assert declined() == []


def test_a_criterion_alone_lets_rows_go_on_as_stock_does():
    config = sampling(eos_token_id=None)
    arguments = {"stopping_criteria": lambda: StoppingCriteriaList([ByCriterion()])}
    tokens = assert_same(endless(), prompts(), config, **arguments)
    assert tokens.shape[1] == 9 + 13


def letters():
    """A tokenizer of which each token is one character."""
    symbols = ["<pad>", "<end>", *"abcdefghijklmnopqrstuvwxyz0123456789.?"]
    backend = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(symbols)}, merges=[]))
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<end>")


def test_stop_strings(declined):
    tokenizer, config = letters(), sampling()
    criteria = {"stopping_criteria": lambda: StoppingCriteriaList([StopStringCriteria(tokenizer, [*"abcde", "fg"])])}
    tokens = assert_same(qwen2(), prompts(), config, **criteria)
    assert (torch.isin(tokens[:, 9:], torch.arange(2, 7)).sum(dim=1) <= 1).all()
    assert torch.isin(tokens[:, 9:], torch.arange(2, 7)).any()
    assert declined() == []
    config.stop_strings = ["a", "fg"]
    assert_same(qwen2(), prompts(), config, tokenizer=lambda: tokenizer)
    assert declined() == ["generation is left to Transformers: generate was called with tokenizer"]


def test_an_adapter(declined):
    model = get_peft_model(qwen2(), LoraConfig(r=4, init_lora_weights=False, target_modules=["q_proj", "v_proj"]))
    model.eval()
    assert why_not_compact(model, sampling()) is None
    with_adapter = assert_same(model, prompts())
    assert declined() == []
    with model.disable_adapter():
        assert assert_same(model, prompts()).tolist() != with_adapter.tolist()
    assert "generate" not in vars(model)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: gpt2().train(), "draws random numbers for every row in training mode"),
        (lambda: qwen2(attention_dropout=0.1).train(), "attention_dropout 0.1"),
    ],
)
def test_dropout_is_left_to_stock(make, reason, declined):
    assert_same(make(), prompts())
    assert reason in declined()[0]


def test_right_padding_is_left_to_stock(declined):
    inputs = {name: tensor.flip(1) for name, tensor in prompts().items()}
    assert_same(qwen2(), inputs)
    assert "not padded on the left" in declined()[0]


def test_a_cache_of_the_callers_own_is_left_to_stock(declined):
    def warm_cache():
        return DynamicCache(config=model.config)

    model = qwen2()
    model(input_ids=prompts((6, 6))["input_ids"], cache=(filled := warm_cache()))
    assert_same(model, prompts((6, 6)), cache=warm_cache)
    assert declined() == []  # a new one is as good as generate's own
    assert filled.get_seq_length() == 6
    inputs = {"input_ids": prompts((6, 6))["input_ids"].repeat(1, 2)}
    with compact_generation(model):
        model.generate(**inputs, cache=filled, generation_config=sampling())
    assert "rows cannot be taken out" in declined()[0]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_beams": 2}, "only sampling and greedy decoding"),
        ({"use_cache": False}, "use_cache is false"),
        ({"cache_implementation": "static"}, "cache_implementation 'static'"),
        ({"return_dict_in_generate": True}, "return_dict_in_generate asks for more"),
        ({"prefill_chunk_size": 4}, "prefill_chunk_size"),
    ],
)
def test_configurations_left_to_stock(options, reason, declined):
    config = sampling(**options)
    assert reason in why_not_compact(qwen2(), config)
    found = [result for result, _ in both(qwen2(), prompts(), config)]
    stock, ours = [getattr(result, "sequences", result) for result in found]
    assert torch.equal(stock, ours)
    assert type(found[0]) is type(found[1])
    assert reason in declined()[0]


def test_models_left_to_stock(declined):
    sliding = MistralForCausalLM(
        MistralConfig(
            **SIZES,
            **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "sliding_window": 4},
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    ).eval()
    assert "sliding window or recurrent" in why_not_compact(sliding, sampling())
    assert_same(sliding, prompts())
    assert "rows cannot be taken out" in declined()[0]
    scaled = qwen2(rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4})
    assert "rope_type 'dynamic'" in why_not_compact(scaled, sampling())
    assert_same(scaled, prompts())
    prefix = get_peft_model(qwen2(), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    assert "PREFIX_TUNING adapter adds to each prompt" in why_not_compact(prefix, sampling())
    assert_same(prefix.eval(), prompts())
    assert why_not_compact(qwen2(), None) == "another engine generates"


def test_arguments_left_to_stock(declined):
    class Streamer:
        put = end = staticmethod(lambda *_: None)

    assert_same(qwen2(), prompts((5,), 1), streamer=Streamer)
    assert declined() == ["generation is left to Transformers: generate was called with streamer"]


def test_a_device_that_draws_otherwise_is_left_to_stock(declined, monkeypatch):
    monkeypatch.setattr("trl_r1.generation.decoding.draws_as_multinomial", lambda device: False)
    assert_same(qwen2(), prompts())
    assert "torch.multinomial on cpu" in declined()[0]
    assert_same(qwen2(), prompts(), sampling(do_sample=False, top_k=None))
    assert len(declined()) == 1  # greedy decoding needs no noise


def test_what_is_not_a_number_is_refused_as_stock_does():
    model = qwen2()
    with torch.no_grad():
        model.lm_head.weight[3] = torch.nan
    for call in (lambda: model.generate(**prompts(), generation_config=sampling()), lambda: compact_call(model)):
        with pytest.raises(RuntimeError, match="probability tensor contains either"):
            call()


def compact_call(model):
    with compact_generation(model):
        return model.generate(**prompts(), generation_config=sampling())


def test_the_model_is_restored_when_the_body_or_generation_fails(monkeypatch):
    model = qwen2()

    def fail(*args, **kwargs):
        raise ValueError("from inside")

    handle = model.model.layers[1].register_forward_hook(fail)
    with pytest.raises(ValueError, match="from inside"):
        compact_call(model)
    handle.remove()
    assert "generate" not in vars(model)
    with pytest.raises(ZeroDivisionError), compact_generation(model):
        _ = 1 / 0
    assert "generate" not in vars(model)
    assert_same(model, prompts())


def test_it_may_be_nested(declined):
    model = qwen2()
    with compact_generation(model):
        with compact_generation(model):
            compact_call(model)
        assert "generate" in vars(model)
    assert "generate" not in vars(model)
    assert declined() == []


def test_a_generate_of_others_is_left_alone(declined):
    model = qwen2()
    model.generate = lambda **kwargs: "theirs"
    with compact_generation(model):
        assert model.generate() == "theirs"
    assert model.generate() == "theirs"
    assert "was replaced by other code" in declined()[0]


def test_blocks_of_room_do_not_change_tokens(monkeypatch):
    monkeypatch.setattr("trl_r1.generation.live_rows.BLOCK", 3)
    assert_same(qwen2(), prompts(repeats=6), sampling(max_new_tokens=60))
    assert_same(gpt2(), prompts(repeats=6), sampling(max_new_tokens=60))


def test_masks_made_each_step_do_not_change_tokens(monkeypatch):
    monkeypatch.setattr(Qwen2ForCausalLM, "_can_compile_fullgraph", False)
    monkeypatch.setattr("trl_r1.generation.live_rows.BLOCK", 3)
    assert_same(qwen2(), prompts(repeats=6), sampling(max_new_tokens=60))


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4], [0, 2], [4], [4, 1, 3], [3, 0]])
@pytest.mark.parametrize("passes_over", [True, False])
def test_noise_is_that_of_torch_multinomial(kept, passes_over, monkeypatch):
    if not passes_over:
        monkeypatch.setattr("trl_r1.generation.sampling._integers_pass_over_noise", lambda: False)
    scores = torch.randn(5, 301, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(4)
    expected = [torch.multinomial(scores.softmax(-1), 1).squeeze(1) for _ in range(3)]
    state = torch.get_rng_state()
    torch.manual_seed(4)
    sampler = Sampler(5, 301, scores.device)
    assert torch.equal(sampler(scores), expected[0])
    sampler.select_rows(torch.tensor(kept))
    for draw in expected[1:]:
        assert torch.equal(sampler(scores[kept]), draw[kept])
    assert torch.equal(torch.get_rng_state(), state)
