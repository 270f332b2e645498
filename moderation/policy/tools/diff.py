"""What a changed policy would change: the same recorded scores decided twice, and what flips."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from moderation.events import Decision, ScoredEvent
from moderation.policy.tools.heaviest import Heaviest, Weight, total
from moderation.policy.tools.recorded import batches
from moderation.policy.tools.showcase import Shown, creative_of, show

NONE: Final = "none"
"""The verdict of a policy without a decision for the event and client."""
NOTHING: Final = "nothing fired"
EXAMPLES: Final = 60
"""How many flipped creatives a report shows."""
VERDICTS: Final = ("allow", "review", "block", NONE)
_ORDER: Final = {verdict: place for place, verdict in enumerate(VERDICTS)}


class Decides(Protocol):
    """What a policy set must do to be compared."""

    def decide(self, events: Sequence[ScoredEvent], now: datetime) -> list[list[Decision]]: ...


class Flip(NamedTuple):
    """One kind of change: whose, from what to what, and the deciding rules on both sides."""

    client: str
    before: str
    after: str
    rule_before: str
    rule_after: str


@dataclass(slots=True)
class Creative:
    """One creative that flips for one client: how often, and its heaviest event for people to look at."""

    flip: Flip
    shown: Shown
    would_pass: str | None
    weight: Weight = field(default_factory=Weight)

    def as_json(self) -> dict[str, Any]:
        return {**self.flip._asdict(), **self.shown.as_json(), "would_pass": self.would_pass, **self.weight.as_json()}


@dataclass(slots=True)
class Campaign:
    """What flips for one client and campaign, by verdict before and after."""

    client: str
    name: str
    flips: dict[tuple[str, str], Weight] = field(default_factory=dict)
    weight: Weight = field(default_factory=Weight)

    def as_json(self) -> dict[str, Any]:
        flips = [{"before": a, "after": b, **weight.as_json()} for (a, b), weight in sorted(self.flips.items())]
        return {"client": self.client, "campaign": self.name, **self.weight.as_json(), "flips": flips}


@dataclass(slots=True)
class Difference:
    """The whole comparison. Counts are kept, not events: memory does not grow with the recording."""

    events: int = 0
    without_impressions: int = 0
    first: datetime | None = None
    last: datetime | None = None
    verdicts: dict[tuple[str, str, str], Weight] = field(default_factory=dict)
    flips: dict[Flip, Weight] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    creatives: Heaviest[tuple[str, str, str, str], Creative] = field(default_factory=Heaviest)
    campaigns: Heaviest[tuple[str, str], Campaign] = field(default_factory=Heaviest)

    @property
    def flipped(self) -> Weight:
        return total(weight for (_, before, after), weight in self.verdicts.items() if before != after)

    @property
    def decided(self) -> Weight:
        return total(self.verdicts.values())

    @property
    def clients(self) -> list[str]:
        return sorted({client for client, _, _ in self.verdicts})

    @property
    def days(self) -> float | None:
        """How long the recording lasted; None where it is too short to speak of days."""
        length = self.last - self.first if self.first and self.last else timedelta()
        return length / timedelta(days=1) if length >= timedelta(days=1) else None

    @property
    def examples(self) -> list[Creative]:
        """The flipped creatives with most impressions, heaviest first."""
        return self.creatives.ranked(EXAMPLES)

    def side(self, place: int, client: str | None = None) -> dict[str, Weight]:
        """What every verdict weighs before (0) or after (1) the change; of one client, or of all."""
        found = {verdict: Weight() for verdict in VERDICTS}
        for (whose, *verdicts), weight in self.verdicts.items():
            if client in {None, whose}:
                found[verdicts[place]] = total((found[verdicts[place]], weight))
        return found

    def moved(self, before: str, after: str) -> Weight:
        """What goes from one verdict to another, over all clients."""
        return total(weight for (_, a, b), weight in self.verdicts.items() if (a, b) == (before, after))

    def ranked(self) -> list[tuple[Flip, Weight]]:
        """Flips by impressions, then by events, then by name: the same input gives the same order."""
        return sorted(self.flips.items(), key=lambda item: (-item[1].impressions, -item[1].events, item[0]))

    def as_json(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "events_without_impressions": self.without_impressions,
            "from": self.first.isoformat() if self.first else None,
            "until": self.last.isoformat() if self.last else None,
            "statuses": dict(sorted(self.statuses.items())),
            "decided": self.decided.as_json(),
            "flipped": self.flipped.as_json(),
            "before": {verdict: weight.as_json() for verdict, weight in self.side(0).items()},
            "after": {verdict: weight.as_json() for verdict, weight in self.side(1).items()},
            "verdicts": [
                {"client": client, "before": before, "after": after, **weight.as_json()}
                for (client, before, after), weight in sorted(self.verdicts.items(), key=_verdict_order)
            ],
            "flips": [{**flip._asdict(), **weight.as_json()} for flip, weight in self.ranked()],
            "campaigns": [campaign.as_json() for campaign in self.campaigns.ranked()],
            "examples": [creative.as_json() for creative in self.examples],
        }


def difference(
    before: Decides,
    after: Decides,
    events: Iterable[ScoredEvent],
    now: datetime,
    keep: Callable[[str], bool] = lambda _: True,
) -> Difference:
    """Decide every event under both policy sets and count what flips, per client and deciding rule.

    keep: which clients are compared, by name. Shadow decisions are left out on both sides.
    """
    found = Difference()
    for batch in batches(events):
        pairs = zip(batch, before.decide(batch, now), after.decide(batch, now), strict=True)
        for event, old, new in pairs:
            _count_event(found, event)
            for client, a, b in _paired(old, new, keep):
                _count(found, event, client, a, b)
    return found


def _count_event(found: Difference, event: ScoredEvent) -> None:
    found.events += 1
    found.statuses[event.status.value] += 1
    found.without_impressions += event.context.impressions is None
    when = event.occurred_at or event.scored_at
    found.first = min(found.first or when, when)
    found.last = max(found.last or when, when)


def _paired(
    old: Iterable[Decision], new: Iterable[Decision], keep: Callable[[str], bool]
) -> Iterator[tuple[str, Decision | None, Decision | None]]:
    was = {d.client: d for d in old if not d.shadow and keep(d.client)}
    will = {d.client: d for d in new if not d.shadow and keep(d.client)}
    for client in {**was, **will}:
        yield client, was.get(client), will.get(client)


def _count(found: Difference, event: ScoredEvent, client: str, a: Decision | None, b: Decision | None) -> None:
    before, after = (d.verdict.value if d else NONE for d in (a, b))
    impressions = event.context.impressions
    found.verdicts.setdefault((client, before, after), Weight()).add(impressions)
    if before == after:
        return
    flip = Flip(client, before, after, _rule(a), _rule(b))
    found.flips.setdefault(flip, Weight()).add(impressions)
    _count_creative(found, flip, event, a, b)
    if name := event.context.campaign:
        campaign = found.campaigns.get((client, name), lambda: Campaign(client, name))
        campaign.weight.add(impressions)
        campaign.flips.setdefault((before, after), Weight()).add(impressions)


def _count_creative(found: Difference, flip: Flip, event: ScoredEvent, a: Decision | None, b: Decision | None) -> None:
    """A creative is shown by its heaviest event."""
    key = (flip.client, flip.before, flip.after, creative_of(event))
    shown = show(event, _scores(b or a))
    creative = found.creatives.get(key, lambda: Creative(flip, shown, _passing(flip, a, b)))
    if (event.context.impressions or 0) > (creative.shown.impressions or 0):
        creative.flip, creative.shown, creative.would_pass = flip, shown, _passing(flip, a, b)
    creative.weight.add(event.context.impressions)


def _passing(flip: Flip, a: Decision | None, b: Decision | None) -> str | None:
    """What would not have fired on the stricter side."""
    stricter = b if _ORDER[flip.after] >= _ORDER[flip.before] and b else a
    return stricter.reasons[0].would_pass if stricter and stricter.reasons else None


def _scores(decision: Decision | None) -> Mapping[str, float]:
    """One number per label: both sides read the same catalogue."""
    return decision.scores if decision else {}


def _rule(decision: Decision | None) -> str:
    return decision.reasons[0].rule if decision and decision.reasons else NOTHING


def _verdict_order(item: tuple[tuple[str, str, str], Weight]) -> tuple[str, int, int]:
    (client, before, after), _ = item
    return client, _ORDER[before], _ORDER[after]
