"""Write `values.tsv` from the files of the standards, or check it against them.

    python -m moderation.adtech_data.standards CHECKOUTS [--check]

CHECKOUTS holds the repositories that `sources.json` names, each at `<owner>/<name>`, at the commits named
there. Only rows that the mapping uses are kept. Exit status 1: a row differs or is missing.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from moderation.adtech_data import SENSITIVE, ids, rows, sources, values
from moderation.errors import ConfigurationError
from moderation.events import Surface
from moderation.labels import LabelCatalogue, shipped_catalogue

_KEPT = {"content": {SENSITIVE}, "risk": {"MRkz4Q"}}


class Value(NamedTuple):
    id: str
    parent: str
    name: str


def taxonomy_rows(text: str) -> Iterator[Value]:
    """Rows of an IAB taxonomy TSV: unique id, parent, name, tiers; whatever header lines it has.

    The Content Taxonomy 1.0 has a tier in the parent's place: there `IAB11-4` is below `IAB11`.
    """
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) > 2 and re.fullmatch(r"[A-Za-z0-9]{1,8}|IAB\d+-\d+", cells[0]):  # noqa: PLR2004 - id, parent, name
            key, parent, name = cells[:3]
            above = key.rpartition("-")[0] if parent.startswith("Tier ") else parent
            yield Value(key, above, name)


class _Cells(HTMLParser):
    """Collects table cells; a cell that leads with bold text is named by that text alone."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self._bold = ""
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - HTMLParser's signature
        self._inside.append(tag)
        if tag == "td":
            self.cells.append("")
            self._bold = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "td" and self._bold:
            self.cells[-1] = self._bold.strip().rstrip(":")
        while self._inside and self._inside.pop() != tag:
            continue

    def handle_data(self, data: str) -> None:
        if "td" in self._inside:
            self.cells[-1] += data
            if "strong" in self._inside:
                self._bold += data


def list_rows(text: str, anchor: str) -> Iterator[Value]:
    """Rows of one enumeration (two column HTML table) in a specification written in Markdown."""
    _, found, rest = text.partition(f'name="{anchor}"')
    if not found:
        raise ConfigurationError(f"no list named {anchor} in the specification: is it another version?")
    parser = _Cells()
    parser.feed(rest[: rest.find("</table>")])
    for value, name in zip(parser.cells[::2], parser.cells[1::2], strict=False):
        if value.strip().isdigit():
            yield Value(value.strip(), "", " ".join(name.split()).rstrip("."))


def wanted(labels: LabelCatalogue) -> dict[str, set[str]]:
    """List → ids that the mappings use, and their ancestors and neighbours that tests rely on."""
    kept = {name: set(known) for name, known in values().items()}
    for row in rows("politics"):
        kept[row["list"]].add(row["id"])
    for surface, terms in ((surface, terms) for label in labels.labels for surface, terms in label.terms.items()):
        kept["content" if surface is Surface.PAGE else "product"].update(terms.cat)
        kept["risk"].update(ids(terms.risk or ""))
        kept["attr"].update(map(str, terms.attr))
        kept["loss"].update(ids(str(terms.loss or "")))
    for row in rows("rules"):
        kept["loss"].update(ids(row["loss"]))
    return {name: found | _KEPT.get(name, set()) for name, found in kept.items()}


def _standard(checkouts: Path, source: dict[str, Any]) -> dict[str, Value]:
    path = checkouts / source["repository"] / source["path"]
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {error.strerror}; check out {source['repository']} at {source['commit']}"
        ) from error
    found = taxonomy_rows(text) if source["format"] == "tsv" else list_rows(text, source["anchor"])
    return {value.id: value for value in found}


def _below(standard: dict[str, Value], name: str) -> set[str]:
    """Every category below one that means politics: a newer file may have more of them."""
    found = {row["id"] for row in rows("politics") if row["list"] == name and row["below"] == "yes"}
    while more := {value.id for value in standard.values() if value.parent in found} - found:
        found |= more
    return found


def table(checkouts: Path) -> str:
    """The text of `values.tsv` as the standards have it. Raises ConfigurationError naming what is missing."""
    kept = wanted(shipped_catalogue())
    lines = ["list\tid\tparent\tname"]
    for name, source in sources()["lists"].items():
        standard = _standard(checkouts, source)
        used = kept[name] | _below(standard, name)
        if missing := sorted(used - standard.keys()):
            raise ConfigurationError(f"{source['title']} has no id {', '.join(missing)}")
        lines += ["\t".join((name, *value)) for key, value in standard.items() if key in used]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("--check", action="store_true", help="compare only; write nothing")
    options = parser.parse_args(arguments)
    path = Path(str(files(__package__))) / "values.tsv"
    try:
        fresh = table(options.checkouts)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.check:
        return int(fresh != path.read_text("utf-8"))
    path.write_text(fresh, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
