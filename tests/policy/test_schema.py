"""The published JSON Schema, and the pages that explain the language, say what the code does."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from moderation.documents.source import MAX_BYTES, read
from moderation.policy import examine_text, load
from moderation.policy.language.expressions import FIELDS
from moderation.policy.language.schema import PolicyFile, json_schema
from tests.catalogue import CATALOGUE, TIERS, cut

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "schema" / "policy.schema.json"
PAGE = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")


def written(path: Path) -> Any:
    """As an editor reads it: dates stay text."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))


def test_the_published_schema_is_up_to_date() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema(CATALOGUE), (
        "run `adjudicate schema` and commit the result"
    )


@pytest.mark.parametrize("path", [p for p in (ROOT / "policies").glob("*.yaml") if ".cases" not in p.name], ids=str)
def test_the_example_policies_fit_the_published_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema(CATALOGUE)).validate(written(path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"client": "a", "thresholds": {"violence": {"block": 80}}},
        {"client": "a", "thresholds": {"violense": {"block": 0.8}}},
        {"client": "a", "on_error": "ignore"},
        {"client": "a", "on_eror": "block"},
        {"client": "a", "suitability": "lo"},
    ],
)
def test_what_the_loader_refuses_an_editor_refuses(wrong: dict[str, Any]) -> None:
    assert examine_text({"a.yaml": json.dumps(wrong)}, Path()).mistakes
    assert not jsonschema.Draft202012Validator(json_schema(CATALOGUE)).is_valid(wrong)


def test_the_example_policies_load() -> None:
    assert load(ROOT / "policies").clients == ("family-brand", "game-advertiser", "news-publisher")


@pytest.mark.parametrize("name", [info.alias or name for name, info in PolicyFile.model_fields.items()])
def test_every_key_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_an_expression_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("tier", TIERS)
def test_the_page_publishes_the_table_of_tiers(tier: str) -> None:
    limits = [getattr(cut(label, tier), verdict) for label, verdict in COLUMNS]
    cells = [f"{limit:.2f}" if limit <= 1 else "never" for limit in limits]
    assert f"| `{tier}` | {' | '.join(cells)} |" in PAGE


COLUMNS = [(label, verdict) for label in ("violence", "adult", "political") for verdict in ("review", "block")]


def test_a_file_over_one_megabyte_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text("client: acme\n#" + "x" * MAX_BYTES)
    source = read(path, "acme.yaml")
    assert [m.problem for m in source.mistakes] == ["the file is over 1 MB"]
    assert source.text == ""


def test_numbers_keep_the_digits_they_were_written_with() -> None:
    text = "client: 007\nversion: 1.10\nlists: {block: {crid: [1e3, 0012]}}"
    examination = examine_text({"a.yaml": text}, Path())
    assert not examination.mistakes
    (policy,) = examination.policies
    assert (policy.client, policy.version, policy.lists[0].entries) == ("007", "1.10", ("1e3", "0012"))
