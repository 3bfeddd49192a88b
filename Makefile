# make demo   train, evaluate and export on the embedded digits
# make test   lint, types, tests
# make soak   the tests that take minutes
# All install into .venv first. PYTHON chooses the interpreter (3.10 to 3.12).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO_DIR := runs/digits

.PHONY: demo test soak lint clean

demo: $(INSTALLED)
	$(BIN)/python run_dvae.py --log_dir=$(DEMO_DIR)
	@echo
	@echo "Look at $(DEMO_DIR)/samples.png (left: samples, right: test images);"
	@echo "for the curves: $(BIN)/tensorboard --logdir $(DEMO_DIR), and open http://localhost:6006"

test: $(INSTALLED) lint
	$(BIN)/pytest

soak: $(INSTALLED)
	$(BIN)/pytest -m soak

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(INSTALLED): setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info
