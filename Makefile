# Thin on purpose: each target is one command. `make demo` is the place to begin.
PYTHON ?= python3
MINUTES ?= 20
RUNS ?= 300
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --constraint requirements.lock

.PHONY: setup demo test check bench faults malformed soak repeat clean system-demo system-test
.SECONDARY: # A stamp is kept: it says what is installed.
.NOTPARALLEL: # What the system lacks is named before anything else starts.

demo: system-demo .venv/sandbox.stamp ## A real Kafka, Triton and both stages over sample images
	$(BIN)/adjudicate demo $(ARGS)

setup: system-test .venv/dev.stamp ## Everything that tests, checks and benchmarks need

setup-%: .venv/%.stamp ## One extra of pyproject.toml: train, evaluate, text, sandbox
	@echo "The extra '$*' is installed in .venv."

test: setup ## Every test, with real servers
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: setup ## Lint, format and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: setup ## Every benchmark, each against a limit or a peer in the same run
	$(BIN)/python -m benchmarks $(ARGS)

faults: setup ## Every fault, not only the part that `make test` runs
	$(BIN)/pytest tests/faults --all-faults $(ARGS)

malformed: setup ## Ten thousand of everything that is malformed, through brokers and workers too
	ADJUDICATE_TEST_MALFORMED=10000 $(BIN)/pytest --all-faults -k malformed \
		tests/faults tests/test_malformed.py tests/test_images_fuzz.py $(ARGS)

soak: setup ## Random faults for MINUTES, then as long beside busy loops, each with the checker's verdict
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(ARGS)
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --hogs 2 --recover-within 60 --out soak-out/starved $(ARGS)

repeat: setup ## The delivery test RUNS times beside load, every run kept
	$(BIN)/python -m tests.faults.repeat --runs $(RUNS) $(ARGS)

clean: ## Forget the environment and what the sandbox fetched
	rm -rf .venv .sandbox demo-out

system-demo system-test: system-%: ## Java, Maven, Redis and the rest: installed as root on Debian, else named
	@PYTHON=$(PYTHON) tools/system-packages.sh $*

.venv/uv.stamp:
	$(PYTHON) -m venv .venv && $(BIN)/pip install --quiet uv==0.13.9 && touch $@

.venv/%.stamp: pyproject.toml requirements.lock | .venv/uv.stamp
	$(UV) --editable '.[$*]' && touch $@
