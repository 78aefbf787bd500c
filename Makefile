# setup: everything into .venv, node_modules and the bundles      run: setup, then Entrepot with its seeded world
# test: setup, then all checks      accept: setup, then the figures (over an hour; one part: python -m benchmarks.accept --only screens)      bench: setup, then how fast orders are taken (half an hour)
# soak-intake: setup, then orders under load while server, worker and database are killed 20 times each (a quarter of an hour; SOAK="--seed 3 --kills 5")
# screenshots: setup, then pictures of the pages      looks: setup, then every page in every size, scheme and language (half an hour; LOOKS="--quick --only store")
#     phrases: gathers the texts of the pages into the catalogues of each language
# Only what changed is done again: stamps depend on the lock files.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATIC := src/entrepot/surfaces/web/static
UP ?=
SOAK ?=
LOOKS ?=

PACKAGES := $(VENV)/.stamp-packages
PROJECT := $(VENV)/.stamp-project
NODE_PACKAGES := node_modules/.stamp
BUNDLES := $(STATIC)/built/.stamp

# npm from the PATH when its Node is recent enough, else the one that came with the Python packages
NPM := if ! node -e 'process.exit(+process.versions.node.split(".")[0] < 20)' 2>/dev/null || ! command -v npm >/dev/null; then \
	export PATH="$(CURDIR)/$(BIN):$$PATH"; fi; npm

.PHONY: setup run test accept bench soak-intake screenshots looks phrases
.DELETE_ON_ERROR:

setup: $(PROJECT) $(BUNDLES)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing: install Python 3.11 or newer, or run make PYTHON=/path/to/python3."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version) is too old: install Python 3.11 or newer and run make PYTHON=python3.11 (or newer)."; exit 1; }
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv --clear $(VENV); \
	elif command -v uv >/dev/null; then uv venv --clear --seed --python $(PYTHON) $(VENV); \
	else echo "This Python cannot make virtual environments."; \
		echo "On Debian or Ubuntu: sudo apt-get install python3-venv. Elsewhere install uv (https://docs.astral.sh/uv/). Then run make again."; exit 1; fi

$(PACKAGES): requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(PROJECT): pyproject.toml $(PACKAGES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(NODE_PACKAGES): package.json package-lock.json .npmrc | $(PACKAGES)
	$(NPM) ci --loglevel=error
	@touch $@

$(BUNDLES): $(NODE_PACKAGES) build.mjs $(shell find $(STATIC)/src -type f)
	$(NPM) run --silent build
	@touch $@

run: setup
	@exec $(BIN)/entrepot up $(UP)

test: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(CURDIR)/$(BIN):$$PATH" node_modules/.bin/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2

accept: setup
	$(BIN)/python -m benchmarks.accept

bench: setup
	$(BIN)/python -m benchmarks.intake

soak-intake: setup
	$(BIN)/python -m benchmarks.soak $(SOAK)

screenshots: setup
	$(BIN)/python -m benchmarks.screenshots

looks: setup
	$(BIN)/python -m benchmarks.looks $(LOOKS)

phrases: setup
	$(BIN)/python -m tests.factories.phrases
