"""From a catalogue file to a `LabelCatalogue`: strictly, with every mistake at its place."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from moderation.documents.mistakes import Mistake, count, nearest, render
from moderation.documents.source import NodePath, Source, parse, read
from moderation.errors import ConfigurationError
from moderation.events import Surface
from moderation.labels.catalogue import TIERS, Cut, Label, LabelCatalogue, LabelTerms
from moderation.labels.file_schema import AdtechRow, CatalogueFile, Entry, TermsRow

SHIPPED: Final = "brand_safety.yaml"


class CatalogueMistakes(ConfigurationError):
    """A label catalogue that cannot be used; `mistakes` holds every mistake of the file."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        lines = [f"{count(len(self.mistakes), 'mistake')} in the label catalogue", *map(str, self.mistakes)]
        super().__init__("\n".join(lines))

    def explained(self) -> str:
        return f"{count(len(self.mistakes), 'mistake')} in the label catalogue\n\n{render(self.mistakes)}"


def read_catalogue(path: Path) -> LabelCatalogue:
    """The catalogue of a file. Raises CatalogueMistakes with every mistake."""
    return _catalogue(read(path, str(path)))


@cache
def shipped_catalogue() -> LabelCatalogue:
    """The catalogue that comes with the project."""
    text = files("moderation.labels").joinpath(SHIPPED).read_text("utf-8")
    return _catalogue(parse(text, f"moderation/labels/{SHIPPED}"))


def _catalogue(source: Source) -> LabelCatalogue:
    written = _validated(source)
    if written is not None:
        for name, entry in written.labels.items():
            _check_parent(source, name, written.labels)
            _check_tiers(source, name, entry)
            _check_sources(source, name, entry)
    if source.mistakes or written is None:
        raise CatalogueMistakes(source.mistakes)
    labels = tuple(_label(name, entry) for name, entry in written.labels.items())
    return LabelCatalogue(written.catalogue, written.version, written.suitability_version, labels, source.file)


def _validated(source: Source) -> CatalogueFile | None:
    if not isinstance(source.value, dict):
        if not source.mistakes:
            source.add((), "this is not a label catalogue", "`catalogue:`, `version:` and `labels:`")
        return None
    try:
        return CatalogueFile.model_validate(source.value)
    except ValidationError as error:
        for violation in error.errors(include_url=False):
            _note(source, violation)
        return None


def _note(source: Source, violation: Mapping[str, Any]) -> None:
    at_key = violation["loc"][-1:] == ("[key]",)
    path: NodePath = tuple(violation["loc"][:-1] if at_key else violation["loc"])
    if violation["type"] == "missing":
        source.add(path[:-1], f"'{path[-1]}' is missing", _MISSING.get(str(path[-1]), "a value"))
    elif violation["type"] == "extra_forbidden":
        known = tuple(Entry.model_fields) if path[:1] == ("labels",) else tuple(CatalogueFile.model_fields)
        source.add(path, f"unknown key '{path[-1]}'", "", nearest(str(path[-1]), known), key=True)
    else:
        source.add(path, violation["msg"].removeprefix("Value error, "), key=at_key)


_MISSING: Final = {
    "adtech": "ids by surface, or `adtech: {}` where ad-tech has no word for it",
    "description": "one line for people",
    "labels": "at least one label",
}


def _check_parent(source: Source, name: str, labels: Mapping[str, Entry]) -> None:
    parent = name.rpartition(".")[0]
    if not parent:
        return
    above = list(labels)[: list(labels).index(name)]
    if parent not in above:
        problem = f"{name} is a part of {parent}, which does not stand above it"
        source.add(("labels", name), problem, f"an entry `{parent}` before its parts", nearest(parent, above), key=True)


def _check_tiers(source: Source, name: str, entry: Entry) -> None:
    """Every tier for a top label, or none on purpose."""
    path: NodePath = ("labels", name, "suitability")
    if "." in name:
        if entry.suitability is not None:
            source.add(path, f"{name} is a part: tiers are set on {name.partition('.')[0]}", hint="remove it", key=True)
        return
    rows = entry.suitability
    if rows is None:
        hint = "write `suitability: {}` if no tier covers this label"
        source.add(path[:-1], f"{name} has no tier rows", f"suitability for {', '.join(TIERS)}", hint, key=True)
        return
    for tier in TIERS if rows else ():
        if tier not in rows:
            source.add(path, f"{name} has no row for the tier {tier}", "review and block for every tier", key=True)
    for tier, row in rows.items():
        if tier not in TIERS:
            source.add((*path, tier), f"unknown tier '{tier}'", f"one of {', '.join(TIERS)}", nearest(tier, TIERS))
        elif row.review > row.block:
            source.add((*path, tier), f"review {row.review:g} is above block {row.block:g}", "review at or below block")


def _check_sources(source: Source, name: str, entry: Entry) -> None:
    if len(set(entry.sources)) != len(entry.sources):
        source.add(("labels", name, "sources"), "a source stands twice", "each source once")


def _label(name: str, entry: Entry) -> Label:
    return Label(
        name=name,
        state=entry.state,
        kind=entry.kind,
        sources=entry.sources,
        joining=entry.join,
        description=entry.description,
        tiers={tier: Cut(row.review, row.block) for tier, row in (entry.suitability or {}).items()},
        terms=_terms(entry.adtech),
    )


def _terms(row: AdtechRow) -> Mapping[Surface, LabelTerms]:
    def terms(on: TermsRow) -> LabelTerms:
        return LabelTerms(on.cat, on.risk, on.attr, on.loss)

    return {Surface.CREATIVE: terms(row.creative), Surface.PAGE: terms(row.page)}
