# Needs Python 3.11 or newer, make and the package registries; everything else is fetched into .venv and the cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= $(shell date +%s)
# Processes that run the tests, each with servers of its own; what the tests wait for is mostly other processes. They share out whole files,
# whose tests share what was set up once (groups are lost on pytest 9.2: pytest-xdist issue 1386).
PARALLEL ?= 2
# The tests start some hundred processes: each would compile all of jobledger for itself, a third of what its start costs.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup check test tests demo faults bench lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("jobledger needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned requirements into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: setup  ## format, lint, import law, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

test: setup  ## the checks, and beside them every test but the long ones
	@$(MAKE) --no-print-directory --jobs 2 check tests

tests: setup
	$(BIN)/python -m pytest -m "not slow" -n $(PARALLEL) --dist loadfile --no-loadscope-reorder --durations 15

demo: setup  ## the whole story once, on the real stack
	@$(BIN)/python examples/demo/demo.py

faults: setup  ## the long fault and soak runs; SEED=n repeats one
	@echo "seed $(SEED)" >&2
	JOBLEDGER_SEED=$(SEED) $(BIN)/python -m pytest -m slow

bench: setup  ## the project's own benchmark, on a stack of its own
	$(BIN)/python -m ledger.cli.measuring

lock: setup
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --strip-extras --extra dev -o requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .jobledger
