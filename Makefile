# tokensvc: everything a contributor types. Works with GNU make 3.81 and newer.

PYTHON      ?= python3
PYTEST_ARGS ?=
# Files of tests run side by side, one process for each processor. `make test PARALLEL=` runs them one after the other.
PARALLEL    ?= -n auto --dist loadfile
# Not empty: `make test` also collects coverage data, for `make coverage-judge`.
COVERAGE    ?=

# How often `make faults` kills on each kind of site.
FAULT_ROUNDS ?= 100

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed
# Checks must hold without `assert`, so these tests also run under python -O (said so that processes of tests hear it).
OPTIMIZED_TESTS := $(wildcard tests/core tests/verify)

.DEFAULT_GOAL := help
.PHONY: help install node-packages docs check test test-optimized faults demo bench bench-memory coverage coverage-judge lock clean

help: ## Show this list
	@echo "usage: make TARGET [PYTHON=python3.12]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## Make .venv with everything needed to run, test and check

# The stamp is a copy of the lock it was made from, written last: an interrupted install has none and starts afresh.
# When the lock is unchanged (only pyproject.toml is newer) the packages stay and only tokensvc itself is reinstalled.
$(STAMP): requirements.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "make install: $(PYTHON) not found; install Python 3.11 or newer, or name it: make install PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make install: tokensvc needs Python 3.11 or newer, and $(PYTHON) is older; name another one: make install PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || \
		{ echo "make install: this Python cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@if cmp -s requirements.lock $(STAMP) && $(BIN)/python -c '' 2>/dev/null; then \
		rm -f $(STAMP); \
	else \
		rm -f $(STAMP); \
		echo "install: making $(VENV) from requirements.lock (about half a minute)"; \
		"$(PYTHON)" -m venv --clear $(VENV) && \
		$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock; \
	fi
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@cp requirements.lock $(STAMP).new && mv $(STAMP).new $(STAMP)
	@echo "install: done; the command is $(BIN)/tokensvc"

# For the tests that compare with libraries in JavaScript; they are skipped without. Nothing else here needs Node.js.
node-packages: ## Install the npm packages of the tests (needs Node.js 18 or newer)
	@command -v npm >/dev/null || { echo "make node-packages: npm not found; on Debian or Ubuntu: apt install npm" >&2; exit 1; }
	@cd tests/node && npm ci --loglevel=error --ignore-scripts --no-audit --no-fund

docs: install ## Write the parts of the documentation that come from the code
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/generate_configuration.py

check: install ## Format, lint, spelling, types, layers, the Dockerfile
	@echo "check: format"   && $(BIN)/ruff format --check --quiet .
	@echo "check: lint"     && $(BIN)/ruff check --quiet .
	@echo "check: spelling" && $(BIN)/codespell
	@echo "check: types"    && $(BIN)/mypy
	@echo "check: layers"   && $(BIN)/lint-imports --no-logo
	@echo "check: Dockerfile" && $(BIN)/hadolint Dockerfile

test: install test-optimized ## Run the tests
ifeq ($(strip $(COVERAGE)),)
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)
else
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(PARALLEL) $(PYTEST_ARGS)
endif

test-optimized: install ## Run the tests of the core and the verifier under python -O
ifneq ($(OPTIMIZED_TESTS),)
	@echo "test: core and verifier under python -O"
	@PYTHONOPTIMIZE=1 $(BIN)/python -m pytest -q $(PARALLEL) -W "ignore::pytest.PytestConfigWarning" $(OPTIMIZED_TESTS)
endif

# The same tests as in `make test`, which does a few rounds of each.
faults: install ## Kill the service and its stores hundreds of times under load, about half an hour
	@FAULT_ROUNDS="$(FAULT_ROUNDS)" $(BIN)/python -m pytest tests/faults $(PYTEST_ARGS)

demo: install ## Run the demo
	@$(BIN)/tokensvc demo

bench: install ## Measure against the goals, five to ten minutes; results in bench/results.json
	@$(BIN)/python -m bench.run

bench-memory: install ## Measure the memory of the token service over 100,000 exchanges, minutes
	@$(BIN)/python -m bench.exchange_memory

coverage: ## Run the tests and judge their coverage
	@$(MAKE) test COVERAGE=1
	@$(MAKE) coverage-judge

coverage-judge: install ## Judge the data of the last `make test COVERAGE=1`
	@$(BIN)/coverage combine --quiet
	@echo "coverage: all, 95 % required"
	@$(BIN)/coverage report --fail-under=95
	@echo "coverage: core and verify, 100 % required"
	@$(BIN)/coverage report --include='tokensvc/core/*,tokensvc/verify/*' --fail-under=100

lock: ## Write requirements.lock anew (maintainers; needs uv on PATH)
	@command -v uv >/dev/null || { echo "make lock: uv not found; install it: pip install uv" >&2; exit 1; }
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --upgrade --quiet \
		--generate-hashes --no-header --no-emit-package tokensvc --no-emit-index-url --no-emit-find-links -o requirements.lock

clean: ## Remove .venv, caches and what builds left (keys and databases stay)
	rm -rf $(VENV) tests/node/node_modules build dist htmlcov .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
