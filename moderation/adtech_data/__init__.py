"""Rows of the ad-tech standards that decisions are expressed in, with the file and commit each came from.

`values.tsv` holds facts of the standards and is written by `standards.py`; `rules.tsv` and `politics.tsv` are this
project's mapping of rules and of politics onto them, and the label catalogue (`moderation/labels`) maps labels.
`sources.json` names the files that were read.
"""

import csv
import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

CONTENT, PRODUCT, RISK, LOSS = "content", "product", "risk", "loss"
SENSITIVE: Final = "v9i3On"
"""Parent of the sensitive topics in the Content Taxonomy: the only ones that carry a risk level."""


def rows(name: str) -> list[dict[str, str]]:
    """The rows of `<name>.tsv`, by column name."""
    text = files(__package__).joinpath(f"{name}.tsv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


@cache
def sources() -> dict[str, Any]:
    """`sources.json`: the version of the tables, and per list its title, repository, path and commit."""
    text = files(__package__).joinpath("sources.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def values() -> dict[str, dict[str, dict[str, str]]]:
    """Facts of the standards: list → id → {list, id, parent, name}."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows("values"):
        found.setdefault(row["list"], {})[row["id"]] = row
    return found


def ids(cell: str) -> tuple[str, ...]:
    """A comma separated cell as ids; empty cell, no ids."""
    return tuple(part for part in cell.split(",") if part)
