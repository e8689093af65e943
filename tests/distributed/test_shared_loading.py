"""Two processes share the check of SFT rows, get the rows one process gets, and complain once."""

import json
import random
from pathlib import Path

import pytest
from launching import torchrun
from tiny_models import make_tokenizer
from trl import SFTConfig

from trl_r1.data import load_sft
from trl_r1.script_arguments import R1ScriptArguments


WORKER = Path(__file__).parent / "loading_worker.py"
COUNT = 301


@pytest.fixture(scope="module")
def accounts(tmp_path_factory):
    """What each of two processes says of some rows, and what one alone, with a cache of its own, makes of them."""
    folder = tmp_path_factory.mktemp("shared_loading")
    rng = random.Random(0)
    data = folder / "data"
    data.mkdir()
    with (data / "train.jsonl").open("w", encoding="utf-8") as stream:
        for index in range(COUNT):
            chain = " ".join(rng.choices("abcdefgh", k=rng.randint(1, 90)))
            turns = [
                {"role": "user", "content": f"what is {index} ?"},
                {"role": "assistant", "content": f"<think> {chain} </think> 9" if index % 7 else " "},
            ]
            stream.write(json.dumps({"messages": turns}) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
        torchrun(WORKER, data, folder)
    config = SFTConfig(output_dir=str(folder), bf16=False, use_cpu=True, report_to="none", max_length=64)
    alone = load_sft(R1ScriptArguments(dataset_name=str(data)), None, make_tokenizer(), config)
    return [*(json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)), alone]


def test_each_process_gets_the_rows_of_one_process(accounts):
    first, second, alone = accounts
    assert 0 < len(alone.dataset) < COUNT
    assert first["rows"] == second["rows"] == alone.dataset.to_list()
    assert first["sources"] == second["sources"] == [repr(source) for source in alone.sources]


def test_each_process_checks_its_share_and_keeps_rows_on_disk(accounts):
    assert [account["checked"] for account in accounts[:2]] == [150, 151]
    assert all(account["on_disk"] for account in accounts[:2])


def test_what_was_dropped_is_said_once(accounts):
    first, second, alone = accounts
    assert second["warnings"] == []
    [said] = first["warnings"]
    assert f"dropped {COUNT - len(alone.dataset)} of {COUNT} rows" in said
