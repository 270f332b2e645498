"""Every mistake an author can make, with its place and its remedy, against golden text.

`UPDATE_GOLDEN=1 pytest tests/policy/test_golden.py` writes the texts anew; read the difference before you
commit it.
"""

import os
from pathlib import Path

import pytest

from moderation.documents.mistakes import render
from moderation.policy import PolicyMistakes, examine, load

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = sorted(path for path in GOLDEN.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_mistakes_read_as_they_should(folder: Path) -> None:
    text = render(examine(folder).mistakes).replace(f"{folder}/", "")
    golden = folder.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_with_a_mistake_does_not_load(folder: Path) -> None:
    with pytest.raises(PolicyMistakes) as caught:
        load(folder)
    assert caught.value.mistakes == examine(folder).mistakes
    assert str(folder) in str(caught.value)


def test_every_golden_text_has_its_folder() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {folder.name for folder in FOLDERS}


def test_a_caret_stands_under_every_place() -> None:
    for folder in FOLDERS:
        for mistake in examine(folder).mistakes:
            if mistake.line:
                assert mistake.render().splitlines()[2].strip().endswith("^")
                assert mistake.column <= len(mistake.source) + 1
