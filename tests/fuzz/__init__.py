"""Coverage-guided fuzzing, outside the test command: see `tests/fuzz/__main__.py`."""
