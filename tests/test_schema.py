"""The published schemas and field tables say what the code says."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from moderation.events import ImageEvent, Reject, ScoredEvent, Status, Surface
from stream.cli.schema import CONTRACTS, field_table, schema, schema_text, with_tables
from tests.evidence import image_evidence

ROOT = Path(__file__).parent.parent
APP = typer.Typer()
APP.command()(schema)


@pytest.mark.parametrize("name", list(CONTRACTS))
def test_the_committed_schema_is_fresh(name: str) -> None:
    committed = (ROOT / f"docs/schema/{name}.schema.json").read_text("utf-8")
    assert committed == schema_text(CONTRACTS[name]), "run `adjudicate schema` and commit the result"


def test_the_field_tables_of_the_events_page_are_fresh() -> None:
    page = (ROOT / "docs/events.md").read_text("utf-8")
    assert page == with_tables(page), "run `adjudicate schema` and commit the result"


@pytest.mark.parametrize("name", list(CONTRACTS))
def test_every_field_of_every_contract_is_in_its_table(name: str) -> None:
    table = field_table(CONTRACTS[name])
    for field in CONTRACTS[name].model_fields:
        assert f"| `{field}` |" in table


def test_each_schema_is_a_valid_schema() -> None:
    for model in CONTRACTS.values():
        Draft202012Validator.check_schema(json.loads(schema_text(model)))


def test_what_the_code_writes_conforms_to_the_published_schema() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    known = (image_evidence({"adult": 0.5}),)
    scored = ScoredEvent(event_id="e", surface=Surface.PAGE, status=Status.OK, evidence=known, scored_at=now)
    reject = Reject(
        topic="t", partition=0, offset=1, stage="score", reason="not_json", detail="", original_base64="",
        original_size=0, rejected_at=now,
    )  # fmt: skip
    for name, written in (("scored_event", scored), ("reject", reject)):
        published = json.loads((ROOT / f"docs/schema/{name}.schema.json").read_text("utf-8"))
        Draft202012Validator(published).validate(json.loads(written.model_dump_json()))


def test_the_example_of_the_page_is_a_valid_event() -> None:
    example = (ROOT / "docs/events.md").read_text("utf-8").partition("```json\n")[2].partition("```")[0]
    event = ImageEvent.model_validate_json(example)
    assert event.clients == ("acme",)


def test_check_tells_a_stale_file_and_writes_nothing(tmp_path: Path) -> None:
    page = tmp_path / "events.md"
    page.write_text((ROOT / "docs/events.md").read_text("utf-8"), "utf-8")
    arguments = ["--out", str(tmp_path), "--page", str(page)]
    stale = CliRunner().invoke(APP, [*arguments, "--check"])
    assert stale.exit_code == 1
    assert "stale" in stale.output
    assert not list(tmp_path.glob("*.json"))
    assert CliRunner().invoke(APP, arguments).exit_code == 0
    assert CliRunner().invoke(APP, [*arguments, "--check"]).exit_code == 0


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="no section"):
        with_tables("# nothing here\n")
