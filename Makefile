# `make demo` and `make test` do all their own set-up in .venv; nothing else is needed but Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types imports tests mutations bench services services-stop lock clean

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# Every package is pinned and hashed, so nothing is resolved (--no-deps): what an index serves today decides nothing.
# `pip check` proves that nothing is missing. The stamp is written last: an interrupted installation starts over.
.venv/installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 …' >&2; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --no-deps --require-hashes --requirement requirements/dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	$(PIP) check
	touch $@

install: .venv/installed  ## the virtual environment .venv, with pinned and hashed dependencies

demo: install  ## a simulated shop through the whole pipeline, and what it recommends
	$(BIN)/python -m harness demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

tests: install
	rm -f .coverage .coverage.*
	$(BIN)/python -m harness services fetch
	$(BIN)/pytest --numprocesses 2 --dist loadgroup --cov --cov-report=term:skip-covered

test: lint types imports tests  ## formatting, types, layers and every test

mutations: install  ## only the mutation checks: each safeguard off in turn, the suite must go red
	$(BIN)/pytest --numprocesses 2 -m mutation tests

bench: install  ## the worker's speed on the embedded store
	$(BIN)/python -m harness bench worker

services: install  ## Kafka and Redis on this machine, in the background, without containers
	$(BIN)/python -m harness services start

services-stop: install  ## stop them
	$(BIN)/python -m harness services stop

lock: install  ## requirements/dev.txt again, from pyproject.toml (needs uv)
	uv export --quiet --all-extras --format requirements-txt --no-header --no-emit-project --output-file requirements/dev.txt
	rm -f uv.lock

clean:
	rm -rf .venv build dist var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
