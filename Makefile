# What a newcomer needs is `make run` and `make test`; what CI needs is `make check` and `make test`.
# PYTHON=python3.12 make ...   chooses the Python that .venv is made of (3.11 or later).
# ARGS="-k fills -x" make test passes more to pytest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

export PYTHON
BIN := .venv/bin
# Written last, so that a broken installation is repaired by the next run.
VENV := .venv/.complete
PYTEST := $(BIN)/python -m pytest
# REPORTS=DIR leaves JUnit files there.
junit = $(if $(REPORTS),--junitxml=$(REPORTS)/$(1).xml)

.PHONY: help
help: ## list what can be asked for
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

$(VENV): requirements/dev.lock pyproject.toml scripts/venv.sh
	@echo "installing the locked dependencies into .venv: a minute or two, the first time"
	@scripts/venv.sh
	@touch $@

.PHONY: venv run
venv: $(VENV) ## make .venv what the lock file says
run: $(VENV) ## start a server with a simulated venue and a bot trading on it: nothing leaves the machine
	@exec $(BIN)/orderd dev --demo

# --- tests ---------------------------------------------------------------------------------------
GROUND := $(wildcard tests/core tests/risk)
# Tests at a time: many of them wait for a process or a clock of their own. JOBS=0 for a debugger.
JOBS ?= 2
AT_ONCE := -n $(JOBS) --dist worksteal

.PHONY: test test-rest coverage bench prove
test: coverage test-rest ## everything that must pass before a change is taken

test-rest: $(VENV)
	$(PYTEST) $(AT_ONCE) $(addprefix --ignore=,$(GROUND)) $(call junit,rest) $(ARGS)

coverage: $(VENV) ## the ground floors' tests: every branch of core and risk must be taken
	@[ -n "$(GROUND)" ] || { echo "tests/core and tests/risk are missing" >&2; exit 1; }
	$(PYTEST) $(AT_ONCE) $(GROUND) --cov --cov-report=term-missing:skip-covered $(call junit,ground) $(ARGS)

bench: $(VENV) ## measure speed, side by side with its limits
	$(BIN)/python -m bench $(ARGS)

prove: $(VENV) ## the long runs: all of what make test does a tenth of; ARGS="-k NAME" for one of them
	@rm -rf reports/reached
	ORDERD_PROVE=1 ORDERD_REACHED=reports/reached $(PYTEST) -m "prove or scaled" --timeout=0 $(call junit,prove) $(ARGS)
	$(BIN)/python scripts/check_docs_reliability.py --take reports/reached

.PHONY: clients fuzz
clients: $(VENV) ## environments of other people's clients, for their tests against the venue (wants node and npm)
	$(BIN)/python scripts/clients.py $(ARGS)

# SEEDS=2000:3000 make soak lives those days; ORDERS and DEATHS are those of one day.
SEEDS ?= 2000:2100
ORDERS ?= 200
DEATHS ?= 8
OF ?= orders
.PHONY: soak
soak: $(VENV) ## more simulated days, each lived twice: SEEDS=2000:3000; a failure names the line that repeats it
	$(BIN)/python -m tests.faults.soak $(SEEDS) --orders $(ORDERS) --deaths $(DEATHS) --of $(OF)
.PHONY: sabotage mutate
sabotage: $(VENV) ## put a defect into src, see the tests go red, and so on through the list; ARGS='--promise P5'
	$(BIN)/python -m tests.sabotage $(ARGS)

# mutmut lives beside .venv: nobody needs it who does not mutate.
MUTATOR := .mutation/lib/.complete
MINUTES ?= 20
$(MUTATOR): requirements/mutation.lock $(VENV)
	$(BIN)/python -m pip --disable-pip-version-check --quiet install --only-binary :all: --require-hashes --no-deps \
	  --upgrade --target $(@D) -r $<
	@touch $@

mutate: $(MUTATOR) ## change core and risk in small ways: do their tests notice? MINUTES=20 ARGS='--sample 450 --seed 1'
	PYTHONPATH=src:generated/python:$(dir $(MUTATOR)) nice -n 10 \
	  $(BIN)/python -m tests.mutation --minutes $(MINUTES) $(ARGS)
	$(BIN)/python scripts/check_docs_mutation.py --write

# The fuzzer lives beside .venv: nobody needs it who does not fuzz.
FUZZER := .fuzz/lib/.complete
SECONDS ?= 60
$(FUZZER): requirements/fuzz.lock $(VENV)
	$(BIN)/python -m pip --disable-pip-version-check --quiet install --only-binary :all: --require-hashes \
	  --upgrade --target $(@D) -r $<
	@touch $@

fuzz: $(FUZZER) ## throw bytes at every parser, guided by coverage: SECONDS=60 for each, ARGS=TARGET for one
	PYTHONPATH=$(dir $(FUZZER))$${PYTHONPATH:+:$$PYTHONPATH} $(BIN)/python -m fuzz.run --seconds $(SECONDS) $(ARGS)

# --- checks --------------------------------------------------------------------------------------
.PHONY: check check-style check-types check-mypy check-pyright check-floors check-protos check-generated check-docs
check: check-style check-types check-floors check-protos check-generated check-docs ## style, types, floors, contract, drift

check-style: $(VENV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

check-types: check-mypy check-pyright
check-mypy: $(VENV)
	$(BIN)/mypy
check-pyright: $(VENV)
	$(BIN)/basedpyright --pythonpath $(BIN)/python

check-floors: $(VENV)
	$(BIN)/lint-imports

check-protos: $(VENV)
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against $(BASELINE) || { echo "The contract changed against $(BASELINE): docs/decisions/build-and-checks.md" >&2; exit 1; }

check-generated: $(VENV)
	$(BIN)/python scripts/generate.py --check

# One script for each page that is written from code.
check-docs: $(VENV)
	@for page in scripts/check_docs*.py; do echo "$(BIN)/python $$page"; $(BIN)/python $$page; done

# --- what is written by machines -----------------------------------------------------------------
# The contract as it was last released. In the tree, so that a fresh or shallow clone can compare.
BASELINE := protos/baseline.binpb

.PHONY: generate format baseline lock golden
generate: $(VENV) ## build generated/ from protos/
	$(BIN)/python scripts/generate.py

format: $(VENV) ## let the formatters have their way
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/buf format --write

baseline: $(VENV) ## take today's protos as the released contract (part of a release)
	$(BIN)/buf build --exclude-source-info --output $(BASELINE)

lock: $(VENV) ## resolve pyproject.toml again into requirements/ (ARGS=--upgrade takes newer ones)
	scripts/lock.sh $(ARGS)

golden: $(VENV) ## keep a journal of today's code for the tests of every later release (NAME=0.1.0)
	@[ -n "$(NAME)" ] || { echo "say which: make golden NAME=0.1.0" >&2; exit 1; }
	PYTHONPATH=src:generated/python:. $(BIN)/python -m tests.storage.golden $(NAME)

# --- leaving -------------------------------------------------------------------------------------
.PHONY: clean distclean
clean: ## remove caches and reports
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* build dist reports
	find src tests scripts generated -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## remove .venv and the other environments too
	rm -rf .venv .clients .fuzz .mutation
