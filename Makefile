# Everything runs in .venv, made on first use; a target that changes nothing there starts at once.

PYTHON ?= python3
BIN := .venv/bin
# Arguments for what the target runs: make demo ARGS=--once, make test ARGS='-k sleep'
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test lint format bench
.NOTPARALLEL:

help:
	@echo 'make demo     serve the demo site, fulfil an order and show its steps (ARGS=--once to end after it)'
	@echo 'make test     run the tests on SQLite, and on PostgreSQL where one answers'
	@echo 'make lint     check format, rules, types, imports and migrations'
	@echo 'make format   write the format, and mend what can be mended'
	@echo 'make bench    run the benchmarks beside their peers'

demo: .venv/installed
	$(BIN)/python manage.py workflows demo $(ARGS)

test: .venv/installed
	$(BIN)/python -m tests $(ARGS)

lint: .venv/installed
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-logo
	$(BIN)/python manage.py makemigrations --check --dry-run --settings tests.settings

format: .venv/installed
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: .venv/installed-bench
	$(BIN)/python -m bench $(ARGS)

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one, as in: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[postgres,dev]'
	@touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[postgres,dev,bench]'
	@touch $@
