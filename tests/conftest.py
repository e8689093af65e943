"""Shared fixtures: a tokenizer and models of a few thousand weights, made in memory, and no network anywhere."""

import os
import sys
from pathlib import Path


TESTS = Path(__file__).parent
BLOCKER = str(TESTS / "no_network")
# Before anything is imported: subprocesses inherit these, so the block holds in them too.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    PYTHONPATH=os.pathsep.join([BLOCKER, *filter(None, [os.environ.get("PYTHONPATH")])]),
)
sys.path.insert(0, BLOCKER)
import sitecustomize  # noqa: E402  (an interpreter's own sitecustomize may have been loaded already)


if not hasattr(sitecustomize, "NetworkBlockedError"):
    import importlib.util

    _spec = importlib.util.spec_from_file_location("no_network", TESTS / "no_network" / "sitecustomize.py")
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))

from importlib.util import find_spec  # noqa: E402

import pytest  # noqa: E402
from loopback_hub import LoopbackHub  # noqa: E402
from tiny_models import make_model, make_tokenizer  # noqa: E402


# Tests of vLLM and of lighteval run in environments of their own: make test-vllm, make test-lighteval. (A folder named
# vllm would be imported as vLLM.)
OWN_ENVIRONMENTS = {"vllm": "vllm_engines", "lighteval": "lighteval_adapter"}
collect_ignore = [folder for package, folder in OWN_ENVIRONMENTS.items() if not find_spec(package)]


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer()


@pytest.fixture
def model(tokenizer):
    return make_model(tokenizer)


@pytest.fixture(scope="session")
def checkpoint(tokenizer, tmp_path_factory):
    """Folder of a saved tiny policy with its tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoint")
    make_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def hub_server():
    """A Hub on this machine; see `loopback_hub.py`."""
    with LoopbackHub() as hub:
        yield hub
