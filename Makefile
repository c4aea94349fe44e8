# Every target sets up what is missing first (.venv from requirements.lock), then does its one line.
PYTHON ?= python3
PRESET ?= paper32
NETWORK ?= lenet
JOBS ?= 2
TORCH_INDEX ?=
ARGS ?=
RUN := .venv/bin/python -m

.DEFAULT_GOAL := help
.PHONY: help setup lock test regress lint format verilog cosim data train plan report cycles paper energy-check clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup:  ## .venv from requirements.lock; nothing to do when it is whole (PYTHON=, TORCH_INDEX=)
	@$(PYTHON) scripts/environment.py setup $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))

lock:  ## renew requirements.lock from pyproject.toml
	@$(PYTHON) scripts/environment.py lock $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))

test: lint  ## lint, types and every test that is not slow (JOBS=)
	$(RUN) pytest -n $(JOBS) --dist worksteal -m "not slow" $(ARGS)

regress: lint  ## lint, types and every test, slow ones too (JOBS=)
	$(RUN) pytest -n $(JOBS) --dist worksteal $(ARGS)

lint: setup  ## ruff check, ruff format --check, mypy
	$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy

format: setup  ## let ruff mend and format the sources
	$(RUN) ruff check --fix . && $(RUN) ruff format .

verilog: setup  ## tile.v and tile.json of a preset (PRESET=)
	$(RUN) tilewatt verilog --preset $(PRESET) $(ARGS)

cosim: setup  ## every bench in Verilator (JOBS=)
	$(RUN) pytest -n $(JOBS) --dist worksteal -m cosim $(ARGS)

data: setup  ## fetch the data sets
	$(RUN) tilewatt data $(ARGS)

train: setup  ## train a network increment by increment (NETWORK=)
	$(RUN) tilewatt train --network $(NETWORK) $(ARGS)

plan: setup  ## choose increments and thresholds on the held-out images (NETWORK=)
	$(RUN) tilewatt plan --network $(NETWORK) $(ARGS)

report: setup  ## energy, cycles and accuracy of every increment (NETWORK=)
	$(RUN) tilewatt report --network $(NETWORK) $(ARGS)

cycles: setup  ## cycles of every increment of three networks, beside their limits (JOBS=)
	$(RUN) tilewatt cycles --jobs $(JOBS) $(ARGS)

paper: setup  ## T16's tables and figures on RTL: build/paper/t16.json (TRAIN=1 trains anew)
	$(RUN) tilewatt paper --jobs $(JOBS) $(if $(TRAIN),--train) $(ARGS)

energy-check: setup  ## energy model against the gate level, of the PDK in PDK_ROOT (JOBS=)
	$(RUN) tilewatt energy-check --jobs $(JOBS) $(ARGS)

clean:  ## remove what was generated; .venv and data stay
	rm -rf build .pytest_cache .ruff_cache .mypy_cache tilewatt.egg-info
