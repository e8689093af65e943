"""A random reward model with a tokenizer of its own, in a folder that goes with the process."""

import functools
import tempfile

from random_reward_model import save_reward_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


WORDS = ["<pad>", "<unk>", "<think>", "</think>", "hello", "friend", "go", "away", "so", "?", "user", "assistant", ":"]
FOLDER = tempfile.TemporaryDirectory(prefix="reward_model_")


@functools.cache
def reward_model():
    """Its folder."""
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")
    return save_reward_model(tokenizer, FOLDER.name)
