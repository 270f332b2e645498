"""What the dates of a policy mean: ends of days, time zones, clock changes."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from moderation.events import Verdict
from moderation.policy import PolicySet
from moderation.policy.language.moments import instant
from moderation.policy.tools.explain import explain
from tests.policy.making import decide, event, loaded

TICK = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "zone", "last"),
    [
        ("2026-11-25", None, "2026-11-25T23:59:59.999999"),
        ("2026-11-25T23:59Z", None, "2026-11-25T23:59:59.999999"),
        ("2026-11-25T23:59:59Z", None, "2026-11-25T23:59:59.999999"),
        ("2026-11-25 23:59:59+01:00", None, "2026-11-25T22:59:59.999999"),
        ("2026-11-25T23:59:59.9Z", None, "2026-11-25T23:59:59.999999"),
        ("2026-11-25T23:59:59.999Z", None, "2026-11-25T23:59:59.999999"),
        ("2026-11-25T23:59:59,999Z", None, "2026-11-25T23:59:59.999999"),
        ("2026-11-25T23:59:59.999999Z", None, "2026-11-25T23:59:59.999999"),
        ("2026-11-25T23:59:59.500Z", None, "2026-11-25T23:59:59.500999"),
        ("2026-11-25T23:59:59.999999999Z", None, "2026-11-25T23:59:59.999999"),
        ("9999-12-31", None, "9999-12-31T23:59:59.999999"),
        ("9999-12-31", "America/New_York", "9999-12-31T23:59:59.999999"),
        ("9999-12-31", "Asia/Tokyo", "9999-12-31T23:59:59.999999"),
        ("9999-12-31T23:59:59", "America/New_York", "9999-12-31T23:59:59.999999"),
        ("9999-12-31T23:59:59-08:00", None, "9999-12-31T23:59:59.999999"),
        ("2026-11-25", "Europe/Berlin", "2026-11-25T22:59:59.999999"),
        ("2026-11-25T23:59", "America/New_York", "2026-11-26T04:59:59.999999"),
        ("2026-11-25T23:59:59Z", "America/New_York", "2026-11-25T23:59:59.999999"),
    ],
)
def test_an_end_includes_its_smallest_unit(written: str, zone: str | None, last: str) -> None:
    assert instant(written, zone, end=True) == utc(last)


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("written", ["0001-01-01", "0001-01-01T00:00:00+09:00", "9999-12-31", "9999-12-31T23:59:59Z"])
def test_the_ends_of_the_calendar_are_dates(written: str, zone: str | None) -> None:
    assert instant(written, zone, end=False) <= instant(written, zone, end=True)


@pytest.mark.parametrize(
    ("day", "zone", "first", "hours"),
    [
        ("2027-03-28", "Europe/Berlin", "2027-03-27T23:00", 23),
        ("2027-10-31", "Europe/Berlin", "2027-10-30T22:00", 25),
        ("2027-03-14", "America/New_York", "2027-03-14T05:00", 23),
        ("2026-11-01", "America/New_York", "2026-11-01T04:00", 25),
        ("2026-10-04", "Australia/Lord_Howe", "2026-10-03T13:30", 23.5),
        # Clocks skip midnight: the day begins at one o'clock, which is the change itself.
        ("2024-03-31", "Asia/Beirut", "2024-03-30T22:00", 23),
        # Clocks show midnight twice: the day begins at the first.
        ("2024-11-03", "America/Havana", "2024-11-03T04:00", 25),
        # A whole day that the calendar skipped.
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00", 0),
        ("2026-06-01", "Asia/Kathmandu", "2026-05-31T18:15", 24),
        ("2026-06-01", None, "2026-06-01T00:00", 24),
    ],
)
def test_a_day_is_as_long_as_its_clock_says(day: str, zone: str | None, first: str, hours: float) -> None:
    start, end = (instant(day, zone, end=is_end) for is_end in (False, True))
    assert start == utc(first)
    assert end - start + TICK == timedelta(hours=hours)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Beirut", "America/Havana"])
def test_days_adjoin_through_a_whole_year(zone: str) -> None:
    days = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(366)]
    for before, after in itertools.pairwise(f"{day:%Y-%m-%d}" for day in days):
        assert instant(before, zone, end=True) + TICK == instant(after, zone, end=False)


@pytest.mark.parametrize(
    ("written", "is_end", "expected"),
    [
        ("2027-10-31T02:30:00", False, "2027-10-31T00:30:00"),
        ("2027-10-31T02:30:00", True, "2027-10-31T01:30:00.999999"),
        ("2027-03-28T02:30:00", False, "2027-03-28T00:30:00"),
        ("2027-03-28T02:30:00", True, "2027-03-28T01:30:00.999999"),
        ("2027-03-28T02:30:00+01:00", False, "2027-03-28T01:30:00"),
    ],
)
def test_a_doubled_or_skipped_time_makes_the_window_longer(written: str, is_end: bool, expected: str) -> None:
    assert instant(written, "Europe/Berlin", end=is_end) == utc(expected)


@pytest.mark.parametrize("text", ["2026-11-25T10:00:00", "20261125", "2026-11-25T10", "2026-W48-3", "tomorrow"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        instant(text, None, end=False)


POLITICAL: dict[str, Any] = {"context": {"country": "DE", "declared_political": True}}


def blackouts(tmp_path: Path, *windows: str) -> PolicySet:
    lines = "".join(f'    w{n}: {{countries: ["DE"], {window}}}\n' for n, window in enumerate(windows))
    return loaded(tmp_path, acme=f"client: acme\npolitical:\n  threshold: 0.6\n  blackouts:\n{lines}")


@pytest.mark.parametrize("until", ["2026-11-25", '"2026-11-25T23:59:59Z"', '"2026-11-25T23:59Z"'])
@pytest.mark.parametrize("now", ["23:59:58.999", "23:59:59", "23:59:59.000001", "23:59:59.500", "23:59:59.999999"])
def test_adjoining_blackouts_leave_no_gap(tmp_path: Path, until: str, now: str) -> None:
    policies = blackouts(tmp_path, f"from: 2026-11-01, until: {until}", "from: 2026-11-26, until: 2026-11-30")
    assert decide(policies, now=utc(f"2026-11-25T{now}"), **POLITICAL).verdict is Verdict.BLOCK
    assert decide(policies, now=utc("2026-11-26T00:00"), **POLITICAL).verdict is Verdict.BLOCK
    assert decide(policies, now=utc("2026-12-01T00:00"), **POLITICAL).verdict is Verdict.ALLOW


def test_a_policy_is_valid_to_the_last_instant_of_its_last_day(tmp_path: Path) -> None:
    policies = loaded(tmp_path, acme="client: acme\nvalid_until: 2026-11-25\n")
    assert decide(policies, now=utc("2026-11-25T23:59:59.999999")).verdict is Verdict.ALLOW
    assert decide(policies, now=utc("2026-11-26T00:00")).reasons[0].rule == "on_expired.policy"


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ("2027-04-08T21:59:59.999", "allow"),
        ("2027-04-08T22:00", "block"),
        ("2027-04-11T21:59:59.999", "block"),
        ("2027-04-11T22:00", "allow"),
    ],
)
def test_a_blackout_begins_and_ends_by_the_clock_of_its_zone(tmp_path: Path, now: str, verdict: str) -> None:
    policies = blackouts(tmp_path, "from: 2027-04-09, until: 2027-04-11, time_zone: Europe/Paris")
    assert decide(policies, now=utc(now), **POLITICAL).verdict == verdict


@pytest.mark.parametrize(("zone", "named"), [(", time_zone: Europe/Paris", "Europe/Paris"), ("", "UTC")])
def test_the_zone_is_named_wherever_the_dates_are(tmp_path: Path, zone: str, named: str) -> None:
    policies = blackouts(tmp_path, f"from: 2027-04-09, until: 2027-04-11{zone}")
    dates = f"2027-04-09 to 2027-04-11 ({named})"
    reason = decide(policies, now=utc("2027-04-10"), **POLITICAL).reasons[0]
    assert reason.detail == f"no political images in DE from {dates}"
    policy = policies.policies[0]
    shown = {path: value for path, value, _ in policy.printable()}
    assert shown["political.blackouts.w0.time_zone"] == named
    assert shown["political.blackouts.w0.until"] == "2027-04-11"
    rows = {row.rule: row.detail for row in explain(policies, policy, event(), utc("2026-01-01")).rows}
    assert rows["political.blackouts.w0"] == f"DE, {dates}: not here, or not now"


def test_a_child_inherits_the_zone_of_a_window(tmp_path: Path) -> None:
    window = 'political: {threshold: 0.6, blackouts: {vote: {countries: ["DE"], from: 2027-04-09, until: 2027-04-11'
    policies = loaded(
        tmp_path,
        house=f"organisation: house\n{window}, time_zone: Europe/Paris}}}}}}\n",
        acme=f"client: acme\nextends: house\n{window.replace('04-11', '04-12')}}}}}}}\n",
    )
    (policy,) = policies.policies
    assert policy.settings.political
    assert policy.settings.political.blackouts["vote"].end == utc("2027-04-12T21:59:59.999999")
