import copy
import logging

import pytest
from trl import SFTConfig, SFTTrainer

from trl_r1.chat_template import load_template
from trl_r1.data import load_preferences, load_sft
from trl_r1.errors import DataError, TemplateError


RESPONSE = r"<think> a 4 plus b 5 9 </think> the answer is \boxed{ 9 }"
PROBLEM = "what is a 4 plus b 5 ?"
CHAT = [{"role": "user", "content": PROBLEM}, {"role": "assistant", "content": RESPONSE}]


def config(tmp_path, **fields):
    common = {"bf16": False, "gradient_checkpointing": False, "report_to": "none", "use_cpu": True}
    return SFTConfig(output_dir=str(tmp_path / "out"), **common, **fields)


def trained_text(data, model, tokenizer, args):
    """What the loss of TRL's own trainer counts, a row."""
    trainer = SFTTrainer(model=model, args=args, train_dataset=data.dataset, processing_class=tokenizer)
    return [
        tokenizer.decode([token for token in row["labels"] if token != -100], skip_special_tokens=False)
        for row in trainer.train_dataset
    ]


@pytest.mark.parametrize("assistant_only_loss", [False, True])
def test_the_loss_covers_reasoning_answer_and_end_token_only(
    script_args, model, tokenizer, tmp_path, assistant_only_loss
):
    args = config(tmp_path, assistant_only_loss=assistant_only_loss)
    data = load_sft(script_args([{"messages": CHAT}]), None, tokenizer, args)
    assert data.dataset.column_names == (["messages"] if assistant_only_loss else ["prompt", "completion"])
    assert trained_text(data, model, tokenizer, args) == [RESPONSE + " <|im_end|>"]


def test_the_check_sees_the_tokens_the_trainer_sees(script_args, model, tokenizer, tmp_path, caplog):
    args = config(tmp_path)
    with caplog.at_level(logging.INFO, "trl_r1.data.sft"):
        data = load_sft(script_args([{"messages": CHAT}]), None, tokenizer, args)
    trainer = SFTTrainer(model=model, args=args, train_dataset=data.dataset, processing_class=tokenizer)
    labels = trainer.train_dataset[0]["labels"]
    share = 100 * sum(label != -100 for label in labels) / len(labels)
    assert f"{share:.1f} % of {len(labels)} tokens are in the loss; 1 rows hold reasoning" in caplog.text


def test_plain_rows_join_at_a_word_and_end(script_args, model, tokenizer, tmp_path):
    template = tmp_path / "plain.txt"
    template.write_text("user : {prompt} assistant :")
    args = config(tmp_path)
    rows = [{"problem": PROBLEM, "completion": "<think> a 4 plus b 5 9 </think> <answer> 9 </answer>"}]
    data = load_sft(script_args(rows, prompt_template=str(template)), None, tokenizer, args)
    assert data.dataset[0]["prompt"] == f"user : {PROBLEM} assistant :"
    [text] = trained_text(data, model, tokenizer, args)
    assert text == "<think> a 4 plus b 5 9 </think> <answer> 9 </answer> <|im_end|>"


@pytest.mark.parametrize(
    "row",
    [
        {"problem": PROBLEM, "response": RESPONSE},
        {"problem": PROBLEM, "completion": RESPONSE},
        {"prompt": CHAT[:1], "completion": CHAT[1:]},
        {"messages": CHAT, "teacher": "r1"},
        {
            "messages": [
                CHAT[0],
                {"role": "assistant", "content": r"the answer is \boxed{ 9 }", "reasoning_content": "a"},
            ]
        },
    ],
)
def test_accepted_forms(script_args, tokenizer, tmp_path, row):
    data = load_sft(script_args([row]), None, tokenizer, config(tmp_path))
    assert data.dataset.column_names == ["prompt", "completion"]
    assert data.dataset[0]["prompt"][0]["content"] == PROBLEM


def test_a_template_that_cuts_the_reasoning_is_refused(script_args, tokenizer, tmp_path, monkeypatch):
    cutting = load_template("r1").replace("message.content +", "message.content.split('</think>')[-1] +")
    monkeypatch.setattr(tokenizer, "chat_template", cutting)
    with pytest.raises(TemplateError, match="drops the reasoning of 2 of 2"):
        load_sft(script_args([{"messages": CHAT}]), None, tokenizer, config(tmp_path))


def test_a_mask_without_the_reasoning_is_refused(script_args, tokenizer, tmp_path, monkeypatch):
    masking = load_template("r1").replace(
        "{{- message.content + '<|im_end|>' }}",
        "{{- message.content.split('</think>')[-1] + '<|im_end|>' }}",
    )
    masking = masking.replace(
        "{%- generation %}", "{{- message.content.split('</think>')[0] + '</think>' }}{%- generation %}"
    )
    monkeypatch.setattr(tokenizer, "chat_template", masking)
    args = config(tmp_path, assistant_only_loss=True)
    with pytest.raises(DataError, match=r"reasoning_not_in_loss 1\).*set `chat_template: r1`"):
        load_sft(script_args([{"messages": CHAT}]), None, tokenizer, args)


def test_a_chat_that_never_teaches_the_end_token_is_refused(script_args, tokenizer, tmp_path):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.eos_token = "<|endoftext|>"
    with pytest.raises(DataError, match=r"no_end_token 1\).*'<\|endoftext\|>'.*set eos_token"):
        load_sft(script_args([{"messages": CHAT}]), None, tokenizer, config(tmp_path))
    data = load_sft(script_args([{"messages": CHAT}]), None, tokenizer, config(tmp_path, eos_token="<|im_end|>"))
    assert len(data.dataset) == 1


def test_a_template_without_marks_is_refused_for_assistant_only_loss(script_args, tokenizer, tmp_path, monkeypatch):
    bare = load_template("r1").replace("{%- generation %}", "").replace("{%- endgeneration %}", "")
    monkeypatch.setattr(tokenizer, "chat_template", bare)
    assert len(load_sft(script_args([{"messages": CHAT}]), None, tokenizer, config(tmp_path)).dataset) == 1
    with pytest.raises(TemplateError, match=r"assistant_only_loss: .*set `chat_template: r1`"):
        load_sft(script_args([{"messages": CHAT}]), None, tokenizer, config(tmp_path, assistant_only_loss=True))
    with pytest.raises(TemplateError, match="chat_template_path"):
        load_sft(
            script_args([{"messages": CHAT}]), None, tokenizer, config(tmp_path, chat_template_path="other.jinja")
        )


def test_unusable_rows_are_dropped_and_counted(script_args, tokenizer, tmp_path):
    long = [CHAT[0], {"role": "assistant", "content": "<think> " + "so " * 60 + "</think> 9"}]
    rows = [
        {"messages": chat}
        for chat in (CHAT, CHAT[:1], CHAT[1:], [CHAT[0], {"role": "assistant", "content": " "}], long)
    ]
    data = load_sft(script_args(rows), None, tokenizer, config(tmp_path, max_length=40))
    assert data.sources[0].dropped == {
        "last_turn_not_assistant": 1,
        "prompt_missing": 1,
        "completion_missing": 1,
        "longer_than_max_length": 1,
    }
    assert len(data.dataset) == 1


def test_a_missing_completion_column_is_named(script_args, tokenizer, tmp_path):
    with pytest.raises(DataError, match=r"no column 'completion'.*it has problem, solution"):
        load_sft(script_args([{"problem": "x", "solution": "1"}]), None, tokenizer, config(tmp_path))


def test_preferences_become_chats(script_args, tokenizer):
    rows = [
        {"prompt": "hello ?", "chosen": "hello friend", "rejected": "go away"},
        {"prompt": "hello ?", "chosen": "go away", "rejected": " go away "},
        {"prompt": None, "chosen": "a", "rejected": "b"},
        {"prompt": "hello ?", "chosen": None, "rejected": "b"},
    ]
    data = load_preferences(script_args(rows), None, tokenizer)
    assert data.dataset.to_list() == [
        {
            "prompt": [{"role": "user", "content": "hello ?"}],
            "chosen": [{"role": "assistant", "content": "hello friend"}],
            "rejected": [{"role": "assistant", "content": "go away"}],
        }
    ]
    assert data.sources[0].dropped == {"responses_equal": 1, "prompt_missing": 1, "response_missing": 1}
    with pytest.raises(DataError, match="no column 'rejected'"):
        load_preferences(script_args([{"prompt": "x", "chosen": "y"}]), None, tokenizer)
