# Every target is a thin call: what it does lives in pyproject.toml, infra/ and tests/.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

TOOLS ?= $(or $(TIDEMARK_TOOLS),.tools)
UV_VERSION := 0.13.9
# The user's own uv when there is one, else ours in $(TOOLS)/uv.
UV := $(or $(shell command -v uv),$(TOOLS)/uv/bin/uv)
RUN := .venv/bin/
DEMO_DATA := $(if $(DATA),--data $(DATA))

.PHONY: help setup demo check lint test stack-laws fmt bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: .venv/.synced ## Python packages, Java and jars into .venv and .tools; quick when done
	@$(RUN)python -m infra.local.java
	@$(RUN)python -m infra.local.jars

demo: setup ## the whole stack on this machine: make demo, make demo ARGS=--exit, make demo DATA=rees46:PATH
	@$(RUN)tidemark demo $(DEMO_DATA) $(ARGS)

check: lint ## lint, types, import rules and the tests that need neither Spark nor a running stack
	$(RUN)pytest -m "not spark and not stack and not bench"

lint: .venv/.synced ## ruff, mypy and the import rules
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)mypy
	$(RUN)lint-imports

test: setup lint ## everything: lint and all tests, a real Kafka and Spark included
	$(RUN)pytest

fmt: .venv/.synced ## format the code and fix what can be fixed
	$(RUN)ruff check --fix .
	$(RUN)ruff format .

stack-laws: setup ## of these, the laws on the whole running stack: kill -9, losses, a full disk, rule changes
	$(RUN)pytest tests/e2e/stack $(ARGS)

bench: setup ## a benchmark of tests/bench: make bench NAME=latency; without NAME it lists them
	@$(RUN)tidemark bench $(or $(NAME),list) $(ARGS)

clean: ## remove caches; .venv, .tools and your data in .tidemark stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache spark-warehouse metastore_db
	find . -name __pycache__ -not -path './.venv/*' -not -path './.tools/*' -prune -exec rm -rf {} +

# Made anew when the lock file or the project's own metadata changes.
.venv/.synced: uv.lock pyproject.toml | $(UV)
	@echo "setup: python packages (uv sync)"
	@$(UV) sync --frozen --quiet
	@touch $@

$(TOOLS)/uv/bin/uv:
	@echo "setup: uv $(UV_VERSION)"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "setup: python3 cannot make a venv. Remedy: apt-get install python3-venv (or put uv on PATH)" >&2; exit 1; }
	@python3 -m venv $(TOOLS)/uv
	@$(TOOLS)/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
