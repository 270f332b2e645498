"""Dates of a policy, as written and as instants.

A bare date is a whole day. An end includes the whole of its smallest unit: its day, minute, second or part of a second.
So windows that adjoin leave no gap, whether one ends on `2026-11-25`, at `23:59`, `23:59:59` or `23:59:59.999`.
The calendar's ends stand for always: `9999-12-31` is as late, and `0001-01-01` as early, as an instant can be.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from moderation.policy.language.hints.dates import date_hint
from moderation.policy.language.hints.zones import zone_hint
from moderation.policy.language.refusals import refuse

DEFAULT_ZONE: Final = "UTC"
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?P<second>:\d\d(?:[.,](?P<fraction>\d+))?)?")
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
EXPECTED_DATE: Final = "YYYY-MM-DD, or YYYY-MM-DDTHH:MM:SSZ with a time zone"
EXPECTED_LOCAL: Final = "YYYY-MM-DD, or YYYY-MM-DDTHH:MM:SS in the window's time_zone"


def moment(*, end: bool) -> Callable[[object], datetime]:
    """A reader of dates in UTC or with an offset, for values without a separate time zone."""

    def parse(value: object) -> datetime:
        if isinstance(value, datetime):
            return value
        text = written(value)
        try:
            return instant(text, None, end=end)
        except ValueError:
            raise refuse(f"'{text}' is not a date", EXPECTED_DATE, date_hint(text)) from None

    return parse


def window_date(value: object) -> str:
    """One end of a window, as written: what it means depends on the window's time zone."""
    text = written(value)
    try:
        instant(text, DEFAULT_ZONE, end=False)
    except ValueError:
        raise refuse(f"'{text}' is not a date", EXPECTED_LOCAL, date_hint(text)) from None
    return text


def instant(text: str, zone: str | None, *, end: bool) -> datetime:
    """The first, or as an end the last, instant (UTC) that a date means. Raises ValueError.

    zone: of a bare date (UTC if None) and of a time without offset (refused if None).
    """
    if _DAY.fullmatch(text):
        return _whole_day(date.fromisoformat(text), time_zone(zone or DEFAULT_ZONE), end=end)
    found = datetime.fromisoformat(text)
    clock = _CLOCK.match(text)
    if not clock or (found.tzinfo is None and zone is None):
        raise ValueError("no time, or no time zone")
    if end:
        found += _unit(clock) - timedelta.resolution
    return _utc(found) if found.tzinfo else _on_the_clock(found, time_zone(zone or DEFAULT_ZONE), end=end)


def _unit(clock: "re.Match[str]") -> timedelta:
    """The smallest unit that a time names."""
    if fraction := clock["fraction"]:
        return max(timedelta(seconds=10.0 ** -len(fraction)), timedelta.resolution)
    return timedelta(seconds=1) if clock["second"] else timedelta(minutes=1)


def _utc(moment: datetime) -> datetime:
    """The instant in UTC; a zone's clock reads beyond the calendar for some hours at either end of it."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _FIRST if moment.year == 1 else _LAST


def is_local(text: str) -> bool:
    """Whether a time is written without an offset, so that it needs a time zone."""
    try:
        return bool(_CLOCK.match(text)) and datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False


@cache
def time_zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def zone_name(value: object) -> str:
    """A name of the IANA time zone database, e.g. `Europe/Berlin`."""
    known = zone_names()
    if isinstance(value, str) and value in known:
        return value
    text = written(value)
    raise refuse(f"unknown time zone '{text}'", "an IANA name, e.g. Europe/Berlin", zone_hint(text, known))


@cache
def zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def written(value: object) -> str:
    """A scalar as its author wrote it."""
    return str(getattr(value, "raw", value))


def _whole_day(day: date, zone: ZoneInfo, *, end: bool) -> datetime:
    """From midnight to the last instant before the next one, by the zone's clock.

    Where clocks skip midnight the day begins at the change; where they show it twice, at the first.
    """
    if not end:
        return _utc(datetime.combine(day, time(), zone))
    if day == date.max:
        return _LAST
    return _whole_day(day + timedelta(days=1), zone, end=False) - timedelta.resolution


def _on_the_clock(local: datetime, zone: ZoneInfo, *, end: bool) -> datetime:
    """A time that a clock change doubles or skips has two readings: the one that makes the window longer."""
    readings = [_utc(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1)]
    return max(readings) if end else min(readings)
