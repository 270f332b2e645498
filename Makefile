# Thin on purpose: each target is one command. `make demo` is the place to begin.
PYTHON ?= python3
MINUTES ?= 20
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --constraint requirements.lock

.PHONY: setup demo test check bench faults malformed soak clean

demo: .venv/sandbox.stamp ## A real Kafka, Triton and both stages over sample images
	$(BIN)/adjudicate demo $(ARGS)

setup: .venv/dev.stamp ## Everything that tests, checks and benchmarks need

test: .venv/dev.stamp ## Every test, with real servers
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: .venv/dev.stamp ## Lint, format and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: .venv/dev.stamp ## Every benchmark, each against a limit or a peer in the same run
	$(BIN)/python -m benchmarks $(ARGS)

faults: .venv/dev.stamp ## Every fault, not only the part that `make test` runs
	$(BIN)/pytest tests/faults --all-faults $(ARGS)

malformed: .venv/dev.stamp ## Ten thousand of everything that is malformed, through brokers and workers too
	ADJUDICATE_MALFORMED=10000 $(BIN)/pytest --all-faults -k malformed \
		tests/faults tests/test_malformed.py tests/test_images_fuzz.py $(ARGS)

soak: .venv/dev.stamp ## Random faults for MINUTES, then the checker's verdict
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(ARGS)

clean: ## Forget the environment and what the sandbox fetched
	rm -rf .venv .sandbox demo-out

.venv/uv.stamp:
	$(PYTHON) -m venv .venv && $(BIN)/pip install --quiet uv==0.13.9 && touch $@

.venv/%.stamp: pyproject.toml requirements.lock | .venv/uv.stamp
	$(UV) --editable '.[$*]' && touch $@
