# make install needs Python 3.11 to 3.13 and a C compiler; everything else is fetched into .venv.
PYTHON ?= python3
VENV := .venv/bin

.PHONY: install run train-digits test test-long adversarial instances check bench bench-long bench-page docs weight paper compare known-issues format clean

install:
	@command -v $(PYTHON) >/dev/null || { echo "install: there is no $(PYTHON): name a Python 3.11 to 3.13, for example \`make install PYTHON=python3.12\`."; exit 1; }
	@$(PYTHON) tools/install.py

run: install
	$(VENV)/python examples/main_job.py

train-digits: install
	$(VENV)/python examples/train_digits.py

# One process per core; `-n 0` in PYTEST_ADDOPTS runs them one after another.
test: install
	$(VENV)/python -m pytest -n auto --dist worksteal

test-long: install
	$(VENV)/python -m pytest -m long

adversarial: install
	$(VENV)/python tests/adversarial.py

# An hour on one core; interrupted, it goes on where it was.
instances: install
	@mkdir -p out
	OMP_NUM_THREADS=1 $(VENV)/python tests/instances_of_data.py --out out/instances.jsonl | tee out/instances.md

check: install
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/python -m pytest -q tests/test_packaging.py

# The slow peers have limits of their own. cvxpy_leximin is one of the peers, asked for without its
# dependencies, which would overwrite CVXPY. The seed of the instances is the date unless SEED says
# another; `make bench-long` takes five of them and ten times the limit of a peer.
BENCHES := linear_margins polyhedral_margins multipliers small_problems waiting paths nonconvex \
	certificates relu lexicographic first_answer overhead
SEED ?= $(shell date -u +%Y%m%d)
BENCH_FLAGS := --seed $(SEED)

bench: install
	@$(VENV)/python -m pip install -q --no-deps --upgrade --target out/bench/peers cvxpy_leximin || echo "bench: cvxpy_leximin could not be fetched; its rows say so."
	@failed=; for name in $(BENCHES); do \
		echo "== benchmarks/$$name.py"; \
		$(VENV)/python benchmarks/$$name.py $(BENCH_FLAGS) || failed="$$failed $$name"; \
	done; $(VENV)/python benchmarks/page.py && test -z "$$failed" || { echo "bench: failed:$$failed"; exit 1; }

# Hours: five seeds, whose spread is printed and stands on the page.
bench-long:
	@$(MAKE) --no-print-directory bench BENCH_FLAGS="--seed $(SEED) --seeds 5 --limit 60"

bench-page: install
	$(VENV)/python benchmarks/page.py

docs: install
	$(VENV)/python docs/build.py

# The tables of docs/install.md, from an environment with nothing but the package.
weight: install
	$(PYTHON) -m venv --clear out/plain
	out/plain/bin/python -m pip install -q .
	$(VENV)/python tools/weight.py out/plain/bin/python
	rm -rf out/plain

paper: install
	$(VENV)/lexmargin paper --out out/paper

# Every solver that can be installed, on the collection, raw and scaled; interrupted, it goes on.
compare: install
	@$(VENV)/python -m pip install -q --no-build-isolation -c constraints.txt -e ".[solvers]" || echo "compare: some solvers could not be fetched; their columns say so."
	@mkdir -p out
	$(VENV)/lexmargin compare --problems collection --solvers convex,baselines,newton,ipopt-casadi --both --time-limit 20 \
		--out out/compare --csv out/compare.csv --html docs/compare-collection.html --cite docs/compare-collection.cff

known-issues: install
	$(VENV)/python -m lexmargin.compare.pages.known_issues

format: install
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

clean:
	rm -rf .venv build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
