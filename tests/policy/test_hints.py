"""What an author probably meant, one kind of slip at a time; the golden texts hold them in whole messages."""

import pytest

from moderation.labels import TIERS
from moderation.policy.language.hints.countries import country_hint
from moderation.policy.language.hints.dates import date_hint
from moderation.policy.language.hints.labels import label_hint
from moderation.policy.language.hints.lists import list_hint
from moderation.policy.language.hints.numbers import plain_number, probability_hint, split_decimal, whole_number_hint
from moderation.policy.language.hints.words import surface_hint, switch_hint, tier_hint, verdict_hint
from moderation.policy.language.hints.zones import zone_hint
from moderation.policy.language.moments import zone_names

VERDICTS = ("allow", "review", "block")
LABELS = ("violence", "violence.weapon", "violence.fight", "adult", "adult.explicit", "political")


@pytest.mark.parametrize(
    ("text", "number"),
    [("0,40", 0.4), (".4", 0.4), ("40%", 0.4), ("40 %", 0.4), ("'0.4'", 0.4), ("1'000", 1000), ("0.4.0", None),
     ("", None), ("−0,5", -0.5), ("four", None), ("40 % ", 0.4)],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, number: float | None) -> None:
    assert plain_number(text) == number


@pytest.mark.parametrize(
    ("value", "hint"),
    [("0,40", "0.40"), ("40%", "write 0.4"), ("40", "write 0.4"), (40, "write 0.4"), ("0.8", "no quotes"),
     ("80 percent", "write 0.8"), ("off", "write never"), ("-1", ""), (101, ""), ("high", "")],
)  # fmt: skip
def test_a_threshold_that_is_none(value: object, hint: str) -> None:
    assert hint in probability_hint(value) if hint else not probability_hint(value)


def test_a_decimal_comma_inside_braces_is_found_on_its_line() -> None:
    assert split_decimal("  violence: {review: 0,40}", 24) == "write 0.40: decimals take a point"
    assert split_decimal("  violence: {review: 0, block: 1}", 25) == ""


@pytest.mark.parametrize(("text", "hint"), [("30", "write 30"), ("30 days", "write 30"), ("1,5", ""), ("x", "")])
def test_a_whole_number_that_is_a_text(text: str, hint: str) -> None:
    assert hint in whole_number_hint(text) if hint else not whole_number_hint(text)


@pytest.mark.parametrize(
    ("word", "label"),
    [("weapons", "violence.weapon"), ("Weapon", "violence.weapon"), ("violence/weapon", "violence.weapon"),
     ("violence.weapons", "violence.weapon"), ("guns", "violence.weapon"), ("knives", "violence.weapon"),
     ("violence.gun", "violence.weapon"), ("nudity", "adult.explicit"), ("politics", "political"),
     ("POLITICAL", "political"), ("blood", "violence"), ("protests", "political"), ("violense", "violence")],
)  # fmt: skip
def test_a_label_by_another_name(word: str, label: str) -> None:
    assert label_hint(word, LABELS) == f"did you mean '{label}'?"


def test_a_label_that_the_catalogue_does_not_hold_is_not_proposed() -> None:
    assert label_hint("guns", ("adult", "political")) == ""
    assert label_hint("gambling", LABELS) == ""


@pytest.mark.parametrize(
    ("name", "code"),
    [("GERMANY", "DE"), ("germany", "DE"), ("Deutschland", "DE"), ("DEU", "DE"), ("276", "DE"), ("de", "DE"),
     ("United States", "US"), ("U.S.", "US"), ("Great Britain", "GB"), ("EL", "GR"), ("Korea", "KR"), ("Bolivia", "BO"),
     ("Cote d'Ivoire", "CI"), ("Holland", "NL"), ("Iran", "IR"), ("Viet Nam", "VN"), ("Norge", "NO"), ("Sweeden", "SE"),
     ("Moldova", "MD"), ("The Netherlands", "NL")],
)  # fmt: skip
def test_a_country_by_another_name(name: str, code: str) -> None:
    assert code in country_hint(name)


@pytest.mark.parametrize("name", ["Atlantis", "QQ", "QQQ"])
def test_no_country_is_guessed(name: str) -> None:
    assert country_hint(name) == ""


@pytest.mark.parametrize(
    ("text", "hint"),
    [("01.12.2026", "2026-12-01"), ("1.12.26", "2026-12-01"), ("31/12/2026", "2026-12-31"),
     ("12/31/2026", "2026-12-31"), ("01/12/2026", "2026-12-01 or 2026-01-12"), ("2026/12/1", "2026-12-01"),
     ("20261201", "2026-12-01"), ("1 Dec 2026", "2026-12-01"), ("December 1st, 2026", "2026-12-01"),
     ("1. Dezember 2026", "2026-12-01"), ("2026-02-30", "28 days"), ("2026-13-01", "12 months"),
     ("2026-12-01T10:00:00", "2026-12-01T10:00:00Z"), ("2026-12-01 10:00", "2026-12-01T10:00:00Z"),
     ("2026-11-30T24:00:00Z", "write 2026-11-30 for the whole day"), ("soon", ""), ("99.99.2026", "")],
)  # fmt: skip
def test_a_date_in_another_form(text: str, hint: str) -> None:
    assert hint in date_hint(text) if hint else date_hint(text) == ""


@pytest.mark.parametrize(
    ("word", "verdict"),
    [("deny", "block"), ("Reject", "block"), ("BLOCK", "block"), ("approve", "allow"), ("hold", "review"),
     ("flagged", "review"), ("blok", "block")],
)  # fmt: skip
def test_a_verdict_by_another_name(word: str, verdict: str) -> None:
    assert verdict in verdict_hint(word, VERDICTS)


def test_a_verdict_that_may_not_stand_there_is_not_proposed() -> None:
    assert verdict_hint("approve", ("review", "block")) == ""


@pytest.mark.parametrize(
    ("word", "tier"), [("strict", "low"), ("Lax", "floor"), ("normal", "medium"), ("relaxed", "high"), ("LOW", "low")]
)
def test_a_tier_by_another_name(word: str, tier: str) -> None:
    assert f"write {tier}" in tier_hint(word, TIERS)


def test_strict_says_which_tier_is_the_strictest() -> None:
    assert "low is the strictest" in tier_hint("strict", TIERS)


def test_surfaces_and_switches_by_another_name() -> None:
    assert surface_hint("banners", ("creative", "page")) == "write creative"
    assert surface_hint("website", ("creative", "page")) == "write page"
    assert (switch_hint("yes"), switch_hint("OFF"), switch_hint("maybe")) == (
        "write true, without quotes",
        "write false, without quotes",
        "",
    )


@pytest.mark.parametrize(
    ("text", "hint"),
    [("casino.example", "write [casino.example]"), ("a.example; b.example", "write [a.example, b.example]"),
     ("DE", 'write ["DE"]'), ("DE, NO", 'write ["DE", "NO"]'), ("", "")],
)  # fmt: skip
def test_one_value_where_a_list_is_meant(text: str, hint: str) -> None:
    assert list_hint(text) == hint


@pytest.mark.parametrize(
    ("text", "zone"),
    [("Berlin", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin"), ("new york", "America/New_York"),
     ("CEST", "Europe/Berlin"), ("PST", "America/Los_Angeles"), ("+01:00", "name a place"), ("UTC+1", "name a place"),
     ("Europe/Berln", "Europe/Berlin")],
)  # fmt: skip
def test_a_time_zone_by_another_name(text: str, zone: str) -> None:
    assert zone in zone_hint(text, zone_names())


def test_a_machine_without_time_zones_says_what_is_missing() -> None:
    assert "tzdata" in zone_hint("Europe/Berlin", ())
