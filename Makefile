# Everything a newcomer needs: `make run`. Each target sets up what it uses, and only when a lock has changed.

VENV := .venv
BIN := $(VENV)/bin
SBOM := sbom.json
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The first of these that is 3.11 or newer; `make PYTHON=/path/to/python3.12 run` decides otherwise
PYTHONS := $(if $(PYTHON),$(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help run demo test bench chaos attack screenshots map lint sbom audit lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/installed ## the whole pipeline, on embedded Valkey and Postgres unless REDIS_URL and DATABASE_URL are set
	@exec $(BIN)/neverdrop up

demo: $(VENV)/installed ## traffic, a killed worker, and a table of what became of every event
	@exec $(BIN)/neverdrop demo

# Bytecode is kept where the environment says otherwise: each process that a test starts would compile the code anew
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/installed-dev $(VENV)-supply/installed ## unit, integration, acceptance and browser tests (those without a Chromium are skipped)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

bench: $(VENV)/installed-bench ## side by side with other ways to receive webhooks; BENCH="--quick" and other options
	@exec $(BIN)/python -m bench $(BENCH)

chaos: $(VENV)/installed-dev ## load and faults for 15 minutes, then every promise judged; CHAOS="--seed 8" and other options
	@exec $(BIN)/python -m tests.chaos $(CHAOS)

attack: $(VENV)/installed-dev ## every attack at once on a web process for 10 minutes; ATTACK="--seconds 60" and other options
	@exec $(BIN)/python -m tests.hostile $(ATTACK)

screenshots: $(VENV)/installed-dev ## the pictures of Flower's pages in docs/images, with made-up data; needs Chromium
	@exec $(BIN)/python -m tests.browser.screenshots docs/images

map: $(VENV)/installed-dev ## draw the packages and their arrows in docs/architecture.md anew
	@exec $(BIN)/python -m tests.architecture_map docs/architecture.md

lint: $(VENV)/installed-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

sbom: $(VENV)-supply/installed ## what is installed in production, as a CycloneDX file: sbom.json; SBOM=another/name.json
	$(VENV)-supply/bin/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml --mc-type application \
		--of JSON -o $(SBOM) requirements.lock

audit: $(VENV)-supply/installed ## the locks against known vulnerabilities; asks pypi.org, so it needs a network
	$(VENV)-supply/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock -r requirements-dev.lock

lock: $(VENV)/created ## make requirements*.lock anew from pyproject.toml, with the newest versions
	$(PIP) install --quiet --upgrade uv
	$(COMPILE) --upgrade --group build pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --group build --group dev --constraints requirements.lock pyproject.toml -o requirements-dev.lock
	$(COMPILE) --upgrade --group bench --constraints requirements-dev.lock pyproject.toml -o requirements-bench.lock
	$(COMPILE) --upgrade --group supply -o requirements-supply.lock

clean: ## remove the environment and all caches; the data in .neverdrop stays
	rm -rf $(VENV) $(VENV)-supply sbom.json build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last, so that a set-up that broke off is done again.

$(VENV)/created:
	@python=; for candidate in $(PYTHONS); do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			python=$$candidate; break; fi; done; \
	if [ -z "$$python" ]; then \
		echo "Neverdrop needs Python 3.11 or newer, and none of these is: $(PYTHONS)." >&2; \
		echo "Install one, or name yours: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python cannot make virtual environments: on Debian or Ubuntu, apt-get install python3-venv." >&2; \
		exit 1; fi; \
	rm -rf $(VENV) && "$$python" -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created requirements.lock pyproject.toml
	@echo "Installing requirements.lock"
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock
	@echo "Installing requirements-dev.lock"
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)-supply/installed: $(VENV)/created requirements-supply.lock
	@$(BIN)/python -m venv $(VENV)-supply
	@echo "Installing requirements-supply.lock"
	@$(VENV)-supply/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements-supply.lock
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed requirements-bench.lock
	@echo "Installing requirements-bench.lock"
	@$(PIP) install --quiet --require-hashes -r requirements-bench.lock
	@touch $@
