"""What a changed policy would change: the same recorded scores decided twice, and what flips."""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from moderation.events import Decision, ScoredEvent
from moderation.policy.tools.recorded import batches

NONE: Final = "none"
"""Stands for the verdict of a policy that has no decision for the event and client."""
NOTHING: Final = "nothing fired"
EXAMPLES: Final = 20
_ORDER: Final = {"allow": 0, "review": 1, "block": 2, NONE: 3}


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
class Weight:
    """Events and the impressions they stand for; events that say no impressions weigh nothing there."""

    events: int = 0
    impressions: int = 0

    def add(self, impressions: int | None) -> None:
        self.events += 1
        self.impressions += impressions or 0

    def as_json(self) -> dict[str, int]:
        return {"events": self.events, "impressions": self.impressions}


@dataclass(frozen=True, slots=True)
class Example:
    """One event that flips, for people to look at."""

    flip: Flip
    event_id: str
    impressions: int | None
    crid: str | None
    scores: dict[str, float]
    would_pass: str | None


@dataclass(slots=True)
class Difference:
    """The whole comparison. Counts are kept, not events: memory does not grow with the recording."""

    events: int = 0
    without_impressions: int = 0
    verdicts: dict[tuple[str, str, str], Weight] = field(default_factory=dict)
    flips: dict[Flip, Weight] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    heaviest: list[tuple[int, int, Example]] = field(default_factory=list)

    @property
    def flipped(self) -> Weight:
        return self._sum(weight for (_, before, after), weight in self.verdicts.items() if before != after)

    @property
    def decided(self) -> Weight:
        return self._sum(self.verdicts.values())

    @property
    def clients(self) -> list[str]:
        return sorted({client for client, _, _ in self.verdicts})

    @property
    def examples(self) -> list[Example]:
        """The flips with most impressions, heaviest first."""
        return [example for _, _, example in sorted(self.heaviest, key=lambda item: (-item[0], item[1]))]

    def ranked(self) -> list[tuple[Flip, Weight]]:
        """Flips by impressions, then by events, then by name: the same input gives the same order."""
        return sorted(self.flips.items(), key=lambda item: (-item[1].impressions, -item[1].events, item[0]))

    def as_json(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "events_without_impressions": self.without_impressions,
            "statuses": dict(sorted(self.statuses.items())),
            "decided": self.decided.as_json(),
            "flipped": self.flipped.as_json(),
            "verdicts": [
                {"client": client, "before": before, "after": after, **weight.as_json()}
                for (client, before, after), weight in sorted(self.verdicts.items(), key=_verdict_order)
            ],
            "flips": [{**flip._asdict(), **weight.as_json()} for flip, weight in self.ranked()],
            "examples": [
                {
                    **example.flip._asdict(),
                    "event_id": example.event_id,
                    "crid": example.crid,
                    "impressions": example.impressions,
                    "scores": example.scores,
                    "would_pass": example.would_pass,
                }
                for example in self.examples
            ],
        }

    @staticmethod
    def _sum(weights: Iterable[Weight]) -> Weight:
        total = Weight()
        for weight in weights:
            total.events += weight.events
            total.impressions += weight.impressions
        return total


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
    order = itertools.count()
    for batch in batches(events):
        pairs = zip(batch, before.decide(batch, now), after.decide(batch, now), strict=True)
        for event, old, new in pairs:
            _count_event(found, event)
            for client, a, b in _paired(old, new, keep):
                _count(found, event, client, a, b, next(order))
    return found


def _count_event(found: Difference, event: ScoredEvent) -> None:
    found.events += 1
    found.statuses[event.status.value] += 1
    found.without_impressions += event.context.impressions is None


def _paired(
    old: Iterable[Decision], new: Iterable[Decision], keep: Callable[[str], bool]
) -> Iterator[tuple[str, Decision | None, Decision | None]]:
    was = {d.client: d for d in old if not d.shadow and keep(d.client)}
    will = {d.client: d for d in new if not d.shadow and keep(d.client)}
    for client in {**was, **will}:
        yield client, was.get(client), will.get(client)


def _count(
    found: Difference, event: ScoredEvent, client: str, a: Decision | None, b: Decision | None, order: int
) -> None:
    before, after = (d.verdict.value if d else NONE for d in (a, b))
    impressions = event.context.impressions
    found.verdicts.setdefault((client, before, after), Weight()).add(impressions)
    if before == after:
        return
    flip = Flip(client, before, after, _rule(a), _rule(b))
    found.flips.setdefault(flip, Weight()).add(impressions)
    _remember(found, (impressions or 0, -order, _example(flip, event, a, b)))


def _remember(found: Difference, item: tuple[int, int, Example]) -> None:
    if len(found.heaviest) < EXAMPLES:
        heapq.heappush(found.heaviest, item)
    elif item[:2] > found.heaviest[0][:2]:
        heapq.heapreplace(found.heaviest, item)


def _example(flip: Flip, event: ScoredEvent, a: Decision | None, b: Decision | None) -> Example:
    stricter = b if _ORDER[flip.after] >= _ORDER[flip.before] and b else a
    reason = stricter.reasons[0] if stricter and stricter.reasons else None
    return Example(
        flip=flip,
        event_id=event.event_id,
        impressions=event.context.impressions,
        crid=event.context.crid,
        scores=event.scores,
        would_pass=reason.would_pass if reason else None,
    )


def _rule(decision: Decision | None) -> str:
    return decision.reasons[0].rule if decision and decision.reasons else NOTHING


def _verdict_order(item: tuple[tuple[str, str, str], Weight]) -> tuple[str, int, int]:
    (client, before, after), _ = item
    return client, _ORDER[before], _ORDER[after]
