"""Dates as people write them: `01.12.2026`, `12/31/2026`, `1 Dec 2026`."""

import calendar
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Final

_MONTHS: Final = {
    **{name.lower(): number for number, name in enumerate(calendar.month_abbr) if name},
    **dict.fromkeys(("mär", "mrz"), 3),
    "mai": 5,
    "okt": 10,
    "dez": 12,
}
_ISO_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?")
_CENTURY: Final = 100


def date_hint(text: str) -> str:
    """What to write for a text that is no date of the policy language; empty where that is not clear."""
    bare = text.strip()
    if found := _ISO_TIME.fullmatch(bare):
        return _time_hint(found[1], found[2], f"{found[3]}:{found[4] or '00'}")
    if found := _ISO_TIME.match(bare):
        return _midnight_hint(found[1]) if found[2] == "24" else ""
    if found := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", bare):
        return _length_hint(int(found[1]), int(found[2]))
    readings = list(dict.fromkeys(_readings(bare)))
    return "write " + " or ".join(f"{day:%Y-%m-%d}" for day in readings) if readings else ""


def _time_hint(day: str, hour: str, rest: str) -> str:
    if hour == "24":
        return _midnight_hint(day)
    return f"write {day}T{hour}:{rest}Z for UTC, or with an offset such as +01:00"


def _midnight_hint(day: str) -> str:
    """`24:00` ends a day, which is the bare date; the ISO reader begins the next day."""
    with suppress(ValueError):
        after = date.fromisoformat(day) + timedelta(days=1)
        return f"a day ends where the next begins: write {day} for the whole day, or {after:%Y-%m-%d}T00:00:00Z"
    return ""


def _length_hint(year: int, month: int) -> str:
    if 1 <= month <= 12:  # noqa: PLR2004 - months
        return f"{calendar.month_name[month]} {year} has {calendar.monthrange(year, month)[1]} days"
    return "a year has 12 months: YYYY-MM-DD"


def _readings(text: str) -> Iterator[date]:
    """Every day that a text may mean."""
    if found := re.fullmatch(r"(\d{4})[-/.\s]?(\d{1,2})[-/.\s]?(\d{1,2})", text):
        yield from _day(found[1], found[2], found[3])
    elif found := re.fullmatch(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{2}|\d{4})", text):
        yield from _day(found[3], found[2], found[1])
    elif found := re.fullmatch(r"(\d{1,2})[-/](\d{1,2})[-/](\d{2}|\d{4})", text):
        yield from _day(found[3], found[2], found[1])
        yield from _day(found[3], found[1], found[2])
    else:
        yield from _with_month_name(text)


def _with_month_name(text: str) -> Iterator[date]:
    """`1 Dec 2026`, `Dec 1st, 2026`, `1. Dezember 2026`."""
    words = re.findall(r"[^\W\d_]+|\d+", text)
    months = [_MONTHS[word[:3].lower()] for word in words if word[:3].lower() in _MONTHS]
    numbers = [int(word) for word in words if word.isdigit()]
    if len(months) == 1 and len(numbers) == 2:  # noqa: PLR2004 - a day and a year
        yield from _day(str(max(numbers)), str(months[0]), str(min(numbers)))


def _day(year: str, month: str, day: str) -> Iterator[date]:
    full = int(year) + (2000 if int(year) < _CENTURY else 0)
    with suppress(ValueError):
        yield datetime(full, int(month), int(day)).date()  # noqa: DTZ001 - a day, no time
