# make demo    try bambufs with a printer in software; FAMILY=esp32 for a P1 or A1
# make test    all tests but the slow ones; ARGS="-k rename -x" for some
# make help    the rest

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
JOBS ?= 4
CAREFUL ?=
OUT ?= bench.json
SOAK_SECONDS ?= 900
PACKAGE := setup.cfg setup.py bambufs/__init__.py
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --use-pep517

.PHONY: deb help device demo test test-all lint types bench soak deps clean

help:
	@echo "demo       mount a printer in software, and say what to try (FAMILY=esp32: a P1 or A1)"
	@echo "test       the tests, $(JOBS) at a time (JOBS=0: one by one; ARGS=... goes to pytest; CAREFUL=1: with what"
	@echo "           makes bambufs fast switched off, as by -o careful)"
	@echo "test-all   the tests on every CPython from 3.11 on that is installed"
	@echo "soak       the slow tests in random order; none begins after SOAK_SECONDS=$(SOAK_SECONDS)"
	@echo "lint types the checks of ruff and mypy"
	@echo "bench      bambufs and rclone side by side (OUT=$(OUT) for the figures)"
	@echo "deps       install all that the above need"
	@echo "deb        a Debian package, in dist"
	@echo "clean      remove what the above made"

# Without a terminal nobody can try anything: one round of it, then the end.
demo: $(VENV)/.demo device
	@if [ -t 0 ]; then once=; else once=--once; fi; \
	exec $(BIN)/bambufs demo $$once $(if $(FAMILY),--family $(FAMILY))

test: $(VENV)/.test device
	@CAREFUL=$(CAREFUL) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

test-all: $(VENV)/.test device
	@.ci/every-python $(ARGS)

soak: $(VENV)/.test device
	@SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow \
	    --timeout $(SOAK_SECONDS) $(ARGS)

lint: $(VENV)/.test
	@$(BIN)/ruff check .

types: $(VENV)/.test
	@$(BIN)/mypy

bench: $(VENV)/.test device
	@.ci/packages bench
	@$(BIN)/python -m tests.benchmarks --json $(OUT) $(ARGS)
	@$(BIN)/python -m tests.benchmarks.throughput
	@$(BIN)/python -m tests.benchmarks.layer --json $(OUT:.json=-layer.json)
	@$(BIN)/python -m tests.benchmarks.idle --json $(OUT:.json=-idle.json)

deb: $(VENV)/.test
	@PYTHON=$(BIN)/python .ci/deb dist

deps: $(VENV)/.test device

device:
	@.ci/packages device

# The stamps lie inside the virtual environment, so that they go with it.
$(VENV)/.demo: $(PACKAGE) .ci/packages
	@PYTHON=$(PYTHON) .ci/packages run
	@$(MAKE) -s $(BIN)/python
	@$(PIP) -e '.[fuse3,demo]'
	@touch $@

$(VENV)/.test: $(PACKAGE) .ci/packages
	@PYTHON=$(PYTHON) .ci/packages test
	@$(MAKE) -s $(BIN)/python
	@$(PIP) -e '.[test,lint]'
	@touch $@ $(VENV)/.demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "bambufs needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

clean:
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
