"""How a loopback Hub reads the YAML block of a README: what it refuses, what it warns about."""

import json
import re

import yaml


_BLOCK = re.compile(r"^\s*---[ \t]*\r?\n(.*?)\r?\n?---[ \t]*(\r?\n|$)", re.DOTALL)
_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*|code|multilingual")
_RELATIONS = {"finetune", "adapter", "merge", "quantized"}
_LICENSE_IDS = """
afl-3.0 agpl-3.0 apache-2.0 apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0 bigscience-openrail-m
bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m
deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 fair-noncommercial-research-license gemma
gfdl gpl gpl-2.0 gpl-3.0 grok2-community intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1
llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openmdw-1.0 openrail openrail++
osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib
"""
LICENSES = frozenset(_LICENSE_IDS.split())


def read_block(content):
    """The YAML block of a card as text, or `None`."""
    found = _BLOCK.match(content)
    return found and found.group(1)


def card_metadata(repository, commit):
    """Metadata of a repository's README; empty if it has none that can be read."""
    entry = commit.tree.get("README.md")
    try:
        text = repository.read(entry).decode() if entry else ""
        data = yaml.safe_load(read_block(text) or "")
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    return data if isinstance(data, dict) else {}


def evaluation_results(repository, commit):
    """Entries of `.eval_results/*.yaml`; a file that cannot be used is named with what is wrong."""
    rows = []
    for path, entry in commit.tree.items():
        if not (path.startswith(".eval_results/") and path.endswith((".yaml", ".yml"))):
            continue
        try:
            entries = yaml.safe_load(repository.read(entry).decode())
            for data in entries:
                problem = _result_problem(data)
                rows.append({"filename": path, **({"error": problem} if problem else {"data": data})})
        except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
            rows.append({"filename": path, "error": str(error)})
    return json.loads(json.dumps(rows, default=str))  # dates become text


def _result_problem(data):
    dataset = data.get("dataset") if isinstance(data, dict) else None
    if not isinstance(dataset, dict) or not all(isinstance(dataset.get(key), str) for key in ("id", "task_id")):
        return "dataset.id and dataset.task_id must be text"
    if isinstance(data.get("value"), bool) or not isinstance(data.get("value"), int | float):
        return "value must be a number"
    return None


def check_card(content):
    """Errors and warnings about a card's metadata, as sentences."""
    block = read_block(content)
    if not block or not block.strip():
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = yaml.safe_load(block)
    except yaml.YAMLError as error:
        return [f"YAML Metadata Error: {' '.join(str(error).split())}"], []
    if not isinstance(data, dict):
        return ["YAML Metadata Error: the metadata must be a mapping"], []
    return [
        *_check_license(data),
        *_check_list(data, "language", _LANGUAGE, "a language code such as en"),
        *_check_list(data, "datasets", _REPO_ID, "a dataset id from the Hub"),
        *_check_list(data, "base_model", _REPO_ID, "a model id from the Hub"),
        *_check_list(data, "tags", re.compile(r"(?s).{1,}"), "text"),
        *_check_texts(data),
    ], []


def _check_license(data):
    names = data.get("license", [])
    for name in names if isinstance(names, list) else [names]:
        if name not in LICENSES:
            yield f'"license" must be one of {sorted(LICENSES)}, got {name!r}'


def _check_list(data, key, pattern, what):
    if key not in data:
        return
    values = data[key] if isinstance(data[key], list) else [data[key]]
    for value in values:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            yield f'"{key}" with value {value!r} is not valid: {what} is expected'


def _check_texts(data):
    for key in ("library_name", "pipeline_tag", "license_name", "license_link", "pretty_name"):
        if key in data and not isinstance(data[key], str):
            yield f'"{key}" must be a string'
    if data.get("base_model_relation", "finetune") not in _RELATIONS:
        yield f'"base_model_relation" must be one of {sorted(_RELATIONS)}'
    index = data.get("model-index")
    if index is not None and not (isinstance(index, list) and all(isinstance(i, dict) and "name" in i for i in index)):
        yield '"model-index" must be a list of models with a name and results'
