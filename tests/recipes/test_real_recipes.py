"""Every recipe for a real model, trained for two steps and published, with a Hub on this machine for all it reads.

The recipes run as they are but for `SIZES`: models, data, columns, templates, rewards, filters and all that is said
about the Hub are the files' own. The models are shrunk ones of the same architecture (shrunk_models.py).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.numpy
import torch
import yaml
from loopback_hub import LoopbackHub
from shrunk_models import LICENSES, dataset_files, llama_tokenizer, model_files, qwen_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from trl_r1.chat_template import check_round_trip, check_shows_question, load_template
from trl_r1.presets import PRESETS, PUBLISHED, STUDENT_RATES
from trl_r1.recipe import header_of, load_yaml
from trl_r1.stage_record import read_stage_record


ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "recipes" / "qwen2.5-1.5b" / "pipeline.yaml"
STUDENTS = sorted(path for path in (ROOT / "recipes" / "distill").glob("*.yaml") if header_of(path)[0] == "sft")
REAL = sorted(path for path in PIPELINE.parent.glob("*.yaml") if path != PIPELINE) + STUDENTS
TRAINED = [path for path in REAL if header_of(path)[0] in ("grpo", "sft", "reward_model")]
SAMPLED = [path for path in REAL if header_of(path)[0] == "rejection_sample"]
TOKEN = "hf_" + "r3AlR" * 6
CPU = {"use_cpu": True, "bf16": False}
ONE_PROCESS = {"expected_processes": 1, "gradient_accumulation_steps": 1}
TWO_STEPS = {"num_train_epochs": 1, "per_device_train_batch_size": 1, "max_train_rows": 2}
# All that is overridden: how large and on what, nothing of what is trained, on what data, for which rewards.
SIZES = {
    "grpo": CPU
    | {"max_steps": 2, "prompts_per_step": 2, "updates_per_rollout": 1, "num_generations": 4}
    | {"max_completion_length": 40, "use_vllm": False, "reward_workers": 0},
    "sft": CPU | ONE_PROCESS | TWO_STEPS,
    "reward_model": CPU | ONE_PROCESS | TWO_STEPS,
    "rejection_sample": {"max_completion_length": 40},
    "evaluate": {"max_completion_length": 40},
}
# The paper's value of each student (arXiv 2501.12948v2, tables 6 and 15): base, learning rate, AIME 2024, MATH-500.
PAPER = {
    "qwen-1.5b": ("Qwen/Qwen2.5-Math-1.5B", 1e-4, 28.9, 83.9),
    "qwen-7b": ("Qwen/Qwen2.5-Math-7B", 8e-5, 55.5, 92.8),
    "qwen-14b": ("Qwen/Qwen2.5-14B", 7e-5, 69.7, 93.9),
    "qwen-32b": ("Qwen/Qwen2.5-32B", 6e-5, 72.6, 94.3),
    "llama-8b": ("meta-llama/Llama-3.1-8B", 5e-5, 50.4, 89.1),
    "llama-70b": ("meta-llama/Llama-3.3-70B-Instruct", 2e-5, 70.0, 94.5),
}
# What SimpleRL-Zoo (arXiv 2503.18892) has for these bases on MATH-500 and AIME 2024, before and after.
ZOO = {"r1_zero": ("29.6", "59.0", "0.1", "4.2"), "student_rl": ("15.8", "34.4", "0.3", "0.7")}
# Stages of R1 in the paper (arXiv 2501.12948v2, table 3): what goes before a stage, and after.
STAGES = {
    "cold_start": ["AIME 77.9 to 59.0", "IF-Eval 46.6 to 71.7"],
    "reasoning_rl": ["AIME 59.0 to 74.0"],
    "sft": ["AIME 74.0 to 78.1", "AlpacaEval 55.8 to 62.1"],
    "all_scenario_rl": ["AlpacaEval 62.1 to 87.6", "AIME 78.1 to 79.8"],
    "student_distilled": ["72.6 against 47.0 on AIME at 32B"],
}
README = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")


def name_of(path):
    return f"{path.parent.name}/{path.stem}"


def command(path):
    """A recipe's command line with the overrides of its verb."""
    verb, config = header_of(path)
    words = [f"--{name}={json.dumps(value)}" for name, value in SIZES[verb].items()]
    return [verb, "--config", config, *words]


def pipeline_commands():
    """The stages of the pipeline in the order of their needs."""
    from trl_r1.pipeline import load_pipeline

    for stage in load_pipeline(PIPELINE).stages.values():
        if stage.config:
            yield command(stage.config)
        else:
            script = Path(stage.script).resolve().relative_to(ROOT)
            yield [str(script), "--output_dir", f"outputs/qwen2.5-1.5b/{stage.output}"]


REFUSED = [
    *command(PIPELINE.with_name("r1_zero.yaml")),
    "--output_dir=outputs/refused",
    "--hub_model_id=someone-else/r1",
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The hub after everything has been trained and published, the folder it was done in, and what was printed."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    runs = [*pipeline_commands(), *map(command, STUDENTS), REFUSED]
    (folder / "runs.json").write_text(json.dumps(runs))
    with LoopbackHub() as hub:
        for name in LICENSES:
            hub.seed(name, model_files(name, folder / "models" / name))
        for name, files in dataset_files().items():
            hub.seed(name, files, repo_type="dataset")
        hub.add_user("your-name", token=TOKEN)  # the placeholder of the recipes
        environment = os.environ | hub.environment(folder / "cache")
        script = str(Path(__file__).with_name("train_recipes.py"))
        done = subprocess.run(
            [sys.executable, script, "runs.json"], cwd=folder, env=environment, capture_output=True, text=True
        )
        said = done.stderr
        assert len(re.findall(r"^== .* exit code 0", said, re.MULTILINE)) == len(runs) - 1, said[-6000:]
        assert done.returncode == 2  # of the last, which is refused
        yield hub, folder, said


def sentences_of(path):
    """What a recipe says in its comments, as one text."""
    lines = re.findall(r"#\s*(.*)", path.read_text(encoding="utf-8"))
    return " ".join(" ".join(lines).split())


def weights_of(files):
    return safetensors.numpy.load(files["model.safetensors"])


def front_matter(files):
    """The header of a card."""
    return yaml.safe_load(files["README.md"].decode().split("---\n")[1])


def test_little_is_overridden_and_nothing_that_matters():
    overridden = {name for values in SIZES.values() for name in values}
    assert len(overridden) <= 14
    kept = (
        "model",
        "dataset",
        "reward_funcs",
        "reward_weights",
        "hub",
        "push",
        "learning",
        "lr_",
        "template",
        "eos",
        "output",
    )
    assert not [name for name in overridden if name.startswith(kept)]
    given = {name_of(path): {*load_yaml(path)} & overridden for path in REAL}
    assert all(given.values()), given  # each recipe states a size of its own, which a test has to shrink


@pytest.mark.parametrize("path", REAL, ids=name_of)
def test_header_names_hardware_data_and_what_to_expect_from_where(path):
    text, values = path.read_text(encoding="utf-8"), load_yaml(path)
    assert re.search(r"· \d+ GPUs? of \d+ GB", text.splitlines()[0])
    expected = re.search(r"^# expect: .*(?:\n#     .*)*", text, re.MULTILINE)[0]
    assert re.search(r"Not run(?: here)?$", expected) or "Not run here" in expected
    assert re.search(r"arXiv|v2|SimpleRL-Zoo|[Nn]othing published", expected)
    sources = [values.get("dataset_name"), *(entry["path"] for entry in values.get("datasets", []))]
    sources += [suite["dataset_name"] for suite in values.get("suites", [])]
    for source in sources:
        assert source is None or source.startswith("outputs/") or source in text.split("\nmodel_name")[0]


@pytest.mark.parametrize("path", REAL, ids=name_of)
def test_a_value_said_to_be_the_papers_is_the_papers(path):
    """`field: value # paper: other` states a departure; the paper's value must be the one our presets hold."""
    verb, _ = header_of(path)
    values = load_yaml(path)
    paper = PRESETS.get(values.get("preset"), {}) if verb == "grpo" else PUBLISHED.get(verb, {})
    claims = dict(re.findall(r"^(\w+): [^#\n]*# paper: ([\d.,e-]*\d)", path.read_text(encoding="utf-8"), re.MULTILINE))
    same = {"learning_rate", "max_completion_length", "max_length", "num_generations"} & paper.keys()
    if path in STUDENTS or path.stem.startswith("student"):
        same.discard("learning_rate")  # one for each size
    for name in claims.keys() & same:
        assert float(claims[name].replace(",", "")) == paper[name], name


@pytest.mark.parametrize("path", STUDENTS, ids=name_of)
def test_a_student_has_the_papers_settings(path):
    values, said = load_yaml(path), sentences_of(path)
    base, rate, aime, math = PAPER[path.stem]
    assert (values["model_name_or_path"], values["learning_rate"]) == (base, rate)
    assert f"AIME 2024 {aime}, MATH-500 {math}" in said
    assert values["num_train_epochs"] == 2
    assert values["max_length"] == 32_768
    assert (values["lr_scheduler_type"], values["lr_scheduler_kwargs"]) == ("cosine_with_min_lr", {"min_lr_rate": 0.1})
    rows = [values[name] for name in ("per_device_train_batch_size", "gradient_accumulation_steps")]
    assert rows[0] * rows[1] * values["expected_processes"] == 64


def test_every_student_of_the_paper_is_there():
    assert sorted(path.stem for path in STUDENTS) == sorted(PAPER)
    assert {base: rate for base, rate, *_ in PAPER.values()} == STUDENT_RATES


@pytest.mark.parametrize("path", [path for path in REAL if header_of(path)[0] in PUBLISHED], ids=name_of)
def test_rows_a_step_and_learning_rate_are_the_papers(path):
    values = load_yaml(path)
    rows = values["per_device_train_batch_size"] * values["gradient_accumulation_steps"] * values["expected_processes"]
    student = path in STUDENTS or path.stem.startswith("student")
    paper = PUBLISHED["distillation" if student else header_of(path)[0]]
    assert rows == paper["rows_per_step"]
    for name in {"learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "num_train_epochs"} & paper.keys():
        assert values[name] == paper[name], name


@pytest.mark.parametrize("path", [path for path in REAL if path.stem in ZOO | STAGES], ids=name_of)
def test_an_expectation_is_its_sources(path):
    said = sentences_of(path)
    if path.stem in ZOO:
        before, after, aime_before, aime_after = ZOO[path.stem]
        wanted = [f"MATH-500 from {before} to about {after}, AIME 2024 from {aime_before} to {aime_after}"]
        assert f"| MATH-500 {before} to {after} | SimpleRL-Zoo |" in README
    else:
        wanted = STAGES[path.stem]
    assert [text for text in wanted if text not in said] == []


def test_the_evaluation_samples_as_the_paper_does():
    """T 0.6, top-p 0.95, 16 answers a question of MATH-500 and 64 of AIME (arXiv 2501.12948v2, D.1)."""
    suites = load_yaml(PIPELINE.parent / "evaluation.yaml")["suites"]
    sampling = {suite["name"]: suite["modes"]["sampled"] for suite in suites}
    paper = {"temperature": 0.6, "top_p": 0.95}
    assert sampling == {"MATH-500": paper | {"num_samples": 16}, "AIME 2024": paper | {"num_samples": 64}}


@pytest.mark.parametrize("path", [path for path in TRAINED if load_yaml(path).get("use_vllm")], ids=name_of)
def test_vllm_has_room_for_the_prompt(path):
    values = load_yaml(path)
    assert values["vllm_max_model_length"] - values["max_completion_length"] >= 2048


def test_the_readme_has_the_students_numbers():
    for path in STUDENTS:
        base, rate, aime, math = PAPER[path.stem]
        row = next(line for line in README.splitlines() if f"| `{path.name}` |" in line)
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[3:5] + cells[6:7] == [f"`{base}`", f"{rate:.0e}".replace("e-0", "e-"), f"{aime} / {math}"]


@pytest.mark.parametrize("path", TRAINED, ids=name_of)
def test_accelerate_reads_the_launch_line(path, monkeypatch):
    """As many processes as the recipe expects, on as many GPUs as its head names, for the recipe itself."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    monkeypatch.chdir(ROOT)
    text = path.read_text(encoding="utf-8")
    launched = re.search(r"^# accelerate launch (.*(?:(?<=\\)\n# .*)*)", text, re.MULTILINE)[1]
    words = re.sub(r"\\\n#", " ", launched).replace("RANK", "1").replace("HOST", "127.0.0.1").split()
    arguments, *_ = _validate_launch_command(launch_command_parser().parse_args(words))
    verb, _ = header_of(path)
    assert (arguments.module, arguments.training_script) == (True, f"trl_r1.scripts.{verb}")
    assert arguments.training_script_args == ["--config", str(path.relative_to(ROOT))]
    assert int(re.search(r"· (\d+) GPUs", text)[1]) == arguments.num_processes
    assert load_yaml(path).get("expected_processes", arguments.num_processes) == arguments.num_processes
    assert arguments.mixed_precision == "bf16"
    machines = re.search(r"GPUs of \d+ GB, (\d+) machines", text)
    assert arguments.num_machines == (int(machines[1]) if machines else 1)
    assert arguments.num_processes <= 8 * arguments.num_machines


def test_the_pipeline_on_one_process_takes_as_many_rows_a_step():
    for name, stage in load_yaml(PIPELINE)["stages"].items():
        args = stage.get("args")
        if args:
            values = load_yaml(PIPELINE.parent / stage["config"])
            spread = values["gradient_accumulation_steps"] * values["expected_processes"]
            assert args["expected_processes"] * args["gradient_accumulation_steps"] == spread, name


@pytest.mark.parametrize("tokenizer", [qwen_tokenizer(), llama_tokenizer(False)], ids=["qwen", "llama"])
def test_our_template_fits_the_marks_of_the_family(tokenizer):
    llama = tokenizer.bos_token is not None
    tokenizer.chat_template = load_template(str(ROOT / "recipes/distill/llama3.jinja") if llama else "r1")
    check_shows_question(tokenizer)
    check_round_trip(tokenizer)
    chat = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "<think>\nso\n</think>\n\nhi"}]
    encoded = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    said = [token for token, bit in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if bit]
    end = "<|eot_id|>" if llama else "<|im_end|>"
    assert tokenizer.decode(said) == f"<think>\nso\n</think>\n\nhi{end}"
    assert encoded["input_ids"].count(tokenizer.bos_token_id) == llama
    opened = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, prefill_think=True, tokenize=False)
    assert opened.endswith("<think>\n")


@pytest.mark.parametrize("path", TRAINED, ids=name_of)
def test_a_trained_stage_arrives_with_its_card(workplace, path):
    hub, folder, _ = workplace
    values = load_yaml(path)
    repository, revision, output = values["hub_model_id"], values["hub_revision"], folder / values["output_dir"]
    files = hub.files(repository, revision)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "stage.json", "README.md"):
        assert files[name] == (output / name).read_bytes()
    assert hub.repository(repository).private
    assert [name for name in hub.refs(repository) if name.startswith("refs/tags/")]
    base = read_stage_record(output).parents[0]
    root = load_yaml(PIPELINE.parent / "student_rl.yaml" if "student" in path.stem else PIPELINE.parent / "sft.yaml")
    hub_base = values["model_name_or_path"] if path in STUDENTS else root["model_name_or_path"]
    card = front_matter(files)
    assert card["base_model"] == [hub_base]
    assert card["license"] == LICENSES[hub_base]
    assert set(card["datasets"]) <= {name for kind, name in hub.repositories if kind == "dataset"}
    assert card["datasets"]
    assert base.name_or_path == values["model_name_or_path"]


@pytest.mark.parametrize("path", TRAINED, ids=name_of)
def test_two_steps_move_the_weights(workplace, path):
    hub, folder, _ = workplace
    values = load_yaml(path)
    after = weights_of(hub.files(values["hub_model_id"], values["hub_revision"]))
    source = values["model_name_or_path"]
    local = folder / source / "model.safetensors"
    before = weights_of({"model.safetensors": local.read_bytes()} if local.is_file() else hub.files(source))
    moved = [name for name in before.keys() & after.keys() if (before[name].astype("float32") != after[name]).any()]
    assert len(moved) >= len(before) - 1  # a reward model has no lm_head
    assert len(read_stage_record(folder / values["output_dir"]).history) == 2


@pytest.mark.parametrize("path", SAMPLED, ids=name_of)
def test_a_sampled_stage_arrives_as_a_data_set(workplace, path):
    hub, folder, _ = workplace
    values = load_yaml(path)
    files = hub.files(values["hub_dataset_id"], values["hub_revision"], repo_type="dataset")
    assert files["train.jsonl"] == (folder / values["output_dir"] / "train.jsonl").read_bytes()
    rows = [json.loads(line) for line in files["train.jsonl"].splitlines()]
    kept = int(read_stage_record(folder / values["output_dir"]).metrics["kept"].value)
    assert len(rows) == kept > 0
    assert all("</think>" in row["messages"][-1]["content"] for row in rows)
    card = front_matter(files)
    assert card["source_datasets"] == [values["dataset_name"]]
    assert card["license"] == values["hub_license"] == "apache-2.0"
    assert "rejection-sampling" in card["tags"]
    assert hub.repository(values["hub_dataset_id"], "dataset").private


def test_records_name_the_commit_and_the_licence_of_the_data(workplace):
    hub, folder, _ = workplace
    for path in [*TRAINED, *SAMPLED]:
        for source in read_stage_record(folder / load_yaml(path)["output_dir"]).data:
            if ("dataset", source.source) in hub.repositories:
                assert source.revision == hub.refs(source.source, "dataset")["refs/heads/main"]
                declared = front_matter(hub.files(source.source, repo_type="dataset"))
                assert source.license == declared.get("license")
                assert source.languages == ["en"]


@pytest.mark.parametrize("stem", ["qwen-1.5b", "qwen-7b"])
def test_the_longer_context_takes_effect_and_is_published(workplace, stem):
    hub, folder, _ = workplace
    values = load_yaml(ROOT / "recipes" / "distill" / f"{stem}.yaml")
    before = AutoConfig.from_pretrained(folder / "models" / values["model_name_or_path"])
    assert (before.max_position_embeddings, before.rope_parameters["rope_theta"]) == (4096, 10_000.0)
    published = json.loads(hub.files(values["hub_model_id"], values["hub_revision"])["config.json"])
    assert published["rope_parameters"]["rope_theta"] == 300_000.0
    model = AutoModelForCausalLM.from_pretrained(folder / values["output_dir"])
    assert model.config.max_position_embeddings == 32_768
    width = model.config.hidden_size // model.config.num_attention_heads
    slowest = 300_000.0 ** (-(width - 2) / width)
    assert torch.allclose(model.model.rotary_emb.inv_freq[-1], torch.tensor(slowest), rtol=1e-5)


@pytest.mark.parametrize("path", STUDENTS, ids=name_of)
def test_a_student_ends_its_turns(workplace, path):
    _, folder, _ = workplace
    values = load_yaml(path)
    output = folder / values["output_dir"]
    tokenizer = AutoTokenizer.from_pretrained(output)
    assert tokenizer.eos_token == values["eos_token"]
    assert tokenizer.pad_token == values.get("pad_token", "<|endoftext|>") != tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(output)
    ends = model.generation_config.eos_token_id
    assert tokenizer.eos_token_id in (ends if isinstance(ends, list) else [ends])
    assert model.config.num_key_value_heads < model.config.num_attention_heads


def test_the_evaluation_measures_every_checkpoint(workplace):
    _, folder, _ = workplace
    values = load_yaml(PIPELINE.parent / "evaluation.yaml")
    record = read_stage_record(folder / values["output_dir"])
    measured = {(entry["checkpoint"], entry["suite"]) for entry in record.evaluations}
    assert measured == {(one["name"], suite["name"]) for one in values["checkpoints"] for suite in values["suites"]}
    assert {(entry["sampling"]["temperature"], entry["sampling"]["top_p"]) for entry in record.evaluations} == {
        (0.6, 0.95)
    }
    assert len(record.metrics) == len(values["comparisons"])


def test_the_token_is_nowhere_but_in_the_headers(workplace):
    hub, folder, said = workplace
    assert TOKEN not in said
    for path in (folder / "outputs").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    assert not [request.path for request in hub.requests if TOKEN.encode() in request.body]


def test_a_name_that_is_not_yours_is_refused_before_anything_is_loaded(workplace):
    _, folder, said = workplace
    assert "someone-else" in said.splitlines()[-2]
    assert not (folder / "outputs" / "refused").exists()
