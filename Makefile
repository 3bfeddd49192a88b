# make demo   train, evaluate and export on the embedded digits
# make test   lint, types, tests
# make docs   the site: notebooks executed, warnings are errors, links checked
# make soak   the tests that take minutes
# All install into .venv first. PYTHON chooses the interpreter (3.10 to 3.13).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO_DIR := runs/digits

.PHONY: demo test docs soak lint clean

demo: $(INSTALLED)
	$(BIN)/python run_dvae.py --log_dir=$(DEMO_DIR)
	@echo
	@echo "Look at $(DEMO_DIR)/samples.png (left: samples, right: test images);"
	@echo "for the curves: $(BIN)/tensorboard --logdir $(DEMO_DIR), and open http://localhost:6006"

test: $(INSTALLED) lint
	$(BIN)/pytest -n 2 --dist=loadfile --no-loadscope-reorder

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -q -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python docs/links.py
	@echo "The site is docs/_build/html/index.html"

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

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) runs build docs/_build *.egg-info
