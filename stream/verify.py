"""Judges a history: was there exactly one decision for every event and client, one reject for the rest?

The rule, for every event id and client:

    decisions expected = input records with this id that concern the client and were not rejected

so an event that a producer sent n times is decided n times, each time with the same `decision_id` while
the policy stays. A record that cannot be parsed has exactly one reject. One that can be parsed has a reject,
and then no decisions, only where a stage or the brokers could not take it (`REASONS_FOR_THE_PARSABLE`). Two
verdicts under one policy hash contradict each other.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

from stream.history import Asked, History, Place

REASONS_FOR_THE_PARSABLE: Final = frozenset({"stage_failed", "output_refused"})


class Miscount(NamedTuple):
    """An event, and a client where it is a decision, that came out another number of times than it must."""

    event_id: str
    client: str | None
    expected: int
    found: int


class Contradiction(NamedTuple):
    event_id: str
    client: str
    policy_hash: str
    verdicts: tuple[str, ...]


class Misplaced(NamedTuple):
    """An input record with another number of rejects than it must have."""

    place: Place
    event_id: str | None
    rejects: int


@dataclass(frozen=True, slots=True)
class Findings:
    """All findings; empty where the guarantee was kept.

    missing, doubled:  decisions that came out too seldom or too often.
    contradictory:     decisions with different verdicts under one policy.
    unanswered:        input records with neither a decision nor a reject.
    doubly_rejected:   input records with more than one reject.
    wrongly_rejected:  input records that can be parsed, with a reject that says otherwise.
    scores_off:        scored events that came out too seldom or too often.
    stray:             decisions and scores of events that no input has.
    stray_rejects:     rejects of records that no input has.
    unreadable:        records on output topics that are no decision, score or reject.
    """

    missing: tuple[Miscount, ...] = ()
    doubled: tuple[Miscount, ...] = ()
    contradictory: tuple[Contradiction, ...] = ()
    unanswered: tuple[Misplaced, ...] = ()
    doubly_rejected: tuple[Misplaced, ...] = ()
    wrongly_rejected: tuple[Misplaced, ...] = ()
    scores_off: tuple[Miscount, ...] = ()
    stray: tuple[Miscount, ...] = ()
    stray_rejects: tuple[Misplaced, ...] = ()
    unreadable: tuple[Place, ...] = ()

    @property
    def are_none(self) -> bool:
        return not any(getattr(self, each.name) for each in fields(self))

    @property
    def may_pass_with_time(self) -> bool:
        """Whether answers are only missing, as while records are still on their way."""
        late = {"missing", "unanswered", "scores_off"}
        return not any(getattr(self, each.name) for each in fields(self) if each.name not in late)


def judge(history: History) -> Findings:
    expected, scores = _expected(history)
    miscounts = list(_miscounts(expected, history.decided))
    known = {asked.event_id for asked in history.asked}
    return Findings(
        missing=tuple(m for m in miscounts if m.found < m.expected),
        doubled=tuple(m for m in miscounts if m.found > m.expected and m.event_id in known),
        contradictory=tuple(_contradictions(history)),
        unanswered=tuple(_unanswered(history)),
        doubly_rejected=tuple(
            Misplaced(asked.place, asked.event_id, count)
            for asked in history.asked
            if (count := history.rejected[asked.place]) > 1
        ),
        wrongly_rejected=tuple(
            Misplaced(asked.place, asked.event_id, history.rejected[asked.place])
            for asked in history.asked
            if asked.event_id is not None and history.reasons.get(asked.place, set()) - REASONS_FOR_THE_PARSABLE
        ),
        scores_off=tuple(m for m in _score_miscounts(history, scores) if m.event_id in known),
        stray=tuple(m for m in (*miscounts, *_score_miscounts(history, scores)) if m.event_id not in known),
        stray_rejects=tuple(_stray_rejects(history)),
        unreadable=tuple(history.unreadable),
    )


def _expected(history: History) -> tuple[Counter[tuple[str, str | None]], Counter[str]]:
    """How often each decision, and each score, must be there."""
    everyone = history.everyone if history.everyone is not None else _deciders_of_open_events(history)
    decisions: Counter[tuple[str, str | None]] = Counter()
    scores: Counter[str] = Counter()
    refused = history.rejected_scores.copy()
    for asked in history.asked:
        if asked.event_id is None or history.rejected[asked.place]:
            continue
        scores[asked.event_id] += 1
        if refused[asked.event_id]:
            refused[asked.event_id] -= 1
            continue
        decisions.update((asked.event_id, client) for client in _clients(asked, everyone))
    return decisions, scores


def _clients(asked: Asked, everyone: frozenset[str]) -> frozenset[str]:
    return everyone if asked.clients is None else asked.clients


def _deciders_of_open_events(history: History) -> frozenset[str]:
    open_events = {asked.event_id for asked in history.asked if asked.clients is None}
    return frozenset(client for event_id, client in history.decided if event_id in open_events)


def _miscounts(expected: Counter[tuple[str, str | None]], decided: Counter[tuple[str, str]]) -> Iterator[Miscount]:
    for event_id, client in sorted({*expected, *decided}, key=str):
        wanted, found = expected[event_id, client], decided[event_id, client or ""]
        if wanted != found:
            yield Miscount(event_id, client, wanted, found)


def _score_miscounts(history: History, expected: Counter[str]) -> Iterator[Miscount]:
    if history.scored is None:
        return
    for event_id in sorted({*expected, *history.scored}):
        if expected[event_id] != history.scored[event_id]:
            yield Miscount(event_id, None, expected[event_id], history.scored[event_id])


def _contradictions(history: History) -> Iterator[Contradiction]:
    for (event_id, client, policy_hash), verdicts in sorted(history.verdicts.items(), key=str):
        if len(verdicts) > 1:
            yield Contradiction(event_id, client, policy_hash, tuple(sorted(verdicts)))


def _unanswered(history: History) -> Iterator[Misplaced]:
    """Records with the same id cannot be distinguished; `missing` reports them."""
    decided = {event_id for event_id, _ in history.decided}
    for asked in history.asked:
        if history.rejected[asked.place] or history.rejected_scores[asked.event_id or ""]:
            continue
        needs_answer = asked.event_id is None or asked.clients is None or bool(asked.clients)
        if needs_answer and asked.event_id not in decided:
            yield Misplaced(asked.place, asked.event_id, 0)


def _stray_rejects(history: History) -> Iterable[Misplaced]:
    places = {asked.place for asked in history.asked}
    return (Misplaced(place, None, count) for place, count in sorted(history.rejected.items()) if place not in places)
