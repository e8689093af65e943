"""What SFT trains on, looked for in TRL's own trainer; and whether packed rows keep to themselves."""

import copy
import math

import numpy as np
import pytest
import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from trl_r1.chat_template import load_template
from trl_r1.errors import DataError, TemplateError
from trl_r1.trainer.cross_talk import cross_talk
from trl_r1.trainer.trained_rows import IGNORED, _ends_every_turn, _masks_thoughts, check_trained_rows


def chat(index):
    a, b = index % 9, index // 9
    answer = f"<think> a {a} plus b {b} so {(a + b) % 10} </think> the answer is {(a + b) % 10}"
    answer += " so" * (index % 4)  # rows of several lengths
    question = [{"role": "user", "content": f"what is a {a} plus b {b} ?"}]
    return {"prompt": question, "completion": [{"role": "assistant", "content": answer}]}


ROWS = [chat(index) for index in range(12)]


@pytest.fixture
def build(model, tokenizer, tmp_path):
    """TRL's own trainer on rows, with what a test changes."""

    def make(rows=ROWS, processing_class=None, attention="sdpa", **fields):
        common = {"bf16": False, "gradient_checkpointing": False, "report_to": "none", "use_cpu": True}
        args = SFTConfig(
            output_dir=str(tmp_path), **{**common, "max_length": 128, "per_device_train_batch_size": 4, **fields}
        )
        model.set_attn_implementation(attention)
        given = processing_class or copy.deepcopy(tokenizer)
        return SFTTrainer(model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=given)

    return make


@pytest.mark.parametrize(
    "fields", [{}, {"packing": True, "max_length": 80}, {"padding_free": True, "max_length": None}], ids=str
)
def test_counts_are_those_of_the_rows(build, tokenizer, fields):
    trainer = build(**fields)
    found = check_trained_rows(trainer)
    answers = [tokenizer(row["completion"][0]["content"])["input_ids"] for row in ROWS]
    assert found.rows == len(ROWS)
    assert found.in_loss == sum(len(answer) + 1 for answer in answers)  # and the end token
    assert found.sequences == len(trainer.train_dataset)
    assert (found.sequences < found.rows) == bool(fields.get("packing"))
    assert found.measurements()["share_in_loss"].value == pytest.approx(found.in_loss / found.tokens)


def test_looking_draws_nothing_and_changes_nothing(build):
    trainer = build(packing=True, max_length=80)
    state, weights = torch.get_rng_state(), copy.deepcopy(trainer.model.state_dict())
    trainer.model.train()
    check_trained_rows(trainer)
    assert trainer.model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trainer.model.state_dict().items())


def test_an_end_token_that_equals_the_padding_stays_in_the_loss(build, tokenizer):
    shared = copy.deepcopy(tokenizer)
    shared.pad_token = shared.eos_token
    trainer = build(processing_class=shared)
    check_trained_rows(trainer)
    rows = [trainer.train_dataset[index] for index in range(4)]
    labels = trainer.data_collator(rows)["labels"]
    assert ((labels == shared.eos_token_id).sum(-1) == 1).all()  # and the padding's copies of it are not


def test_a_line_break_after_the_end_token_is_no_fault(build):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {
        character: index for index, character in enumerate(["<|im_end|>", "?", "\n", " ", *"0123456789abst"])
    }
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    lines = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|im_end|>")
    lines.chat_template = load_template("r1").replace("<|im_start|>", "I")
    trainer = build(processing_class=lines, max_length=None)
    assert lines.convert_ids_to_tokens(trainer.train_dataset[0]["input_ids"][-2:]) == ["<|im_end|>", "\n"]
    check_trained_rows(trainer)


def test_a_row_cut_before_its_end_is_found(build):
    with pytest.raises(DataError, match=r"12 of 12 rows .*never stop: set eos_token .*raise max_length"):
        check_trained_rows(build(max_length=24))


def test_a_turn_without_its_end_among_several_is_found(build, tokenizer):
    late = copy.deepcopy(tokenizer)
    late.chat_template = (
        load_template("r1")
        .replace("message.content + '<|im_end|>'", "message.content + ('<|im_end|>' if loop.last else '')")
        .replace("{{- '\\n' }}", "{{- ' \\n' }}")
    )
    turns = [*ROWS[0]["prompt"], *ROWS[0]["completion"], *ROWS[1]["prompt"], *ROWS[1]["completion"]]
    rows = [{"messages": turns}] * 4
    check_trained_rows(build(rows, assistant_only_loss=True))
    with pytest.raises(DataError, match=r"4 of 4 rows .*a turn in the loss does not close"):
        check_trained_rows(build(rows, processing_class=late, assistant_only_loss=True))


def test_thoughts_before_the_loss_are_found(build, tokenizer):
    masking = copy.deepcopy(tokenizer)
    masking.chat_template = (
        load_template("r1")
        .replace(
            "{{- message.content + '<|im_end|>' }}", "{{- message.content.split('</think>')[-1] + '<|im_end|>' }}"
        )
        .replace("{%- generation %}", "{{- message.content.split('</think>')[0] + '</think>' }}{%- generation %}")
    )
    rows = [{"messages": [*row["prompt"], *row["completion"]]} for row in ROWS]
    with pytest.raises(DataError, match=r"12 of 12 rows .*thoughts of the last turn are not in the loss"):
        check_trained_rows(build(rows, processing_class=masking, assistant_only_loss=True))


def test_a_question_about_the_tags_is_no_fault(build):
    rows = [{"prompt": "user : put it in <think> </think> ? assistant :", "completion": " the answer is 4"}] * 4
    check_trained_rows(build(rows))


def test_a_sequence_that_begins_twice_is_found(build, tokenizer):
    twice = copy.deepcopy(tokenizer)
    twice.bos_token = "<|im_start|>"
    rows = [{"prompt": f"<|im_start|> <|im_start|> what is {n} ?", "completion": f" {n}"} for n in range(4)]
    with pytest.raises(DataError, match=r"4 of 4 rows .*begins with '<\|im_start\|>' twice"):
        check_trained_rows(build(rows, processing_class=twice))


def test_a_collator_that_masks_the_end_is_found(build):
    trainer = build()
    collate = trainer.data_collator

    def masking(features):
        batch = collate(features)
        batch["labels"][batch["labels"] == trainer.processing_class.eos_token_id] = IGNORED
        return batch

    trainer.data_collator = masking
    with pytest.raises(DataError, match=r"first batch has \d+ tokens in its loss and its rows have"):
        check_trained_rows(trainer)


def test_a_collator_that_trains_on_the_question_is_found(build):
    trainer = build()
    collate = trainer.data_collator

    def everything(features):
        batch = collate(features)
        return {**batch, "labels": batch["input_ids"]}

    trainer.data_collator = everything
    with pytest.raises(DataError, match=r"first batch has \d+ tokens in its loss"):
        check_trained_rows(trainer)


def test_words_after_the_end_token_are_a_fault_and_blanks_are_none():
    ids = np.array([5, 6, 2, 7])
    assert _ends_every_turn(ids, np.array([[1, 4]]), 2, lambda token: token == 7)
    assert not _ends_every_turn(ids, np.array([[1, 4]]), 2, lambda token: False)
    assert not _ends_every_turn(ids, np.empty((0, 2), int), 2, lambda token: False)  # nothing in the loss at all


def test_one_begin_token_is_no_fault(build, tokenizer):
    once = copy.deepcopy(tokenizer)
    once.bos_token = "<|im_start|>"
    rows = [{"prompt": f"<|im_start|> what is {n} ?", "completion": f" {n}"} for n in range(4)]
    check_trained_rows(build(rows, processing_class=once))


def test_thoughts_of_earlier_turns_may_stay_out_of_the_loss(tokenizer):
    close, end, word = tokenizer.convert_tokens_to_ids(["</think>", "<|im_end|>", "so"])
    assert tokenizer.eos_token_id == end
    ids = np.array([word, close, word, end, word, end])
    assert not _masks_thoughts(ids, np.array([[4, 6]]), tokenizer)
    assert not _masks_thoughts(
        np.array([word, end, close, end, word, close, end]), np.array([[1, 2], [4, 7]]), tokenizer
    )
    assert _masks_thoughts(np.array([word, end, word, close, word, end]), np.array([[4, 6]]), tokenizer)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_packed_batch_is_its_rows_alone(build, attention):
    trainer = build(packing=True, max_length=80, attention=attention)
    model = trainer.model.eval()
    feature = max(
        (trainer.train_dataset[n] for n in range(len(trainer.train_dataset))), key=lambda row: row["seq_lengths"]
    )
    lengths = feature["seq_lengths"]
    assert len(lengths) > 1
    batch = trainer.data_collator([feature])
    labels = batch.pop("labels")
    with torch.no_grad():
        packed = model(**batch, use_cache=False).logits[0]
        alone = [
            model(input_ids=ids[None], use_cache=False).logits[0]
            for ids in torch.tensor(feature["input_ids"]).split(lengths)
        ]
    assert torch.allclose(packed, torch.cat(alone), atol=1e-5)
    loss = trainer.compute_loss(model, {**batch, "labels": labels})
    sums = counts = 0
    for logits, wanted in zip(alone, torch.tensor(feature["labels"]).split(lengths), strict=True):
        kept = wanted[1:] != IGNORED
        log_probs = logits.double().log_softmax(-1)[:-1].gather(-1, wanted[1:].clamp(min=0)[:, None])[:, 0]
        sums, counts = sums - float(log_probs[kept].sum()), counts + int(kept.sum())
    assert math.isclose(float(loss.detach()), sums / counts, rel_tol=1e-5)


def test_rows_that_read_each_other_are_refused(build, monkeypatch):
    trainer = build(packing=True, max_length=80)
    changed, followed = cross_talk(trainer)
    assert changed > 0.1
    assert followed == 0.0
    forward = trainer.model.forward
    positions = {"position_ids", "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx"}

    def unaware(**given):  # as a model does that brings attention of its own
        return forward(**{name: value for name, value in given.items() if name not in positions})

    monkeypatch.setattr(trainer.model, "forward", unaware)
    with pytest.raises(TemplateError, match=r"packing: the rows .*read each other under .*'sdpa'.*`packing: false`"):
        check_trained_rows(trainer)
