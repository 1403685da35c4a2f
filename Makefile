# Everything a newcomer needs is here; `make help` lists it. Only Python 3.11 or newer and make are taken for granted.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
CORE := .venv-core
PY   := $(VENV)/bin/python
TESTS ?= tests
# The suite is sized for two cores; with a third worker they are not idle while servers start. WORKERS=0 runs in one process, for a debugger.
# Neighbours stay together, so that few workers start each server, until one has nothing left to do.
WORKERS ?= 3
DIST := -n $(WORKERS) --dist worksteal
PYTEST_ARGS ?=
NAME ?=
UPGRADE ?=

# PYTHON=python3.13 makes the environments with that one, where there are none yet.
PYTHON ?=

# Some images say that nothing compiled is to be kept. Here hundreds of processes would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
PINNED := --require-hashes --only-binary :all: -r

# The newest interpreter that is new enough and can make environments. A name on PATH may be a launcher that answers nothing.
FIND_PYTHON = for name in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python); do \
	if $$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; \
	then command -v $$name; exit 0; fi; done; \
	echo 'Halocline needs Python 3.11 to 3.14 with the venv module, and found $(if $(PYTHON),that $(PYTHON) is none,none on PATH).' >&2; \
	echo 'Install one (on Debian and Ubuntu: apt install python3 python3-venv), then run make again.' >&2; exit 1

.PHONY: help demo test core-cli lint bench bench-name walks faults lambda docs release locks clean

help:  ## this list
	@echo 'make <target>, where target is one of:'
	@sed -n 's/^\([a-z -]*\):.*  ## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(VENV)/.stamp  ## the whole thing on this laptop: a Salesforce emulator into DuckDB, twice, under a minute
	@$(VENV)/bin/halocline demo

test: $(VENV)/.stamp core-cli  ## every test but the long ones; TESTS=path for some, PYTEST_ARGS=--long for all
	@$(PY) -m pytest $(DIST) -rfEs $(PYTEST_ARGS) $(TESTS)

core-cli: $(CORE)/.stamp  ## the command line starts with no extras installed
	@$(CORE)/bin/python tools/check_core.py

lint: $(VENV)/.stamp  ## ruff, mypy --strict, import rules, unused code, examples and links in the docs, licences of what is locked
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(PY) tools/check_unused.py src tests tools $(wildcard benchmarks)
	@$(PY) tools/check_docs.py
	@$(PY) tools/check_licences.py

# What breaks things on purpose, the long tests included. Ended after FAULTS_S seconds, as a failure.
FAULTS := $(patsubst %,tests/system/test_%.py,fault_loop random_kills kill taken_up two_runners stateful bad_disk push_crash_matrix file_job_kills)
FAULTS_S ?= 7200

walks: $(VENV)/.stamp  ## a clone, an environment, and what the README leads each user to, typed to the first result, timed; NAME=tester
	@$(PY) -m tests.walks $(NAME)

faults: $(VENV)/.stamp  ## operations of a sync and of a push fail, lose their reply, or are where the process dies: half an hour or more
	@$(PY) -m pytest --long $(DIST) -rfE --session-timeout=$(FAULTS_S) $(PYTEST_ARGS) $(FAULTS)

# CONFIG=halocline.yaml puts your flows beside the handler; LAMBDA_ARGS="--arch arm64 --python 3.13 --extra postgres".
CONFIG ?=
LAMBDA_ARGS ?=

lambda: $(VENV)/.stamp  ## build/lambda/halocline-lambda.zip: the function halocline.aws_lambda.handler; CONFIG=halocline.yaml
	@$(PY) tools/make_lambda.py $(if $(CONFIG),--config $(CONFIG)) $(LAMBDA_ARGS)

docs: $(VENV)/.stamp  ## the pages that the code itself tells: docs/reference/, docs/emulator-coverage.md, docs/types.md, docs/halocline.schema.json
	@$(PY) tools/make_pages.py

# RELEASE_ARGS="--environments none all" installs into these alone; see tools/check_installed.py.
RELEASE_ARGS ?=

release: $(VENV)/.stamp  ## dist/: sdist, wheel, SBOM, checksums; built twice, looked into, installed without and with each extra
	@$(PY) tools/make_release.py $(RELEASE_ARGS)

picture: $(VENV)/.stamp  ## docs/demo.svg, README's picture, drawn from what `halocline demo` prints
	@$(PY) tools/make_picture.py

clean:  ## removes what make made, environments included
	rm -rf $(VENV) $(CORE) .bench-venvs .client-venvs build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis benchmarks/.work
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

locks: $(VENV)/.stamp  ## requirements/*.txt from pyproject.toml; UPGRADE=--upgrade moves versions
	@lock() { $(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links "$$@"; }; \
	lock $(UPGRADE) --all-extras --group dev pyproject.toml -o requirements/dev.txt; \
	lock $(UPGRADE) -c requirements/dev.txt pyproject.toml -o requirements/runtime.txt; \
	for file in requirements/installer.in requirements/clients/*.in requirements/servers/*.in; do lock $(UPGRADE) "$$file" -o "$${file%.in}.txt"; done
	@$(VENV)/bin/npm --prefix requirements/clients/jsforce install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
	@! grep -n '://' requirements/*.txt requirements/clients/*.txt requirements/servers/*.txt || { echo 'make locks: a lock names an index' >&2; exit 1; }

# ---- environments: made once, and again when a lock or the package's metadata changes --------------------------------------------------

$(VENV)/bin/python:
	@python=$$($(FIND_PYTHON)); echo "making $(VENV) with $$($$python --version)"; $$python -m venv $(VENV)

$(VENV)/.stamp: requirements/installer.txt requirements/dev.txt pyproject.toml src/halocline/_version.py | $(VENV)/bin/python
	@echo 'installing what requirements/dev.txt pins'
	@$(PY) $(PIP_INSTALL) $(PINNED) requirements/installer.txt || echo 'there is no uv here: pip installs, which takes a minute longer'
	@$(PY) tools/install.py $(PY) $(PINNED) requirements/dev.txt
	@$(PY) tools/install.py $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

# A wheel, not the tree: this environment also shows that the wheel is whole.
PACKAGED := $(shell find src/halocline -type f -not -path '*/__pycache__/*' 2>/dev/null)

build/wheel/.stamp: $(VENV)/.stamp pyproject.toml README.md LICENSE $(PACKAGED)
	@rm -rf build/wheel && mkdir -p build/wheel
	@$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/wheel .
	@touch $@

$(CORE)/.lock-stamp: requirements/runtime.txt | $(VENV)/.stamp
	@rm -rf $(CORE) && $(PY) -m venv --without-pip $(CORE)
	@$(PY) tools/install.py $(CORE)/bin/python $(PINNED) requirements/runtime.txt
	@touch $@

$(CORE)/.stamp: build/wheel/.stamp $(CORE)/.lock-stamp
	@$(PY) tools/install.py $(CORE)/bin/python --no-deps --no-index --force-reinstall build/wheel/*.whl
	@touch $@

# ---- benchmarks: each peer that benchmarks/peers/<peer>.txt pins lives in an environment of its own ------------------------------------

PEERS := $(patsubst benchmarks/peers/%.txt,%,$(wildcard benchmarks/peers/*.txt))
# Of one benchmark, only those that it names.
ifneq ($(NAME),)
PEERS := $(foreach peer,$(PEERS),$(shell grep -qs '"$(peer)"' 'benchmarks/$(NAME).py' && echo $(peer)))
endif

.bench-venvs/%/.stamp: benchmarks/peers/%.txt | $(VENV)/.stamp
	@echo 'making the environment of the peer $*'
	@rm -rf .bench-venvs/$* && $(PY) -m venv .bench-venvs/$*
	@.bench-venvs/$*/bin/python $(PIP_INSTALL) --require-hashes -r $<
	@touch $@

bench: bench-name $(VENV)/.stamp $(PEERS:%=.bench-venvs/%/.stamp)  ## our speed beside the peers', into docs/results.md and README; NAME=name for one
	@$(PY) tools/bench.py $(NAME)

# First, so that a misspelt name costs no environment.
bench-name:
	@if [ -n '$(NAME)' ] && [ ! -f 'benchmarks/$(NAME).py' ]; then \
		echo 'make bench: there is no benchmarks/$(NAME).py' >&2; exit 1; fi
