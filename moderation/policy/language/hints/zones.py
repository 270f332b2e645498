"""Time zones by the city, in other spellings, and by abbreviations."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from moderation.documents.mistakes import nearest

_ABBREVIATIONS: Final[Mapping[str, str]] = {
    "AEST": "Australia/Sydney",
    "BST": "Europe/London",
    "CDT": "America/Chicago",
    "CEST": "Europe/Berlin",
    "EDT": "America/New_York",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MDT": "America/Denver",
    "MESZ": "Europe/Berlin",
    "MEZ": "Europe/Berlin",
    "PDT": "America/Los_Angeles",
    "PST": "America/Los_Angeles",
    "Z": "UTC",
}


def zone_hint(text: str, known: Collection[str]) -> str:
    """`Berlin`, `europe/berlin`, `CEST` → write Europe/Berlin."""
    if not known:
        return "this machine has no time zone database: install the package tzdata"
    if re.fullmatch(r"(?:UTC|GMT)?\s*[+-]\d{1,2}(?::?\d\d)?", text.strip(), re.IGNORECASE):
        return "name a place, e.g. Europe/Berlin: its offset changes with summer time"
    wanted = _key(text)
    spelled = [name for name in known if _key(name) == wanted]
    by_city = [name for name in known if _key(name.rpartition("/")[2]) == wanted]
    meant = next(iter([*spelled, *sorted(by_city, key=len)]), _ABBREVIATIONS.get(text.strip().upper()))
    return f"write {meant}" if meant else nearest(text, known)


def _key(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
