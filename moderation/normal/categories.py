"""Declared categories as compared, and which of them mean politics.

OpenRTB 2.6: "The taxonomy to be used is defined by the cattax field. If no cattax field is supplied IAB
Content Category Taxonomy 1.0 is assumed." The ids are rows of `moderation/adtech_data`.
"""

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final

from moderation.adtech_data import rows, sources, values
from moderation.normal.result import Incomparable
from moderation.normal.text import CACHED, CACHED_LENGTH, identifier, split
from moderation.sent import SEPARATORS

DEFAULT_CATTAX: Final = 1
AD_PRODUCT_1_0: Final = 3
"""Known to the standard, and without any category for politics."""
CACHED_DECLARATIONS: Final = 1024
_SEPARATORS: Final = re.compile("[" + SEPARATORS.replace(r"\s", "") + "]+")
_CONTENT_1_0: Final = re.compile(r"IAB\s*0*(\d{1,2})(?:\s*[-_.‐‑–—−]\s*0*(\d{1,2}))?", re.IGNORECASE)
_CONTENT_ID: Final = re.compile(r"\d{1,3}|(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9]{6}|[A-Z]{6}")
_SHAPES: Final = {
    1: re.compile(r"IAB\d{1,2}(-\d{1,2})?"),
    3: re.compile(r"\d{1,3}"),
    8: re.compile(r"1\d{3}"),
    **dict.fromkeys((2, 5, 6, 7, 9), _CONTENT_ID),
}
"""What an id of a taxonomy looks like: another shape is an id of another taxonomy."""


def categories(written: Iterable[str]) -> tuple[str, ...]:
    """Ids in the standard's spelling, each once; producers join several by commas."""
    found = (category for value in written for category in _categories(value))
    return tuple(dict.fromkeys(found))


def _categories(value: str) -> tuple[str, ...]:
    return _split(value) if len(value) <= CACHED_LENGTH else _split.__wrapped__(value)


@lru_cache(maxsize=CACHED)
def _split(value: str) -> tuple[str, ...]:
    return tuple(spelled for part in split(value, _SEPARATORS) if (spelled := _spelled(part)))


def _spelled(part: str) -> str:
    clean = identifier(part)
    text = part if isinstance(clean, Incomparable) else clean
    if found := _CONTENT_1_0.fullmatch(text):
        return f"IAB{found[1]}-{found[2]}" if found[2] else f"IAB{found[1]}"
    if text.isascii() and text.isdigit():
        return text.lstrip("0") or "0"
    return _by_letters().get(text.casefold(), text)


@cache
def _by_letters() -> dict[str, str]:
    """Ids with letters, by their letters alone: no two differ in case only."""
    return {key.casefold(): key for known in values().values() for key in known if not key.isdigit()}


@lru_cache(maxsize=CACHED_DECLARATIONS)
def declares_politics(cattax: int | None, declared: tuple[str, ...]) -> bool | Incomparable:
    """Whether one of the categories (as `categories` spells them) means politics in its taxonomy.

    Not comparable: a taxonomy that is not known here, or an id that cannot be one of its taxonomy.
    """
    taxonomy = DEFAULT_CATTAX if cattax is None else cattax
    political = political_categories().get(taxonomy, frozenset())
    if not declared or not political.isdisjoint(declared):
        return bool(declared)
    shape = _SHAPES.get(taxonomy)
    if shape is None:
        return Incomparable.of(str(taxonomy), "names no taxonomy of categories that is known here")
    strange = next((category for category in declared if not shape.fullmatch(category)), None)
    return Incomparable.of(strange, f"is no category where cattax is {_shown(cattax)}") if strange else False


def _shown(cattax: int | None) -> str:
    return f"absent, which means {DEFAULT_CATTAX}" if cattax is None else str(cattax)


@cache
def political_categories() -> dict[int, frozenset[str]]:
    """cattax → categories that mean politics, those below one of them included."""
    found: dict[int, set[str]] = {}
    for row in rows("politics"):
        known = found.setdefault(int(row["cattax"]), set())
        known.add(row["id"])
        if row["below"] == "yes":
            known |= _below(row["list"], row["id"])
    return {cattax: frozenset(known) for cattax, known in found.items()}


def _below(name: str, root: str) -> set[str]:
    found = {key for key, row in values()[name].items() if row["parent"] == root and key != root}
    return found.union(*(_below(name, key) for key in found))


def taxonomy_titles() -> dict[int, str]:
    """cattax → the title of its taxonomy, for the documentation."""
    return {int(row["cattax"]): sources()["lists"][row["list"]]["title"] for row in rows("politics")}
