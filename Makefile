# make demo    the main job, in about a minute, offline
# make test    every test, and every lesson at short scale: eleven to sixteen minutes on two cores
# make notebooks    every lesson as it is, at full scale, side by side
# make lesson NAME=05_memory    notebooks/05_memory.ipynb and its student's copy from its .py, and the lesson executed
# make students    the student's copies of all lessons, notebooks/student/*.ipynb
# make docs    the pages, the lessons and the reference as a site, build/docs, and the explorer if it is not there; offline
# make docs-links    the links of the pages to other sites, each of them tried; needs the network
# make trust   kills, faults, damaged files and wrong input, measured; docs/results/trust.md; PART=kills for one; under an hour
# make fuzz    changed files, ten minutes for each reader; docs/results/trust.md; goes on where it was ended; MINUTES=60
# make fuzz READER=npz   the same for one reader, and nothing is written down; MINUTES=1; ATHERIS=1 takes that fuzzer
# make results NAME=pgl-table1   an experiment at scale tiny into docs/results; without NAME all of them, in an hour or two
# make oldest  tests with the oldest versions that pyproject.toml allows, in build/oldest; PYTHON=python3.11
# make lock    .ci/lock.txt anew: the versions and the files that continuous integration installs; needs the network
# make mutants  places of the code changed one by one: would a test fail? docs/results/trust.md; goes on where it was ended
# make coverage branches that the tests take, by part of the package; fails below 98 %
# make lint    ruff, ruff format and mypy; .venv/bin/pre-commit install runs them before each commit
# make explorer   build/explorer.html: sliders for network, rule, K, l and α, in one file; minutes
# make gpu-check    on a machine with a GPU: parity and benchmarks, one screen; PART=parity, PART=bench, DATA=CIFAR-10
#
# Each target makes what it needs in one .venv, once; it is made again when pyproject.toml changes. Only gpu-check takes
# the python3 that it finds, with the CuPy that is there, and installs nothing.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
LESSONS := $(wildcard notebooks/*.py)

# One process a core, eight at most; in each of them BLAS leaves the other cores to its neighbours. Tests start many
# processes: what Python compiles for one is kept for the next, also where the environment says otherwise.
PYTEST := TQDM_DISABLE=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
XDIST := -n auto --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test trust fuzz results oldest lock mutants coverage lint notebooks lesson students docs docs-links explorer gpu-check clean

help:
	@sed -n '/^# make/s/^# //p' Makefile

demo: $(VENV)/.runs
	@$(BIN)/minilocal demo
	@echo "next:   source $(VENV)/bin/activate   and then, say,   minilocal train --rule bp"

test: $(VENV)/.tests
	@$(PYTEST) $(XDIST)

trust: $(VENV)/.tests
	@TQDM_DISABLE=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.faults $(filter-out all,$(PART)) $(if $(MINUTES),--minutes $(MINUTES))

FUZZ = TQDM_DISABLE=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.faults
fuzz: $(VENV)/$(if $(ATHERIS),.fuzz,.tests)
	$(if $(READER),,$(if $(SEED)$(ATHERIS),$(error SEED and ATHERIS are of one reader: give READER=npz too)))
	@$(FUZZ)$(if $(READER),.readers $(READER) $(if $(SEED),--seed $(SEED)) $(if $(ATHERIS),--atheris), fuzz) $(if $(MINUTES),--minutes $(MINUTES))

# What trains nothing is shown at full size, and its folder has no scale in its name.
EXPERIMENTS = $(or $(NAME),$(notdir $(basename $(wildcard minilocal/reproduce/experiments/*.toml))))
results: $(VENV)/.tests
	$(if $(findstring --scale,$(FLAGS)),$(error make results is of scale tiny: leave --scale out of FLAGS))
	@set -e; for name in $(EXPERIMENTS); do \
		made=build/results/$$name; \
		OPENBLAS_NUM_THREADS=1 $(BIN)/minilocal reproduce $$name --out $$made $(FLAGS); \
		if test -f $$made/sweep.json; \
		then $(BIN)/minilocal report $$made --brief --format md,csv,svg --quiet --out docs/results/$$name-tiny; \
		else mkdir -p docs/results/$$name; cp $$made/report/*.md $$made/report/*.csv $$made/report/*.svg docs/results/$$name/; \
		fi; \
	done

oldest:
	@$(PYTHON) -m tests.faults.supply.oldest

# For Linux and macOS, and for every Python that pyproject.toml allows. The addresses of the files are not in it: pip takes
# them from its own index, and refuses those with another hash.
lock:
	@test -x build/uv/bin/uv || { $(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet --disable-pip-version-check uv; }
	@build/uv/bin/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-emit-index-url --default-index https://pypi.org/simple --custom-compile-command 'make lock' \
		--extra test --extra lint --extra notebooks --extra docs --group ci pyproject.toml --output-file .ci/lock.txt

MUTANTS = TQDM_DISABLE=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m
mutants: $(VENV)/.mutants
	@$(MUTANTS) tests.faults mutants $(if $(MINUTES),--minutes $(MINUTES))

coverage: $(VENV)/.mutants
	@$(MUTANTS) tests.faults.mutants.branches

notebooks: $(VENV)/.tests
	@$(PYTEST) $(XDIST) --nbmake $(or $(NOTEBOOKS),$(error there is no notebook in notebooks/))

LESSON = notebooks/$(or $(NAME),$(error which lesson? make lesson NAME=05_memory))
lesson: $(VENV)/.tests
	@test -f $(LESSON).py || { echo "there is no $(LESSON).py; there are: $(LESSONS)" >&2; exit 1; }
	@$(BIN)/python -m minilocal.teach notebook $(LESSON).py
	@TQDM_DISABLE=1 $(BIN)/jupyter nbconvert --to notebook --execute --ExecutePreprocessor.record_timing=False --inplace $(LESSON).ipynb
	@$(BIN)/jupyter nbconvert --log-level WARN --to notebook --coalesce-streams --inplace $(LESSON).ipynb
	@$(BIN)/python -m minilocal.teach student $(LESSON).py --out notebooks/student

students: $(VENV)/.tests
	@$(BIN)/python -m minilocal.teach student $(LESSONS) --out notebooks/student

# Every warning is an error: a link that leads nowhere, a formula that cannot be drawn, a page without a place.
SPHINX = OPENBLAS_NUM_THREADS=1 $(BIN)/sphinx-build -q -W --keep-going -c docs -d build/doctrees
docs: $(VENV)/.docs
	@test -f build/explorer.html || $(MAKE) --no-print-directory explorer
	@$(SPHINX) -b html . build/docs
	@echo "open   $(CURDIR)/build/docs/index.html"

docs-links: $(VENV)/.docs
	@$(SPHINX) -b linkcheck . build/links

lint: $(VENV)/.tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

explorer: $(VENV)/.runs
	@mkdir -p build
	@$(BIN)/minilocal explorer --out build/explorer.html --results docs/results

PART ?= all
gpu-check:
	@python3 docs/benchmarks/gpu_check.py $(PART) $(if $(DATA),--data-dir $(DATA)) $(if $(OUT),--out $(OUT))

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

# The stamps: enough to run, to test, to mutate, and to make the site. LOCK=.ci/lock.txt installs what that file says, and
# refuses every file with another hash.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
$(VENV)/.runs: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "minilocal needs Python 3.11 or newer; $(PYTHON) is %d.%d: make PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || { echo "no virtual environment could be made: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "installing minilocal into $(VENV) ..."
	@$(INSTALL) $(if $(LOCK),--require-hashes --requirement $(LOCK),--editable .)
	@$(if $(LOCK),$(INSTALL) --no-deps --no-build-isolation --editable .)
	@touch $@

$(VENV)/.tests: $(VENV)/.runs
	@echo "installing the test tools into $(VENV) ..."
	@$(if $(LOCK),,$(INSTALL) --editable '.[test,lint,notebooks,docs]')
	@touch $@

$(VENV)/.mutants: $(VENV)/.tests
	@echo "installing cosmic-ray and coverage.py into $(VENV) ..."
	@$(INSTALL) --editable '.[test,mutants]'
	@touch $@

$(VENV)/.fuzz: $(VENV)/.tests
	@echo "installing atheris into $(VENV) ..."
	@$(INSTALL) --editable '.[test,fuzz]'
	@touch $@

$(VENV)/.docs: $(VENV)/.runs
	@echo "installing Sphinx into $(VENV) ..."
	@$(if $(LOCK),,$(INSTALL) --editable '.[docs]')
	@touch $@
