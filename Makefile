# The doors of this repository. CI goes through the same ones.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ALONE  := tests/chaos tests/clients
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test heavy test-all check format docs offline bench soak fuzz clean

run: $(VENV)/.installed           ## serve the default model, fetching it first if it is not here
	$(BIN)/noibo serve --fetch

test: $(VENV)/.test               ## the core suite, under 10 minutes
	$(BIN)/python -m pytest -m "not heavy" -n 2 --dist loadfile

heavy: $(VENV)/.test              ## the heavy lanes: those that count or wait for a machine at rest run alone
	$(BIN)/python -m pytest -m heavy -n 2 --dist loadfile tests/peers tests $(ALONE:%=--ignore=%)
	$(BIN)/python -m pytest -m heavy $(ALONE)

test-all: test heavy              ## the core suite and the heavy lanes

check: $(VENV)/.check             ## format, lint, types, imports, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/cog --check docs/*.md README.md

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.check              ## write the generated parts of docs/ again
	$(BIN)/cog -r docs/*.md README.md

offline: $(VENV)/.test            ## the suite in offline mode under strace: nothing but this machine is reached
	$(BIN)/python -m tests.watch.offline_suite

bench: $(VENV)/.test              ## every benchmark, as ratios against a peer or a floor
	$(BIN)/python -m benchmarks

soak: $(VENV)/.test               ## half an hour of mixed load: memory flat, nothing lost or doubled
	$(BIN)/python -m tests.chaos.soak --seconds 1800

fuzz: $(VENV)/.installed          ## the GGUF reader against atheris, ten minutes
	$(PIP) atheris
	$(BIN)/python -m tests.fuzz.fuzz_gguf -max_total_time=600

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "noibo needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say which one: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.check: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[test,check]'
	@touch $@ $(VENV)/.test $(VENV)/.installed
