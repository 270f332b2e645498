"""Decision records have one form, and the index lists all of them."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_number_status_date_and_its_sections(record: Path) -> None:
    text = record.read_text("utf-8")
    assert text.startswith(f"# {record.stem[:4]}. ")
    assert re.search(r"^- Status: (proposed|accepted|superseded by .+)$", text, re.MULTILINE)
    assert re.search(r"^- Date: \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[:3] == ["Context", "Decision", "Consequences"]


def test_the_index_lists_every_record_by_its_title() -> None:
    index = (FOLDER / "README.md").read_text("utf-8")
    titles = [record.read_text("utf-8").splitlines()[0].removeprefix("# ") for record in RECORDS]
    expected = [f"- [{title}]({record.name})" for title, record in zip(titles, RECORDS, strict=True)]
    assert [line for line in index.splitlines() if line.startswith("- [")] == expected


def test_no_number_stands_twice() -> None:
    numbers = [record.name[:4] for record in RECORDS]
    assert len(numbers) == len(set(numbers))
