"""What counts as a secret, what does not, and that neither text nor processes keep one."""

import logging
import os
import subprocess
import sys

import pytest

from trl_r1 import redaction
from trl_r1.redaction import (
    REDACTED,
    HidingFormatter,
    HidingRecord,
    hide_secrets,
    is_secret_name,
    redact_argv,
    redact_values,
    remember_secret,
    secrets_in,
    without_secrets,
)


TOKEN = "hf_" + "aB3" * 11


@pytest.mark.parametrize(
    "name",
    [
        *("hub_token", "--hub_token", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "token", "push_to_hub_token", "hubToken"),
        *("WANDB_API_KEY", "MY_KEY", "api_key", "apiKey", "apikey", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        *("PGPASSWORD", "api_keys", "access_tokens", "Authorization", "proxy_authorization"),
        *("AWS_SESSION_TOKEN", "password", "DB_PASSWORD", "DB_PASS", "GITHUB_PAT", "client_secret", "R1_TEST_TOKEN"),
    ],
)
def test_secret_names(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("tokenizer", "TOKENIZERS_PARALLELISM", "num_tokens", "max_tokens", "eos_token", "pad_token", "eos_token_id"),
        *("api_key_env", "token_ids", "token_type_ids", "language_ignored_tokens", "micro_batch_tokens", "key", ""),
        *("answer_key", "HF_TOKEN_PATH", "loss_per_token", "token_level", "average_tokens_across_devices", "monkey"),
        *("include_num_input_tokens_seen", "top_entropy_quantile", "SSH_AUTH_SOCK", "PATH", "KEYBOARD", "compass"),
    ],
)
def test_names_that_are_no_secrets(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize("verb", ["grpo", "sft", "reward_model", "rejection_sample", "evaluate"])
def test_of_all_recipe_fields_only_the_token_is_secret(verb):
    from trl_r1.recipe.fields import specs_of

    assert {name for name in specs_of(verb) if is_secret_name(name)} <= {"hub_token"}


def test_a_command_line_loses_the_token_and_nothing_else():
    argv = ["--config", "a.yaml", "--hub_token", "x", "--seed=1", "--hub_token=y", "--max_tokens", "5"]
    assert redact_argv(argv) == ["--config", "a.yaml", "--seed=1", "--max_tokens", "5"]
    assert redact_argv(["--hub_token"]) == []


def test_values_lose_secrets_however_deep():
    values = {"a": 1, "hub_token": "x", "env": {"K": "v", "MY_KEY": "w"}, "list": [{"api_key": "s", "n": 2}, "t"]}
    assert redact_values(values) == {"a": 1, "env": {"K": "v"}, "list": [{"n": 2}, "t"]}


def test_secrets_are_found_by_name_and_by_form():
    values = {"reward_funcs": [{"get_x": {"api_key": "s", "api_key_env": "MY_KEY"}}], "hub_model_id": TOKEN, "n": 1}
    assert list(secrets_in(values)) == ["reward_funcs.get_x.api_key", "hub_model_id"]


@pytest.mark.parametrize(
    "entry",
    [
        *({"password": 12345678}, {"api_keys": ["x", "y"]}, {"headers": {"Authorization": "Basic eA=="}}),
        *({"dataset_name": "https://me:p@ss@host/rows"}, {"urls": ["redis://:word@host"]}, {"a": ["hf_" + "x" * 34]}),
        *({"url": "https://host/v1?api-version=2&api-key=0123456789"}, {"accept": "Bearer 0123456789"}),
        *({"hub_token": "x\n"}, {"HF_TOKEN": "<x>"}),
    ],
)
def test_secrets_that_hide_are_found_and_left_out(entry):
    assert len(list(secrets_in(entry))) == 1
    assert redact_values(entry) in ({}, {"headers": {}}) or not list(secrets_in(redact_values(entry)))


@pytest.mark.parametrize(
    "entry",
    [
        *(
            {"answer_token": "<answer>"},
            {"separator_token": "|"},
            {"mask_token": "[MASK]"},
            {"boxed_token": "\\boxed"},
        ),
        *({"token": True}, {"token": None}, {"api_key_env": "MY_KEY"}, {"key_column": "id"}, {"num_tokens": 12}),
        *(
            {"base_url": "http://localhost:8000/v1"},
            {"dataset_name": "me/rows@main"},
            {"text": "Bearer instruments and bearers of news"},
        ),
        {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"},
        {"urls": '{"a":"http://localhost:8000","mail":"me@x.org"}'},
        {"url": "http://localhost:8000/a@b?next=http://x"},
    ],
)
def test_what_is_no_secret_stays(entry):
    assert not list(secrets_in(entry))
    assert redact_values(entry) == entry


def test_a_process_gets_no_secrets_but_those_it_needs():
    environment = {"PATH": "/bin", "HF_TOKEN": "x", "JUDGE_API_KEY": "y", "OTHER_API_KEY": "z", "HIDDEN": TOKEN}
    environment["HTTPS_PROXY"] = "http://me:word@host:3128"
    assert without_secrets(environment, keep=["JUDGE_API_KEY"]) == {"PATH": "/bin", "JUDGE_API_KEY": "y"}


def test_text_loses_known_values_and_known_forms(monkeypatch):
    monkeypatch.setattr(redaction, "_remembered", set())
    monkeypatch.setenv("SOME_API_KEY", "from-the-environment")
    monkeypatch.setenv("OTHER_API_KEY", "1")  # too short to be told from any other 1
    remember_secret("from-a-recipe")
    remember_secret(None)
    text = (
        f"from-a-recipe from-the-environment {TOKEN} https://me:word@host/x 1 hf_transfer_is_no_token task-" + "a" * 30
    )
    text += " https://me:p@ss@host/x https://store/o?X-Amz-Signature=0123456789abcdef&part=1 Bearer abcdefg7"
    expected = f"{REDACTED} {REDACTED} {REDACTED} https://{REDACTED}@host/x 1 hf_transfer_is_no_token task-" + "a" * 30
    expected += f" https://{REDACTED}@host/x https://store/o?{REDACTED}&part=1 Bearer {REDACTED}"
    assert hide_secrets(text) == expected


def test_records_lose_them_whatever_shows_them():
    record = HidingRecord("library", logging.INFO, "x.py", 1, "get %s", (f"https://me:word@host?a={TOKEN}",), None)
    assert record.getMessage() == f"get https://{REDACTED}@host?a={REDACTED}"


def test_log_lines_and_tracebacks_lose_them_too():
    record = logging.makeLogRecord({"msg": "token %s", "args": (TOKEN,), "levelname": "INFO", "name": "x"})
    assert HidingFormatter("%(message)s").format(record) == f"token {REDACTED}"
    try:
        raise ValueError(TOKEN)
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    assert TOKEN not in HidingFormatter("%(message)s").format(record)


LEAKY = """
import logging, threading
library = logging.getLogger("library")
from trl_r1.scripts.common import configure_logging
configure_logging()
library.addHandler(logging.StreamHandler())
library.propagate = False
library.warning("GET %s", "https://me:word@host")
def work():
    raise ValueError("in a thread 0123456789")
thread = threading.Thread(target=work)
thread.start()
thread.join()
raise ValueError("at the end 0123456789")
"""


def test_a_script_says_no_secret_in_a_library_s_log_a_thread_or_at_its_end():
    environment = os.environ | {"SOME_API_KEY": "0123456789"}
    done = subprocess.run([sys.executable, "-c", LEAKY], env=environment, capture_output=True, text=True)
    assert "word" not in done.stderr
    assert "0123456789" not in done.stderr
    for expected in (f"GET https://{REDACTED}@host", f"in a thread {REDACTED}", f"at the end {REDACTED}"):
        assert expected in done.stderr


def test_a_secret_inside_a_longer_one_leaves_no_rest_of_it(monkeypatch):
    monkeypatch.setattr(redaction, "_remembered", {"password", "password-of-mine"})
    assert hide_secrets("said password-of-mine") == f"said {REDACTED}"
