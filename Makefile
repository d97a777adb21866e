# Every target sets up what it needs. `make` alone lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
HOME_DIR ?= var/home
HOST   ?= 127.0.0.1
PORT   ?= 8000
SECRETS_DIR ?= secrets
# The build of PyTorch: cpu (0.2 GB to download on Linux) or cuda (several GB). What was chosen last stays.
TORCH  ?= $(shell cat $(VENV)/torch 2>/dev/null || echo cpu)
# For chaos, bench-recovery and bench-responsiveness: servers (PostgreSQL, Redis protocol) or embedded (SQLite, a folder).
STACK  ?= servers
INJECTIONS ?= 100
# For fuzz: requests of each operation, inputs of each reader.
EXAMPLES ?= 30
INPUTS ?= 20000
# How `make check` runs the tests: coverage, or test, which counts no lines and takes a fifth less.
TESTS  ?= coverage
LOCKS  := $(patsubst %,requirements/%.txt,api worker data build torch)
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV_VERSION := 0.13.9
BUILD  := var/build/bin/python
BUILD_VERSION := 1.6.1
CIBUILDWHEEL_VERSION := 4.3.5
PIP_AUDIT_VERSION := 2.10.1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev lock demo serve secrets test coverage test-compose golden-aarch64 sanitize check fuzz audit format lint types imports bench bench-peers bench-recovery bench-responsiveness chaos dist sdist wheels test-wheel release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-21s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready-$(TORCH) ## create .venv with the locked dependencies (instant the second time; TORCH=cpu or cuda)

setup-dev: $(VENV)/.ready-dev ## the same, with what tests and checks need

$(VENV)/.ready-$(TORCH): $(LOCKS) requirements/install_torch.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Firstlight needs Python 3.11 or newer; set PYTHON=/path/to/python3")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --require-hashes -r requirements/api.txt -r requirements/worker.txt -r requirements/build.txt
	$(PIP_INSTALL) --require-hashes --no-deps -r requirements/data.txt
	@$(BIN)/python requirements/install_torch.py $(TORCH)
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@echo "compiling the CPU engine for this machine (once)"
	@$(BIN)/python -m services.training.native.build || echo "not compiled: trials will train with PyTorch alone"
	@echo $(TORCH) > $(VENV)/torch && rm -f $(VENV)/.ready* && touch $@

$(VENV)/.ready-dev: $(VENV)/.ready-$(TORCH) requirements/dev.txt
	$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

lock: ## write requirements/*.txt from pyproject.toml (UPGRADE=--upgrade takes the newest versions)
	@test -x var/uv/bin/python || $(PYTHON) -m venv var/uv
	@var/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@var/uv/bin/python requirements/lock.py --uv var/uv/bin/uv $(UPGRADE)

demo: setup ## train the quickstart study in an embedded service and write report.html
	@$(BIN)/firstlight demo

serve: setup ## the embedded service in the foreground (HOST, PORT, HOME_DIR)
	@$(BIN)/firstlight up --host $(HOST) --port $(PORT) --home $(HOME_DIR)

secrets: ## make the secrets of the compose stack in SECRETS_DIR (secrets); those that are there stay
	@umask 077 && mkdir -p $(SECRETS_DIR)
	@for name in postgres_password redis_password api_keys; do test -s $(SECRETS_DIR)/$$name \
		|| { $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(32))' > $(SECRETS_DIR)/$$name; } \
		&& chmod 444 $(SECRETS_DIR)/$$name || exit 1; done
	@echo "secrets are in $(SECRETS_DIR); clients send the key in api_keys"

test: setup-dev ## every test, with a real PostgreSQL and a real Redis-protocol server
	$(BIN)/python -m pytest -n auto --dist loadfile

coverage: setup-dev ## every test, and how much of the code they run; below the floor of pyproject.toml it fails
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term

test-compose: setup ## build and run docker-compose.yml in real containers (a Docker engine, or root, podman and debootstrap)
	$(BIN)/python -m tests.compose

check: setup-dev format lint types imports $(TESTS) ## all that must be green: format, lint, types, import contracts, tests with their coverage

fuzz: setup-dev ## draw requests from the OpenAPI document, and inputs for every reader (EXAMPLES=30 INPUTS=20000 SEED=)
	$(BIN)/python -m tests.fuzz --examples $(EXAMPLES) --inputs $(INPUTS) $(if $(SEED),--seed $(SEED))

audit: ## ask a vulnerability service about every locked package; fails for findings alone
	@test -x var/audit/bin/python || $(PYTHON) -m venv var/audit
	@var/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==$(PIP_AUDIT_VERSION)
	@var/audit/bin/python requirements/audit.py

golden-aarch64: setup-dev ## the golden digests on an emulated ARM processor (Debian; wants qemu-user-static, g++-aarch64-linux-gnu)
	PYTHON=$(BIN)/python tests/golden/aarch64.sh

sanitize: setup-dev ## the compiled kernel under the address, undefined behaviour and thread sanitizers
	$(BIN)/python -m tests.golden.sanitize

format: setup-dev ## is every file formatted?
	$(BIN)/ruff format --check .

lint: setup-dev ## ruff
	$(BIN)/ruff check .

types: setup-dev ## pyright: strict for the code, standard for the tests
	$(BIN)/pyright
	$(BIN)/pyright --project tests

imports: setup-dev ## the import contracts
	$(BIN)/lint-imports

bench: setup-dev ## measure this engine against PyTorch, side by side, and print it
	$(BIN)/python -m bench

bench-peers: setup-dev ## the same beside JAX and Keras in environments of their own, into docs/benchmarks.md
	$(BIN)/python -m bench --peers

bench-recovery: setup-dev ## how soon work goes on after a kill of a child, a worker, a host (STACK=servers or embedded)
	$(BIN)/python -m bench.recovery --stack $(STACK)

bench-responsiveness: setup-dev ## how soon a cancel, a submission and a reader are served in a bad hour (STACK=servers or embedded)
	$(BIN)/python -m bench.responsiveness --stack $(STACK)

chaos: setup-dev ## strike a whole service again and again while studies go through it (INJECTIONS=100 SEED= STACK=servers)
	$(BIN)/python -m tests.faults.chaos --injections $(INJECTIONS) --stack $(STACK) $(if $(SEED),--seed $(SEED))

dist: var/build/.ready ## the wheel for this machine and the source distribution, into dist/
	rm -rf dist
	$(BUILD) -m build --outdir dist

sdist: var/build/.ready ## the source distribution alone
	$(BUILD) -m build --sdist --outdir dist

wheels: var/build/.ready ## the wheels for this system that a release publishes (in containers on Linux)
	$(BUILD) -m cibuildwheel --output-dir dist

test-wheel: ## use each wheel in dist/ from an empty folder, as its first user would
	PYTHON=$(PYTHON) .ci/test-wheel dist/*.whl

var/build/.ready: Makefile
	@test -x $(BUILD) || $(PYTHON) -m venv var/build
	$(BUILD) -m pip install --quiet --disable-pip-version-check build==$(BUILD_VERSION) cibuildwheel==$(CIBUILDWHEEL_VERSION)
	@touch $@

release: ## VERSION=0.2.0 sets the version and gives what is unreleased its section in CHANGELOG.md
	@$(PYTHON) .ci/release.py cut $(VERSION)

clean: ## remove .venv and what a local run left behind
	rm -rf $(VENV) var dist
