# make up      run the product on this machine        make test    run the tests
# make check   style, types, layers                   make bench B=B1
# make examples                                         the apps in examples/, each on its own server, asked by several users at once
# make emitters                                         real instrumentations make their calls; each is compared with the truth
# make fuzz SECONDS=60                                  bytes nobody wrote, to the decoder and the query parameters
# make faults [FAULT=9] [SEED=7] [SECONDS=60]           every fault, or one, on real parts; an hour for all
# make soak [MINUTES=60] [SEED=5]                       random faults, several at once, for as long as asked
# make model [SCHEDULES=100000] [SEED=1]                the intent protocol as a model, explored
# make crash-points [SEED=1]                            ClickHouse killed before each file operation of an insert
# make compare-delivery [SEED=1] [SECONDS=50]           lost and doubled, beside writers that do less
.DEFAULT_GOAL := help
.PHONY: help setup up test examples check format bench faults soak model crash-points compare-delivery fuzz emitters lock

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
STAMP := $(VENV)/.set-up
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix dashboard
PAGES := dashboard/dist/index.html
PAGE_SOURCES := $(shell find dashboard/src dashboard/public dashboard/scripts dashboard/index.html dashboard/*.json dashboard/*.ts -type f)

help:
	@sed -n 's/^# //p' Makefile

setup: $(STAMP) $(PAGES)

$(LOCKED): requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Percapita needs Python 3.11 or newer")'
	@echo "setting up $(VENV): locked dependencies (about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(PAGES): $(PAGE_SOURCES) | $(LOCKED)
	@sh dashboard/scripts/build.sh $(CURDIR)/$(BIN)
	@touch $@

$(STAMP): $(LOCKED) pyproject.toml sdk/python/pyproject.toml | $(PAGES)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e sdk/python
	@touch $@

up: setup
	@$(BIN)/percapita up

# Two files at a time; the tests that are made from the OpenAPI document are not found that way.
test: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/openapi
	@$(BIN)/python -m pytest tests/openapi
	@$(NPM) test --silent

examples: setup
	@$(BIN)/python -m pytest tests/examples

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(NPM) run --silent check

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup
	@$(BIN)/python -m bench $(B) $(ARGS)

fuzz: setup
	@test -d .build/fuzz/atheris || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --target .build/fuzz -r requirements-fuzz.lock
	@PYTHONPATH=.build/fuzz $(BIN)/python -m tests.fuzz $(or $(SECONDS),60)

emitters: setup
	@$(BIN)/python -m tests.emitters.environments
	@EMITTERS=true $(BIN)/python -m pytest -n 2 tests/emitters

faults: setup
	@$(BIN)/python -m tests.faults $(if $(FAULT),--fault $(FAULT)) $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

soak: setup
	@$(BIN)/python -m tests.faults.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

model: setup
	@$(BIN)/python -m tests.model --schedules $(or $(SCHEDULES),100000) $(if $(SEED),--seed $(SEED))

crash-points: setup
	@$(BIN)/python -m tests.faults.crash_points $(if $(SEED),--seed $(SEED)) $(ARGS)

compare-delivery: setup
	@$(BIN)/python -m tests.faults.compare $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

lock:
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml --group test --group check --group build -o requirements-dev.lock
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml --group build -c requirements-dev.lock -o requirements.lock
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --group fuzz -o requirements-fuzz.lock
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --group node -o requirements-node.lock
