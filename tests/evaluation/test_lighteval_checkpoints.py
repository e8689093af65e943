"""What lighteval would do to a checkpoint's answers without a word, seen before it is loaded."""

from pathlib import Path

import pytest
from tiny_checkpoints import save_policy
from tiny_models import make_tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import GenerationConfig

from trl_r1.errors import R1Error
from trl_r1.evaluation import Checkpoint
from trl_r1.evaluation.lighteval_adapter.checkpoint_checks import check_checkpoint
from trl_r1.evaluation.lighteval_adapter.questions import store_questions
from trl_r1.generation.types import SamplingParameters


TEXTS = ["what is 2 plus 3 ?", "what is 1 plus 1 ?"]
SAMPLED = SamplingParameters(temperature=0.6, top_p=0.95, num_samples=4, max_new_tokens=16)


@pytest.fixture
def asked(tmp_path):
    folder = save_policy(tmp_path / "policy", make_tokenizer())
    GenerationConfig(do_sample=True).save_pretrained(folder)
    return Checkpoint(name="tiny", path=str(folder))


def check(asked, texts=TEXTS, params=SAMPLED, tokenizer=None):
    return check_checkpoint(asked, tokenizer or asked.load_tokenizer(), texts, params, "task")


def test_answers_of_other_weights_words_or_settings_are_not_taken_for_its_own(asked, caplog):
    first = check(asked)
    assert check(asked) == first
    assert check(asked, TEXTS[:1]) != first
    save_policy(asked.path, make_tokenizer(), seed=1)
    GenerationConfig(do_sample=True).save_pretrained(asked.path)
    retrained = check(asked)
    assert retrained != first
    GenerationConfig(do_sample=True, top_k=5).save_pretrained(asked.path)
    assert check(asked) not in {first, retrained}
    assert not caplog.records


def test_questions_are_kept_apart_by_who_is_asked(tmp_path):
    row = {"question_id": "a", "prompt": TEXTS[0], "solution": "5"}
    folders = {store_questions([row], "task", tmp_path, asked) for asked in ("", "one", "two", "one")}
    assert len(folders) == 3


def test_a_question_that_would_be_cut_is_refused(asked):
    long = "what is " + "plus " * 250
    with pytest.raises(R1Error, match=r"task: 1 of 3 questions, of up to 252 tokens, do not fit the 256 positions"):
        check(asked, [*TEXTS, long])


def test_sampling_that_would_be_greedy_is_said(asked, caplog):
    GenerationConfig().save_pretrained(asked.path)
    check(asked)
    assert "task: tiny has no do_sample in its generation_config.json" in caplog.text
    caplog.clear()
    check(asked, params=SamplingParameters(temperature=0, max_new_tokens=16))
    assert not caplog.records


def test_a_second_beginning_mark_is_said(asked, caplog):
    tokenizer = make_tokenizer()
    tokenizer.bos_token = "<|im_start|>"
    mark = ("<|im_start|>", tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<|im_start|> $A", special_tokens=[mark])
    assert tokenizer("<|im_start|> user")["input_ids"].count(mark[1]) == 2
    check(asked, ["user what is"], tokenizer=tokenizer)
    assert not caplog.records
    check(asked, ["<|im_start|> user what is"], tokenizer=tokenizer)
    assert "give the model add_special_tokens=False" in caplog.text


def test_a_folder_without_a_generation_configuration_is_read(asked, caplog):
    Path(asked.path, "generation_config.json").unlink()
    assert check(asked)
    assert "has no do_sample" in caplog.text
