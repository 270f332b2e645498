"""The answer of a comparison in sentences: what changes, in impressions."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from moderation.policy.tools.diff import NONE, VERDICTS, Difference
from moderation.policy.tools.heaviest import Weight

_DOES: Final = {"allow": "allowed", "review": "sent to review", "block": "blocked", NONE: "without a decision"}


class Change(NamedTuple):
    """One verdict before and after; shares are of everything decided on that side."""

    verdict: str
    before: Weight
    after: Weight
    share_before: float
    share_after: float

    @property
    def impressions(self) -> int:
        return self.after.impressions - self.before.impressions

    @property
    def events(self) -> int:
        return self.after.events - self.before.events

    @property
    def points(self) -> float:
        """Change of the share, in percentage points."""
        return (self.share_after - self.share_before) * 100


def counts_impressions(found: Difference) -> bool:
    """Whether the recording says impressions at all; else events are counted."""
    return found.decided.impressions > 0


def changes(found: Difference, client: str | None = None) -> list[Change]:
    """Totals and shares per verdict, before and after; `none` only where it occurs."""
    before, after = found.side(0, client), found.side(1, client)
    of_before, of_after = (_whole(found, side.values()) for side in (before, after))
    return [
        Change(
            verdict,
            before[verdict],
            after[verdict],
            _amount(found, before[verdict]) / of_before,
            _amount(found, after[verdict]) / of_after,
        )
        for verdict in VERDICTS
        if verdict != NONE or before[verdict].events or after[verdict].events
    ]


def headline(found: Difference) -> str:
    """`Of 1,000 impressions 30 (3.0%) get another verdict: 20 more are blocked, 10 fewer are allowed.`"""
    unit = "impressions" if counts_impressions(found) else "events"
    whole, flipped = _amount(found, found.decided), _amount(found, found.flipped)
    if not found.flipped.events:
        return f"No verdict changes on {whole:,} {unit}."
    sentence = f"Of {whole:,} {unit}, {flipped:,} ({_percent(flipped, whole)}) get another verdict"
    parts = list(_net(found))
    return f"{sentence}: {', '.join(parts)}." if parts else f"{sentence}; the totals stay the same."


def per_day(found: Difference) -> str:
    """The same for one day, where the recording is long enough."""
    if not found.days:
        return ""
    unit = "impressions" if counts_impressions(found) else "events"
    flipped = _amount(found, found.flipped) / found.days
    return f"The recording covers {found.days:.1f} days: {flipped:,.0f} {unit} change a day."


def _net(found: Difference) -> Iterator[str]:
    for change in reversed(changes(found)):
        amount = change.impressions if counts_impressions(found) else change.events
        if amount:
            yield f"{abs(amount):,} {'more' if amount > 0 else 'fewer'} are {_DOES[change.verdict]}"


def _amount(found: Difference, weight: Weight) -> int:
    return weight.impressions if counts_impressions(found) else weight.events


def _whole(found: Difference, weights: Iterable[Weight]) -> int:
    return sum(_amount(found, weight) for weight in weights) or 1


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"
