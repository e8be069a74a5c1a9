# make install needs Python 3.11 to 3.13 and a C compiler; everything else is fetched into .venv.
PYTHON ?= python3
VENV := .venv/bin

.PHONY: install run train-digits test test-long adversarial check bench known-issues format clean

install:
	@command -v $(PYTHON) >/dev/null || { echo "install: there is no $(PYTHON): name a Python 3.11 to 3.13, for example \`make install PYTHON=python3.12\`."; exit 1; }
	@$(PYTHON) tools/install.py

run: install
	$(VENV)/python examples/main_job.py

train-digits: install
	$(VENV)/python examples/train_digits.py

test: install
	$(VENV)/python -m pytest

test-long: install
	$(VENV)/python -m pytest -m long

adversarial: install
	$(VENV)/python tests/adversarial.py

check: install
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/python -m pytest -q tests/test_packaging.py

bench: install
	@for file in benchmarks/*.py; do \
		[ -e "$$file" ] || { echo "bench: benchmarks/ holds no .py file"; exit 1; }; \
		echo "== $$file"; $(VENV)/python "$$file" || exit 1; \
	done

known-issues: install
	$(VENV)/python -m lexmargin.compare.known_issues

format: install
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

clean:
	rm -rf .venv build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
