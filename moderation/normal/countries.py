"""Countries as compared: ISO 3166-1 alpha-2. The only import of `iso3166`."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import iso3166

from moderation.normal.result import Incomparable, Normal
from moderation.normal.text import CACHED, one_width, unquoted, visible

_ALIASES: Final = {"UK": "GB", "EL": "GR"}
"""Codes that the European Union uses for two countries, and that have no other use."""
_LONGEST: Final = 16


def country(text: str) -> Normal:
    """Alpha-2 of alpha-2 or alpha-3 in any case.

    Reserved, withdrawn and invented codes (EU, AP, ZZ, A1, T1) name no country, and neither do numbers.
    """
    return _country(text) if len(text) <= _LONGEST else _unknown(text)


@lru_cache(maxsize=CACHED)
def _country(text: str) -> Normal:
    code = unquoted(one_width(visible(text))).strip().upper()
    if not code or code in iso3166.countries_by_alpha2:
        return code
    if alias := _ALIASES.get(code):
        return alias
    entry = iso3166.countries_by_alpha3.get(code)
    return entry.alpha2 if entry else _unknown(text)


def _unknown(text: str) -> Incomparable:
    return Incomparable.of(text, "names no country")


def is_alpha2(code: str) -> bool:
    return code in iso3166.countries_by_alpha2


class ListedCountry(NamedTuple):
    """One entry of ISO 3166-1, by all that people may call it."""

    alpha2: str
    alpha3: str
    numeric: str
    names: tuple[str, ...]


def listed_countries() -> Iterator[ListedCountry]:
    for each in iso3166.countries:
        yield ListedCountry(each.alpha2, each.alpha3, each.numeric, (each.name, each.apolitical_name))
