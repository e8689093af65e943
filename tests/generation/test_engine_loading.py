import sys

import pytest
from tiny_models import make_tokenizer
from trl import ModelConfig

from trl_r1.errors import R1Error
from trl_r1.generation import SamplingParameters, TransformersEngine
from trl_r1.generation.engine_loading import load_engine
from trl_r1.script_arguments import SamplingArguments


def test_transformers_with_the_recipes_template(checkpoint):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{{ messages[0].content }} assistant :"
    engine = load_engine(SamplingArguments(), ModelConfig(checkpoint, dtype="float32"), tokenizer)
    assert isinstance(engine, TransformersEngine)
    chat, text = [{"role": "user", "content": "user : hello"}], "user : hello assistant :"
    params = SamplingParameters(max_new_tokens=4, temperature=0)
    assert engine.generate([chat], params) == engine.generate([text], params)
    assert engine.identity["dtype"] == "float32"


def test_a_missing_vllm_names_its_extra(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    with pytest.raises(R1Error, match=r"^engine: 'vllm' is not installed .*pip install 'trl_r1\[vllm\]'"):
        load_engine(SamplingArguments(engine="vllm"), ModelConfig(checkpoint))
