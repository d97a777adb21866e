# Every target sets up what it needs. `make` alone lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
HOME_DIR ?= var/home
HOST   ?= 127.0.0.1
PORT   ?= 8000

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo serve test check format lint types imports bench bench-peers clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## create .venv with the locked dependencies (instant the second time)

setup-dev: $(VENV)/.ready-dev ## the same, with what tests and checks need

$(VENV)/.ready: requirements.lock requirements-data.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Firstlight needs Python 3.11 or newer; set PYTHON=/path/to/python3")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-data.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "compiling the CPU engine for this machine (once)"
	@$(BIN)/python -m services.training.native.build || echo "not compiled: trials will train with PyTorch alone"
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

demo: setup ## train the quickstart study in an embedded service and write report.html
	@$(BIN)/firstlight demo

serve: setup ## the embedded service in the foreground (HOST, PORT, HOME_DIR)
	@$(BIN)/firstlight up --host $(HOST) --port $(PORT) --home $(HOME_DIR)

test: setup-dev ## every test, with a real PostgreSQL and a real Redis-protocol server
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup-dev format lint types imports test ## what CI runs: format, lint, types, import contracts, migrations, tests

format: setup-dev ## is every file formatted?
	$(BIN)/ruff format --check .

lint: setup-dev ## ruff
	$(BIN)/ruff check .

types: setup-dev ## pyright
	$(BIN)/pyright

imports: setup-dev ## the import contracts
	$(BIN)/lint-imports

bench: setup-dev ## measure this engine against PyTorch, side by side, and print it
	$(BIN)/python -m bench

bench-peers: setup-dev ## the same beside JAX and Keras in environments of their own, into docs/benchmarks.md
	$(BIN)/python -m bench --peers

clean: ## remove .venv and what a local run left behind
	rm -rf $(VENV) var
