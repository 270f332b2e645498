"""Countries by their names, in other codes, and what is no country at all."""

import difflib
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Final

from moderation.normal.countries import listed_countries

_CODE_LENGTH: Final = 3
_NEAR: Final = 0.8
"""Of difflib: Germny is Germany, but Atlantis is nothing."""
_CODES: Final[Mapping[str, str]] = {"UK": "GB", "EL": "GR", "EN": "GB", "SU": "RU", "YU": "RS"}
"""Codes in use that ISO 3166-1 does not assign, and the one that is meant."""
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "AE": ("uae", "emirates"),
    "AT": ("osterreich",),
    "BE": ("belgie", "belgique", "belgien"),
    "BR": ("brasil",),
    "CH": ("schweiz", "suisse", "svizzera"),
    "CI": ("ivory coast",),
    "CZ": ("czech republic", "cesko"),
    "DE": ("deutschland", "allemagne"),
    "DK": ("danmark",),
    "ES": ("espana", "spanien"),
    "FI": ("suomi",),
    "FR": ("frankreich",),
    "GB": ("england", "britain", "great britain", "scotland", "wales", "united kingdom", "uk"),
    "GR": ("hellas", "ellada"),
    "HR": ("hrvatska",),
    "HU": ("magyarorszag",),
    "IT": ("italia", "italien"),
    "JP": ("nippon",),
    "KP": ("north korea",),
    "KR": ("korea", "south korea"),
    "MM": ("burma",),
    "NL": ("holland", "nederland", "niederlande", "the netherlands"),
    "NO": ("norge",),
    "PL": ("polska", "polen"),
    "RU": ("russia",),
    "SE": ("sverige",),
    "SZ": ("swaziland",),
    "TR": ("turkey", "turkiye"),
    "TW": ("taiwan",),
    "US": ("america", "united states", "usa", "u.s.", "u.s.a."),
    "VA": ("vatican",),
}
_NO_COUNTRY: Final[Mapping[str, str]] = {
    "EU": "the European Union is no country: list its countries",
    "XX": "XX stands for no country: leave it out",
    "ZZ": "ZZ stands for no country: leave it out",
    "ALL": "leave the list out to mean every country",
    "*": "leave the list out to mean every country",
    "WORLD": "leave the list out to mean every country",
}


def country_hint(value: str) -> str:
    """`GERMANY`, `deu`, `276`, `UK` → write DE, DE, DE, GB."""
    text = value.strip()
    upper = text.upper()
    if upper in _NO_COUNTRY:
        return _NO_COUNTRY[upper]
    if upper == "UK":
        return "the United Kingdom is GB"
    found = _by_code(upper) or _names().get(_fold(text))
    return f'write "{found}"' if found == "NO" else f"write {found}" if found else _nearest_name(text)


def _by_code(upper: str) -> str | None:
    return _codes().get(upper) or _codes().get(upper.zfill(3)) or _CODES.get(upper)


@cache
def _codes() -> Mapping[str, str]:
    every = [(code, each.alpha2) for each in listed_countries() for code in (each.alpha2, each.alpha3, each.numeric)]
    return dict(every)


@cache
def _names() -> Mapping[str, str]:
    """Every name that means one country, without accents, case, and text after a comma or in brackets."""
    names: dict[str, str] = {}
    for country in listed_countries():
        for name in country.names:
            for short in (name, name.partition(",")[0], name.partition(" (")[0]):
                names.setdefault(_fold(short), country.alpha2)
    return names | {_fold(name): code for code, others in _NAMES.items() for name in others}


def _nearest_name(text: str) -> str:
    """`Germny` → Germany; a code of two letters is near to too many."""
    if len(text) <= _CODE_LENGTH:
        return ""
    near = difflib.get_close_matches(_fold(text), _names(), n=1, cutoff=_NEAR)
    return f"write {_names()[near[0]]}" if near else ""


def _fold(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold().strip()
