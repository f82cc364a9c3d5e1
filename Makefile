# Every target works on a machine that has only Python 3.11 or newer.
PYTHON ?= python3
ENV := .venv
BIN := $(ENV)/bin
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: quickstart test check crash fuzz bench clean postgres browser

quickstart: $(ENV)/installed
	$(BIN)/preferably quickstart

# Side by side by file, a core each; in the order of the folders, as those with few tests are not the short ones.
test: export OMP_NUM_THREADS = 1
test: check postgres browser
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Tests of the store start a PostgreSQL server of their own; where it cannot be installed they are skipped and say so.
# Debian's package would make and start a server for everybody, unless it is told not to.
CLUSTERS := /etc/postgresql-common/createcluster.conf
postgres:
	@command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && { [ -e $(CLUSTERS) ] || { mkdir -p $(dir $(CLUSTERS)) && echo "create_main_cluster = false" > $(CLUSTERS); }; } \
	  && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y postgresql >/dev/null; } \
	|| echo "PostgreSQL is not here and cannot be installed: its tests will be skipped."

# Tests of the labeling app work its pages in a real browser; where it cannot be installed they are skipped and say so.
browser:
	@command -v chromium >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null; } \
	|| echo "Chromium is not here and cannot be installed: its tests will be skipped."

check: $(ENV)/installed-dev
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy

# More than a million broken rows, over all containers. `make test` reads fewer; PREFERABLY_FUZZ_SEED draws others.
fuzz: $(ENV)/installed-dev
	PREFERABLY_FUZZ_ROWS=2000000 timeout 3600 $(BIN)/python -m pytest tests/data/test_mutations.py --durations=0

# Kills, power cuts, full disks and five minutes offline at length (docs/reliability.md); KILLS is how many of the first for each method.
KILLS ?= 200
crash: $(ENV)/installed-dev
	PREFERABLY_KILLS=$(KILLS) PREFERABLY_TASKS=10000 PREFERABLY_OFFLINE=300 $(BIN)/python -m pytest tests/crash tests/labeling/test_kills.py \
	  tests/labeling/test_queue.py tests/browser/test_offline.py -s

bench: $(ENV)/installed-dev
	for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

# PyTorch comes first and by its pinned version, so that a CPU build that the machine offers is taken.
$(ENV)/installed: pyproject.toml constraints.txt
	@echo "Building $(ENV); PyTorch is the largest part and takes a minute or two."
	$(PYTHON) -m venv $(ENV)
	$(BIN)/pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

$(ENV)/installed-dev: $(ENV)/installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(ENV) quickstart .pytest_cache .mypy_cache .ruff_cache .hypothesis
