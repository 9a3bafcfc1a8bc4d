# From nothing to a ranking: `make demo`. Everything else a person or a CI machine starts is here too.
# Only Python 3.11+ and make are needed; what is installed goes into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench up down clean

# Which Python to build on, where the one that would be found is not the one wanted: make setup BASE_PYTHON=python3.12
BASE_PYTHON ?=
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# What git has or would take; without git, what does not look generated. Ends each name with a NUL.
FILES = { git -c safe.directory=* ls-files -z --cached --others --exclude-standard 2>/dev/null || \
  find . -type d \( -name '.?*' -o -name __pycache__ -o -name '*.egg-info' -o -name build \) -prune -o -type f ! -name .env -print0; }

help: ## Say what there is
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 16

setup: $(STAMP) ## Make .venv with the pinned dependencies

# A name on PATH may be a shim without a Python behind it, or a Python without venv: each is tried, the first sound one taken.
# The stamp comes last, so that a broken-off installation starts again instead of passing for a whole one.
$(STAMP): pyproject.toml constraints.txt
	@found=""; \
	for candidate in $(BASE_PYTHON) python3 python3.13 python3.12 python3.11 python3.14; do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found="$$candidate"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "setup: no Python 3.11 or newer with venv was found; install one (Debian, Ubuntu: apt install python3 python3-venv)" >&2; exit 2; \
	fi; \
	if ! $(PYTHON) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	  echo "setup: making $(VENV) with $$("$$found" --version)"; rm -rf $(VENV); "$$found" -m venv $(VENV); \
	fi; \
	echo "setup: installing the pinned dependencies (a minute or two the first time)"; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt pip setuptools; \
	PYTHONWARNINGS=ignore $(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation --editable . --group dev; \
	touch $@

demo: setup ## Sync and rank a sandbox market, from nothing
	@$(VENV)/bin/optsync demo

test: lint ## Linters, types, import rules, secret scan and all tests
	$(PYTHON) -m pytest

lint: setup ## The quick half of `make test`
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(FILES) | xargs -0 $(VENV)/bin/detect-secrets-hook --no-verify --baseline .secrets.baseline

bench: setup ## Measure against the sandbox and PostgreSQL; prints ratios
	$(PYTHON) -m benchmarks.storage_write
	$(PYTHON) -m benchmarks.ranking_query
	$(PYTHON) -m benchmarks.sync_throughput
	$(PYTHON) -m benchmarks.limiter_cost
	$(PYTHON) -m benchmarks.shared_limit
	$(PYTHON) -m benchmarks.requests_per_symbol
	$(PYTHON) -m benchmarks.vendor_down
	$(PYTHON) -m benchmarks.rate_budget
	$(PYTHON) -m benchmarks.faulty_vendor
	$(PYTHON) -m benchmarks.priority

up: setup ## Database, web UI and daemon in the foreground
	@$(VENV)/bin/optsync up

down: setup ## Stop what `make up` started, and the database
	@$(VENV)/bin/optsync down

clean: ## Stop what runs here; remove .venv and caches, never the data in .optsync
	@if [ -x $(VENV)/bin/optsync ]; then $(VENV)/bin/optsync down || true; fi
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
