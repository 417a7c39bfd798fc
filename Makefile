# The front door.  Needs make and Python 3.11 or newer with venv; all else goes into .venv.
#
#   make demo     install, then show the matrix of designs and scenarios
#   make test     everything CI checks: lint, types, layers, tests
#   make quick    the fast tests: what you run all the time
#   make lab      get what the tests with real kernels need: QEMU, two kernels; busybox for bench.lab
#   make lint     format, style, types, layers, spelling
#   make format   let ruff put the format right
#   make bench    measure, into docs/performance.md and docs/lab.md: some minutes
#   make docs     write the generated pages
#   make pins     write constraints.txt anew from the newest releases
#   make compile  compile the core again after its sources changed
#   make clean    remove what make made
#
# COMPILE=no installs without compiling the core: the same results, more slowly.

PYTHON ?= python3
COMPILE ?= yes
VENV := .venv
BIN := $(VENV)/bin
PIP = PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq -c constraints.txt
EDITABLE = $(PIP) -C compile=$(COMPILE) -e
# What the compiled core is made from.
CORE := $(wildcard compile/*.py src/pfnlab/core.py src/pfnlab/engine/*.py) \
  $(addprefix src/pfnlab/,$(shell grep -oE 'explorer/[a-z]+\.py' src/pfnlab/core.py))
INTERPRETED := $(BIN)/python -X pfnlab=interpreted

.DEFAULT_GOAL := help
.PHONY: help demo test quick lab lint format bench docs pins compile clean

help:
	@sed -n 's/^#   //p' Makefile

# remap_on_fault breaks a rule, so the matrix must end with status 1.  Anything else is a failure:
# 0 found nothing, 2 is wrong use, 3 is unfinished.
demo: $(VENV)/installed $(VENV)/compiled
	@echo '$$ pfnlab check'
	@$(BIN)/pfnlab check; status=$$?; \
	if [ $$status -ne 1 ]; then \
	  echo "demo: pfnlab check ended with status $$status, expected 1 (a rule broke)" >&2; exit 2; \
	fi

# The fast tests of engine and explorer run on both cores; tests/compile compares the two besides.
test: lint lab $(VENV)/compiled
	$(BIN)/python -m pytest -n auto --dist worksteal
	$(INTERPRETED) -m pytest -q --tx '2*popen//python=$(INTERPRETED)' --dist load \
	  -m "not slow" tests/engine tests/explorer

quick: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto -m "not slow"

# Nothing if all is there.  What cannot be got is said; the tests that need it fail, then.
LAB_PACKAGES = qemu-system-x86 busybox-static zstd
LAB_KERNELS = 6.1 6.12

lab: $(VENV)/installed-dev
	@if ! { command -v qemu-system-x86_64 && command -v busybox && command -v zstd; } >/dev/null; then \
	  echo 'lab: installing $(LAB_PACKAGES) ...'; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qq -y --no-install-recommends $(LAB_PACKAGES); } >/dev/null || \
	  echo 'lab: cannot install $(LAB_PACKAGES): tests with real kernels will fail' >&2; \
	fi
	@for kernel in $(LAB_KERNELS); do \
	  $(BIN)/pfnlab lab fetch $$kernel || \
	  echo "lab: no kernel $$kernel: tests with real kernels will fail" >&2; \
	done

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

format: $(VENV)/installed-dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/installed-dev $(VENV)/compiled
	$(BIN)/python -m bench.run
	@if command -v qemu-system-x86_64 >/dev/null; \
	then $(BIN)/python -m bench.lab; \
	else echo 'bench: no qemu-system-x86_64 here, so the lab is not measured: run make lab' >&2; fi

docs: $(VENV)/installed-dev
	$(BIN)/python docs/generate.py

# Both installs are editable and share one .venv: an edited source needs no second install, and
# the tools are simply added to what the demo installed.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing pfnlab into $(VENV) ...'
	@$(EDITABLE) .
	@touch $@ $(VENV)/compiled

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing pfnlab and its tools into $(VENV) ...'
	@$(EDITABLE) '.[dev]'
	@touch $(VENV)/installed $(VENV)/compiled $@

# With the mypyc of the tools if they are installed, else with one that pip fetches for this once.
COMPILE_CORE = [ '$(COMPILE)' = no ] || $(BIN)/python compile/core.py || $(EDITABLE) . --no-deps

compile: $(VENV)/installed
	@$(COMPILE_CORE)

$(VENV)/compiled: $(CORE) | $(VENV)/installed
	@$(COMPILE_CORE)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'pfnlab needs Python 3.11 or newer, and "$(PYTHON)" is not.' \
	    'Try: make PYTHON=python3.11' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

pins:
	rm -rf $(VENV)-pins
	$(PYTHON) -m venv $(VENV)-pins
	$(VENV)-pins/bin/python -m pip install -qq -e '.[dev]'
	$(VENV)-pins/bin/python -m pip freeze --exclude-editable > constraints.txt
	rm -rf $(VENV)-pins

clean:
	rm -rf $(VENV) $(VENV)-pins build dist src/pfnlab/compiled .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
