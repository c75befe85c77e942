# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= auto
UV := 0.13.9
CYCLONEDX := 7.5.0
# Tests start hundreds of processes, each of which would compile evalkit anew, and pytest every test file.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-all check coverage lint types bench docs locked lock sbom clean

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

# The environment of the tests with exactly the versions and files of requirements/ci.txt. PyTorch is not among
# them: its wheels differ by the machine's accelerator.
locked: .venv/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/ci.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	$(BIN)/python -m pip check
	touch .venv/.dev .venv/.demo

# Newer versions into requirements/ci.txt, for Python 3.11 on Linux. `make lock FIND_LINKS=DIR` where DIR has a
# wheel of PyTorch without CUDA, whose packages would be listed otherwise.
lock: build/tools/.made
	build/tools/bin/uv pip compile pyproject.toml --extra dev --generate-hashes --python-version 3.11 \
	  $(if $(FIND_LINKS),--find-links $(FIND_LINKS)) --no-emit-package torch --upgrade --no-annotate --no-header \
	  --no-emit-index-url --quiet -o requirements/ci.txt

# requirements/sbom.cdx.json and docs/licences.md, from what is installed in .venv.
sbom: build/tools/.made .venv/.dev
	build/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --of JSON -o build/sbom.json .venv/bin/python
	$(BIN)/python -m tools.bill build/sbom.json

build/tools/.made: Makefile
	$(PYTHON) -m venv build/tools
	build/tools/bin/python -m pip install -q --disable-pip-version-check 'uv==$(UV)' 'cyclonedx-bom==$(CYCLONEDX)'
	touch $@

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
