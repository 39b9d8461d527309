# Learning Rates in Practice. `make` alone lists the commands.
SHELL := /bin/bash
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --frozen --no-sync
# One more than two cores: some tests wait for a browser, a server or the clock.
JOBS ?= 3
# Threads that wait for each other while others use the cores cost a seventh of the processor's.
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
CHAPTER ?=
NAME ?=
SEEDS ?= 10
ONLY ?=
URL ?=
export UV_COMPILE_BYTECODE := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
unexport PYTHONDONTWRITEBYTECODE # many processes import the same

.DEFAULT_GOAL := help
.PHONY: help book serve test test-fast lint format data lab execute experiment bench mutants repository clean setup system browser pdf links colab evidence audit

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: .venv/.ready-book ## build the website from the stored outputs (no data, no TensorFlow)
	$(RUN) jupyter-book build . -nW --keep-going --quiet
	@echo "The book is built. Open _build/html/index.html in a browser, or run: make serve"

serve: book ## build the website and serve it on http://localhost:8000
	$(RUN) python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

pdf: setup book ## print the book into _build/html/learning-rates-in-practice.pdf (needs Chromium)
	$(RUN) python -m tools.pdf

links: setup ## ask every address that the book names whether it still answers
	$(RUN) jupyter-book build . --builder linkcheck --keep-going --quiet

colab: setup ## run chapters as Colab does, with its versions and the newest: all, or CHAPTER=name
	BOOK_COLAB=$(or $(CHAPTER),all) $(RUN) pytest -n 0 tests/test_colab.py

evidence: setup data ## run chapters under SEEDS seeds, other arithmetic and versions: all, or CHAPTER=name
	$(RUN) python -m tools.evidence --seeds $(SEEDS) --only $(ONLY) --chapters $(CHAPTER)

audit: | $(filter .tools/%,$(UV)) ## ask whether a dependency has a known weakness (needs the internet)
	$(UV) audit --frozen
	npm audit --prefix tools/browser --package-lock-only

test: export BOOK_SITE := $(CURDIR)/.tools/site
test: setup data system browser ## set everything up and run all tests: helpers, every chapter, the site
	@rm -rf $(BOOK_SITE)
	$(RUN) pytest -n 0 -m alone tests/test_lighthouse.py
	$(ONE_THREAD) $(RUN) pytest -n $(JOBS) -m "not alone"

test-fast: setup ## the tests that are quick: no chapter runs, in two or three minutes
	$(ONE_THREAD) $(RUN) pytest -n $(JOBS) -m "not slow" tests

lint: setup ## check style and types, as pre-commit does
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

format: setup ## mend what lint can mend by itself
	$(RUN) ruff check --fix
	$(RUN) ruff format

data: setup ## fetch and verify Fashion-MNIST
	$(RUN) python -m helpers.data

lab: setup ## open JupyterLab on the chapters
	$(RUN) jupyter lab --ip=127.0.0.1 --notebook-dir=chapters

execute: setup data ## run chapters and store their outputs: all, or CHAPTER=name
	$(RUN) python -m tools.notebooks execute $(CHAPTER)

experiment: setup data ## compute a stored experiment, resumable: NAME=name; no NAME lists them
	$(RUN) python -m helpers.sweeps $(NAME)

bench: setup data ## measure speed beside peers, an hour: all, or NAME=range_test, training, schedules, ...
	UV=$(abspath $(shell command -v $(UV) || echo $(UV))) $(RUN) python -m benchmarks$(addprefix .,$(NAME))

mutants: setup ## break the formulas on purpose: do the fast tests notice? NAME=module, or all
	$(RUN) python -m tools.mutants $(NAME)

repository: setup ## change the book's address everywhere: URL=https://github.com/me/book
	$(RUN) python -m tools.repository $(URL)

clean: ## remove what was built
	rm -rf _build .tools .venv .pytest_cache .mypy_cache .ruff_cache

setup: .venv/.ready

system: # with CI=true, the system programs that tests need and may not do without
	@if [ "$(CI)" = true ]; then bash tools/system.sh; fi

browser: .tools/browser/.ready

# What the tests of the website need from npm. Without npm they say what to install.
.tools/browser/.ready: tools/browser/package-lock.json
	@mkdir -p $(@D) && cp tools/browser/package*.json $(@D)
	@if command -v npm >/dev/null; then npm ci --prefix $(@D) --silent --no-audit --no-fund && touch $@; fi

.tools/bin/uv:
	$(PYTHON) tools/get_uv.py

.venv/.ready-book: pyproject.toml uv.lock | $(filter .tools/%,$(UV))
	$(UV) sync --frozen --inexact --quiet --only-group book
	@touch $@

.venv/.ready: pyproject.toml uv.lock | $(filter .tools/%,$(UV))
	$(UV) sync --frozen --inexact --quiet --all-groups --all-extras
	@touch $@ .venv/.ready-book
