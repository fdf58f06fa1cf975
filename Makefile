.DEFAULT_GOAL := help
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): requirements-dev.lock pyproject.toml
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(STAMP) ## create .venv from the hashed lock

demo: $(STAMP) ## the whole way of an event in about a minute: simulator, devices, a goal, a sale, baskets
	@$(VENV)/bin/clarion demo

test: $(STAMP) ## every test, in parallel
	@$(PYTHON) -m pytest -n $(WORKERS) --dist loadgroup -m "not long and not peer" tests

test-peers: $(STAMP) ## links to servers that none of us wrote: nghttpd, nghttpx, Node's http2
	@$(PYTHON) -m pytest -m peer tests/peers

test-long: $(STAMP) ## full examples and chaos
	@CLARION_HYPOTHESIS=long $(PYTHON) -m pytest -n $(WORKERS) --dist loadgroup tests

check: $(STAMP) ## format, lint, types, layers, fast tests, the example campaigns
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/codespell -q 3 scheduler docs benchmarks fuzz README.md CHANGELOG.md CONTRIBUTING.md
	@$(VENV)/bin/lint-imports --no-logo
	@$(VENV)/bin/mypy
	@CLARION_HYPOTHESIS=check $(PYTHON) -m pytest -n $(WORKERS) --dist loadgroup -m "not slow and not long and not peer" tests
	@$(VENV)/bin/clarion check --strict

fix: $(STAMP) ## format and repair what can be repaired by a machine
	@$(VENV)/bin/ruff check --fix --quiet . || true
	@$(VENV)/bin/ruff format --quiet .

bench: $(STAMP) ## the benchmarks, with the peers measured in the same run
	@$(PYTHON) benchmarks/express.py
	@$(PYTHON) benchmarks/rendering.py
	@$(PYTHON) benchmarks/check.py
	@$(PYTHON) benchmarks/match.py
	@$(PYTHON) benchmarks/events.py
	@$(PYTHON) benchmarks/zones.py
	@$(PYTHON) benchmarks/delays.py
	@$(PYTHON) benchmarks/pipeline.py
	@$(PYTHON) benchmarks/week.py
	@$(PYTHON) benchmarks/urgent.py

.PHONY: fuzz
fuzz: SECONDS ?= 600
fuzz: TARGET ?= check frames
fuzz: $(STAMP) ## any bytes in a workspace's files and from a server, ten minutes of chance each (TARGET=frames SECONDS=60)
	@for target in $(TARGET); do $(PYTHON) -m fuzz.fuzz_$$target --seconds $(SECONDS) || exit 1; done

lock: ## resolve the dependencies anew into hashed locks
	@$(VENV)/bin/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --allow-unsafe -o requirements.lock pyproject.toml
	@$(VENV)/bin/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --allow-unsafe --extra dev -o requirements-dev.lock pyproject.toml

.PHONY: help setup demo test test-peers test-long check fix bench lock
