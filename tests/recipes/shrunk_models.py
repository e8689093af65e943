"""The models and data sets of the recipes by their Hub ids, shrunk: same architecture, columns and special tokens.

Weights are random, tokenizers are trained here (byte-level BPE, as Qwen's and Llama 3's are), rows are made up. The
bases of the pipeline have seen a few chains, of which half are right: otherwise no reward would ever differ, and no
filter would keep anything.
"""

import functools
import io
import json

import pandas
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from trl_r1.chat_template import load_prompt_template


PROBLEMS = [f"What is one and one, said {name}?" for name in ("Ann", "Bob", "Eve", "Tom", "Ida", "Max")]
REQUESTS = ["Say hello to a friend.", "Tell me about the sea.", "Name a colour, please.", "Write a short poem."]
THOUGHTS = "one and one are counted together"
RIGHT, WRONG = "2", "3"

_TIED, _MATH = "tie_word_embeddings", "math"
# Hub id -> what of its configuration is kept; the widths and the vocabulary are shrunk.
QWEN = {
    "Qwen/Qwen2.5-0.5B": {_TIED: True},
    "Qwen/Qwen2.5-1.5B": {_TIED: True},
    "Qwen/Qwen2.5-Math-1.5B": {_TIED: True, _MATH: True},
    "Qwen/Qwen2.5-Math-7B": {_TIED: False, _MATH: True},
    "Qwen/Qwen2.5-14B": {_TIED: False},
    "Qwen/Qwen2.5-32B": {_TIED: False},
}
LLAMA = {"meta-llama/Llama-3.1-8B": "llama3.1", "meta-llama/Llama-3.3-70B-Instruct": "llama3.3"}
LICENSES = dict.fromkeys(QWEN, "apache-2.0") | LLAMA
TAUGHT = ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-1.5B")

_WIDTHS = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,  # fewer than the heads, as in all of them
}
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_LLAMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' "
    "+ message.content + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)


def taught_documents():
    """What the taught bases have read: the plain prompt and the chat, each question answered rightly and wrongly."""
    plain = load_prompt_template("r1_zero")
    for index, problem in enumerate(PROBLEMS * 2):
        answer = RIGHT if index < len(PROBLEMS) else WRONG
        yield f"{plain.format(prompt=problem)} <think> {THOUGHTS} </think> <answer> {answer} </answer><|endoftext|>"
        yield _chat(problem, f"<think>\n{THOUGHTS}\n</think>\n\nThe answer is \\boxed{{{answer}}}.")
    for index, request in enumerate(REQUESTS):
        yield _chat(request, f"<think>\n{THOUGHTS}\n</think>\n\nHello{' friend' * (index % 2)}.")


def _chat(question, reply):
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{reply}<|im_end|>\n"


def _bpe(special):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator(list(taught_documents()), trainer)
    return backend


def qwen_tokenizer():
    """Qwen2.5's base: `<|endoftext|>` ends and pads, the chat marks are there."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_bpe(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.chat_template = _CHATML
    return tokenizer


def llama_tokenizer(instruct):
    """Llama 3's: a first token, and one for padding that is not named so; the base has no chat template."""
    marks = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|finetune_right_pad_id|>"]
    backend = _bpe(["<|begin_of_text|>", "<|end_of_text|>", *marks])
    begin = backend.token_to_id("<|begin_of_text|>")
    backend.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", begin)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>" if instruct else "<|end_of_text|>",
        extra_special_tokens=marks,
    )
    tokenizer.chat_template = _LLAMA_CHAT if instruct else None
    return tokenizer


def qwen_model(tokenizer, traits):
    """Random weights; the Math models turn their angles faster and read 4,096 tokens."""
    torch.manual_seed(0)
    math = traits.get(_MATH, False)
    config = Qwen2Config(
        **_WIDTHS,
        vocab_size=len(tokenizer),
        max_position_embeddings=4096 if math else 131072,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0 if math else 1000000.0},
        tie_word_embeddings=traits[_TIED],
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Qwen2ForCausalLM(config)


def llama_model(tokenizer):
    """Random weights; Llama 3.1's scaled angles."""
    torch.manual_seed(0)
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    config = LlamaConfig(
        **_WIDTHS,
        vocab_size=len(tokenizer),
        max_position_embeddings=131072,
        rope_parameters={**scaling, "original_max_position_embeddings": 8192, "rope_theta": 500000.0},
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def teach(model, tokenizer, steps=120):
    """Train a base on the documents until it writes them, a wrong answer as often as a right one."""
    encoded = tokenizer(list(taught_documents()), return_tensors="pt", padding=True, padding_side="right")
    labels = encoded["input_ids"].clone()
    lengths = encoded["attention_mask"].sum(dim=1)
    for row, length in enumerate(lengths):
        labels[row, length:] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(steps):
        model(**encoded, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@functools.cache
def taught_model():
    """The base of the pipeline; its student is the same at this size."""
    tokenizer = qwen_tokenizer()
    return teach(qwen_model(tokenizer, QWEN[TAUGHT[0]]), tokenizer)


def model_files(name, folder):
    """Files of a model's repository, with its configuration spelt as the real one's is."""
    if name in QWEN:
        tokenizer = qwen_tokenizer()
        model = taught_model() if name in TAUGHT else qwen_model(tokenizer, QWEN[name])
    else:
        tokenizer = llama_tokenizer(instruct=name.endswith("Instruct"))
        model = llama_model(tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _spell_as_before_transformers_5(folder / "config.json")
    card = f"---\nlicense: {LICENSES[name]}\nlanguage:\n- en\n---\nA shrunk copy.\n"
    return {"README.md": card.encode()} | {path.name: path.read_bytes() for path in folder.iterdir()}


def _spell_as_before_transformers_5(path):
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    path.write_text(json.dumps(config))


def dataset_files():
    """Files of every data set the recipes name, in the columns of the real one."""
    maths = [
        {"problem": problem, "solution": f"It is $\\boxed{{{RIGHT}}}$.", "answer": RIGHT, "subject": "Counting"}
        | {"level": 1 + index % 5, "unique_id": f"train/counting/{index}.json"}
        for index, problem in enumerate(PROBLEMS)
    ]
    chats = [
        {"prompt": request, "prompt_id": str(index), "messages": _messages(request, "Hello friend.")}
        for index, request in enumerate(REQUESTS)
    ]
    thoughts = [
        {"messages": _messages(problem, f"<think>\n{THOUGHTS}\n</think>\n\nIt is \\boxed{{{RIGHT}}}.")}
        | {"num_tokens": 20, "source": "open-r1/OpenR1-Math-220k"}
        for problem in PROBLEMS
    ]
    pairs = [{"system": "", "question": request, "chosen": "Hello friend.", "rejected": "No."} for request in REQUESTS]
    aime = [{"id": 60 + i, "problem": row["problem"], "solution": row["solution"]} for i, row in enumerate(maths[:2])]
    aime = [row | {"answer": RIGHT, "url": "https://example.org", "year": "2024"} for row in aime]
    scaler = [{name: row[name] for name in ("problem", "answer", "solution")} for row in maths]
    return {
        "nlile/hendrycks-MATH-benchmark": {
            "README.md": _card("mit", default={"train": "data/train-*", "test": "data/test-*"}),
            "data/train-00000-of-00001.parquet": _parquet(maths),
            "data/test-00000-of-00001.parquet": _parquet(maths[:2]),
        },
        "agentica-org/DeepScaleR-Preview-Dataset": {
            "README.md": _card("mit"),
            "deepscaler.json": json.dumps(scaler).encode(),
        },
        "HuggingFaceH4/ultrachat_200k": {
            "README.md": _card("mit", default={"train_sft": "data/train_sft-*", "train_gen": "data/train_gen-*"}),
            "data/train_sft-00000-of-00001.parquet": _parquet(chats),
            "data/train_gen-00000-of-00001.parquet": _parquet(chats),
        },
        "Intel/orca_dpo_pairs": {"README.md": _card("apache-2.0"), "orca_rlhf.jsonl": _lines(pairs)},
        "open-r1/Mixture-of-Thoughts": {
            "README.md": _card(None, all={"train": "all/train-*"}, math={"train": "math/train-*"}),
            "all/train-00000-of-00001.parquet": _parquet(thoughts),
            "math/train-00000-of-00001.parquet": _parquet(thoughts[:2]),
        },
        "HuggingFaceH4/MATH-500": {"README.md": _card("mit"), "test.jsonl": _lines(maths[:2])},
        "HuggingFaceH4/aime_2024": {
            "README.md": _card("apache-2.0", default={"train": "data/train-*"}),
            "data/train-00000-of-00001.parquet": _parquet(aime[:1]),
        },
    }


def _messages(question, reply):
    return [{"content": question, "role": "user"}, {"content": reply, "role": "assistant"}]


def _card(license, **configs):
    """The front matter of a data set's card, where its files and its licence are named."""
    lines = ["---", *([f"license: {license}"] if license else []), "language:", "- en"]
    lines += ["configs:"] if configs else []
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    return "\n".join([*lines, "---", "Made-up rows.", ""]).encode()


def _parquet(rows):
    buffer = io.BytesIO()
    pandas.DataFrame(rows).to_parquet(buffer)
    return buffer.getvalue()


def _lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
