# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= auto
# Tests start hundreds of processes, each of which would compile evalkit anew, and pytest every test file.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-all check coverage lint types bench docs clean

demo: .venv/.demo
	$(BIN)/evalkit demo -o reports-out

# Without the tests marked slow: attacks on the sandbox, browsers, mutants, real models, long statistics.
test: .venv/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

test-all: .venv/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# What one runs between two commits: style, types, the tests of what has changed.
check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" $$($(BIN)/python -m tools.touched)

coverage: .venv/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m docs.reference --check

types: .venv/.dev
	$(BIN)/mypy

bench: .venv/.dev
	$(BIN)/python -m bench

docs: .venv/.dev
	$(BIN)/python -m docs.reference

clean:
	rm -rf .venv build dist *.egg-info reports-out .coverage* .mypy_cache .pytest_cache .ruff_cache

# The stamps are newer than pyproject.toml when what it asks for is installed.
.venv/.demo: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[demo]'
	touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	touch $@ .venv/.demo

.venv/bin/python:
	@echo 'making .venv'
	@{ $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip; } || { rm -rf .venv; echo "make: $(PYTHON) cannot make a virtual environment: \
	install python3-venv, or give another: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
