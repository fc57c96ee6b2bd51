# One command for everything; each does its own set-up. Needed: make, and Python 3.11 or newer with venv.
#   make run                    a session against simulated venues        make run ARGS="--faults storm --duration 60"
#   make test                   every test that needs no server           make test ARGS="tests/core -x"
#   make conformance            other people's clients against the simulated venues   make conformance ARGS="--json"
#   make check                  format, lint, types, rooms, tests with coverage: what CI runs
#   make format · make lock · make clean
# Paths are relative and quoted, so the checkout may lie below a folder with spaces.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test conformance check format lock clean venv venv-dev

PY := .venv/bin/python
# PYTHON=... chooses one; else the first that is new enough.
PYTHONS := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes
WITHOUT_SERVERS := not postgres and not browser

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

run: venv
	@$(PY) run.py $(ARGS)

test: venv
	$(PY) -m pytest -m "$(WITHOUT_SERVERS)" $(ARGS)

# Builds an environment of its own below .crossfill/conformance; published clients never come into ours.
conformance: venv
	@$(PY) -m conformance $(ARGS)

check: venv-dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -m "$(WITHOUT_SERVERS)" --cov --cov-report= $(ARGS)
	$(PY) -m coverage report --fail-under=80
	$(PY) -m coverage report --include='core/*' --fail-under=90

format: venv-dev
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

# The environment is as the lock says: another lock, a half-finished set-up or a moved interpreter make it anew.
venv:
	@if ! cmp -s requirements.lock .venv/installed.lock || ! $(PY) -c '' 2>/dev/null; then \
	  for python in $(PYTHONS) none; do \
	    if [ "$$python" = none ]; then \
	      echo 'Python 3.11 or newer is needed; make PYTHON=/path/to/it ... names one.' >&2; exit 1; fi; \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	  done; \
	  echo "Setting up .venv with $$python; this takes about half a minute." >&2; \
	  rm -f .venv/installed.lock && \
	  "$$python" -m venv --clear .venv && $(PIP_INSTALL) -r requirements.lock && \
	  cp requirements.lock .venv/installed.lock || { \
	    echo 'The set-up failed; the line above says why. On Debian, venv is the package python3-venv.' >&2; exit 1; }; \
	fi

venv-dev: venv
	@if ! cmp -s requirements-dev.lock .venv/installed-dev.lock; then \
	  echo 'Adding linters and type checker to .venv.' >&2; \
	  $(PIP_INSTALL) -r requirements-dev.lock && cp requirements-dev.lock .venv/installed-dev.lock; \
	fi

# Hashes for every platform, and no address: whoever installs chooses the index.
UV_COMPILE := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --no-emit-index-url --no-emit-find-links --extra test --extra speed pyproject.toml
UV_CLIENTS := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --no-emit-index-url --no-emit-find-links conformance/requirements.in
lock: venv-dev
	$(UV_COMPILE) -o requirements.lock
	$(UV_COMPILE) --extra dev -c requirements.lock -o requirements-dev.lock
	$(UV_CLIENTS) -o requirements-conformance.lock

clean:
	rm -rf .venv .crossfill .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
