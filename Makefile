# make demo: train the bundled digits inside one 64 KB core and show the result.
# make test: everything that the project checks. make lint: ruff and mypy, as pyproject.toml has them.
# Both create what they need in .venv; nothing but Python 3.11+ and make has to be there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes of the tests, one file of tests at a time each.
WORKERS ?= 2

.PHONY: demo test quick lint bench docs clean

demo: $(VENV)/installed
	$(BIN)/neurosim run digits_santos

test: $(VENV)/installed-test
	$(BIN)/neurosim warmup
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# Without the acceptance runs on MNIST.
quick: $(VENV)/installed-test
	$(BIN)/neurosim warmup
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site, in build/site; nothing is fetched.
docs: $(VENV)/installed-docs
	$(BIN)/mkdocs build --strict
	@echo "open build/site/index.html"

# Speed beside PyTorch and SciPy, in one run on this machine; needs MNIST (NEUROSIM_DATA) for some rows.
bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.run

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "neurosim needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-lint: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lint]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-docs: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-bench: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist *.egg-info
