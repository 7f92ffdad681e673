# `make run` and `make test` work in a fresh clone; both build .venv on the first call.
PYTHON ?= python3
BIN := .venv/bin
CHECKED := metaskl tests docs $(wildcard examples) $(wildcard plugins)
BUILDER := html
PLUGINS := $(wildcard plugins/*/pyproject.toml)

# Real data beside the checkout are used when they are there. An empty value counts as unset.
ifeq ($(strip $(METASKL_DATA)),)
METASKL_DATA := $(abspath $(wildcard ../shared/data))
endif
export METASKL_DATA
# More threads on busy cores make small networks many times slower, not faster.
export OMP_NUM_THREADS ?= 1
# Compiled modules are kept, whatever the machine says: hundreds of processes import the same ones.
# pip would compile all of every package, in one process, though most are never imported.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test lint docs pytest speed clean

run: .venv/.ready
	$(BIN)/python examples/school_report.py

# Beside each other, as none of them fills two cores. The docs run the gallery and resolve every
# reference; the pages are not written, which is half of the work: `make docs` does so.
test: .venv/.ready
	$(MAKE) --no-print-directory -j3 lint docs pytest BUILDER=dummy

.venv/.ready: pyproject.toml constraints.txt $(PLUGINS)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e ".[test]" $(PLUGINS:%/pyproject.toml=-e ./%)
	touch $@

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell README.md Makefile pyproject.toml $(CHECKED)

docs: .venv/.ready
	$(BIN)/sphinx-build -b $(BUILDER) -d docs/_build/.doctrees-$(BUILDER) -W --keep-going --quiet docs docs/_build

pytest: .venv/.ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

speed: .venv/.ready
	PYTHONPATH=tests $(BIN)/python -m speed $(SPEED)

clean:
	rm -rf .venv docs/_build docs/generated .*_cache .hypothesis build dist
