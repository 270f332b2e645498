"""A folder with two clients of which one belongs to a house, a recording, and golden texts."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.policy_tools.recordings import recording, write_labels, write_scores

HERE = Path(__file__).parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: policies/, candidate.yaml, scores.jsonl.gz, labels.csv."""
    shutil.copytree(HERE / "policies", tmp_path / "policies")
    shutil.copy(HERE / "candidate.yaml", tmp_path)
    events, labels = recording()
    write_scores(tmp_path / "scores.jsonl.gz", events)
    write_labels(tmp_path / "labels.csv", labels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare with a golden text; `UPDATE_GOLDEN=1` writes it anew: read the difference before committing."""

    def compare(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text, "utf-8")
        assert text == path.read_text("utf-8")

    return compare
