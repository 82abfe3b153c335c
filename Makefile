# `make demo` and `make test` need Python 3.11 or newer and nothing else; both set up .venv from requirements.lock.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.set-up
export HF_HUB_OFFLINE ?= 1

.PHONY: demo smoke test quick newest check notebooks docs bench lock clean

demo: $(SETUP)  ## the whole life of a model, into runs/tiny
	$(BIN)/python recipes/full_flow.py --config recipes/configs/tiny.yaml

smoke: $(SETUP)  ## the same in two minutes, into runs/smoke
	$(BIN)/python recipes/full_flow.py --config recipes/configs/smoke.yaml

test: $(SETUP)  ## all tests, the slow ones too
	$(BIN)/python -m pytest

quick: $(SETUP)  ## the tests without the slow ones
	$(BIN)/python -m pytest -m "not slow"

newest:  ## the smoke flow and the tests of what calls upstream, with the newest versions that are allowed, in .venv-newest
	PYTHON=$(PYTHON) .ci/newest

check: $(SETUP)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: $(SETUP)  ## run the notebooks and keep their outputs
	$(BIN)/python notebooks/run.py

docs: $(SETUP)  ## the pages that are made from the code, then the site, into docs/_build
	$(BIN)/python docs/make_pages.py
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky -q -b html docs docs/_build/html

bench: $(SETUP)  ## the measurements under tests/bench
	for bench in tests/bench/*.py; do $(BIN)/python $$bench; done

lock: $(SETUP)  ## write requirements.lock from what is installed, and its hashes (by uv, which has to be there)
	$(BIN)/pip freeze --exclude-editable | grep -v "^hftrain" | sed "s,+cpu$$,," > requirements.lock
	uv pip compile requirements.lock --generate-hashes --no-deps --no-header --no-annotate --quiet --output-file requirements.hashes

$(SETUP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}. Run: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $(if $(VERIFIED),requirements.hashes --require-hashes --no-deps,requirements.lock)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(SETUP)

clean:  ## remove .venv; runs are kept
	rm -rf $(VENV) .venv-newest
