"""`decide --replay` as a command: the replay itself, then what it changed, counted on the topics."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from stream import running
from stream.decide import DecideStage
from stream.kafka import Record, read_committed
from stream.settings import Settings
from stream.start_decide import Replayed, run_replay
from stream.startup import DECIDE_TOPICS, await_topics


@dataclass(slots=True)
class ReplaySummary:
    """What one run of a replay decided. `changed`: decisions with another verdict than the last one before it.

    unmatched: decisions on an event and client that had none.
    why_none:  why nothing was decided; empty where something was.
    """

    events: int = 0
    decisions: int = 0
    changed: int = 0
    unmatched: int = 0
    why_none: str = ""

    def __str__(self) -> str:
        decided = f"{self.events:,} events decided again: {self.decisions:,} decisions, {self.changed:,} changed"
        if self.why_none:
            return f"{decided}; {self.why_none}"
        return decided + (f", {self.unmatched:,} had none before" if self.unmatched else "")


def replay(settings: Settings, since: datetime) -> ReplaySummary | None:
    """Decide again the events scored since then. None where a signal stopped it before the end.

    Serves no metrics: it ends, and its port may be the live worker's. Raises what `run_replay` raises.
    """
    await_topics(settings, DecideStage.name, DECIDE_TOPICS)
    started = datetime.now(UTC)
    replayed = run_replay(_without_metrics(settings), since)
    if running.stopped.is_set():
        return None
    summary = summarize(settings, since, started)
    if not summary.decisions:
        summary.why_none = explain_none(settings, since, replayed)
    return summary


def explain_none(settings: Settings, since: datetime, replayed: Replayed) -> str:
    """Why a replay decided nothing, and what to do."""
    instant = since.astimezone(UTC).isoformat()
    if replayed.records:
        return f"no policy in {settings.policies} concerns the {replayed.records:,} scores that were read"
    if replayed.is_new:
        return f"topic {settings.topics.scores} holds no score from {instant} or later"
    return (
        f"a replay since {instant} by these policies has decided everything before: "
        "change a policy, or name another instant, to decide again"
    )


def _without_metrics(settings: Settings) -> Settings:
    worker = settings.worker.model_copy(update={"metrics_port": None})
    return settings.model_copy(update={"worker": worker})


def summarize(settings: Settings, since: datetime, started: datetime) -> ReplaySummary:
    """Compare the decisions made again since `started` with the last ones before. Raises BrokerError."""
    topics = settings.topics
    verdict_topics = [topics.allow, topics.review, topics.block]
    records = read_committed(settings.kafka, verdict_topics, since_ms=int(since.timestamp() * 1000))
    return _Comparison(started).compare(record for record in records if record is not None)


@dataclass(slots=True)
class _Comparison:
    """A digest of event and client: there may be millions, and their names can be long."""

    started: datetime
    before: dict[bytes, tuple[datetime, str]] = field(default_factory=dict)
    again: list[tuple[bytes, str]] = field(default_factory=list)
    events: set[bytes] = field(default_factory=set)

    def compare(self, records: Iterable[Record]) -> ReplaySummary:
        for record in records:
            self._enter(from_json(record.value or b"{}"))
        known = [(self.before[place][1], verdict) for place, verdict in self.again if place in self.before]
        changed = sum(old != new for old, new in known)
        return ReplaySummary(len(self.events), len(self.again), changed, len(self.again) - len(known))

    def _enter(self, decision: dict[str, Any]) -> None:
        event, decided_at = decision["event_id"], datetime.fromisoformat(decision["decided_at"])
        place, verdict = _digest(f"{decision['client']}\0{event}"), decision["verdict"]
        if decision.get("redecision") and decided_at >= self.started:
            self.again.append((place, verdict))
            self.events.add(_digest(event))
        elif decided_at < self.started and decided_at > self.before.get(place, (_LONG_AGO, ""))[0]:
            self.before[place] = (decided_at, verdict)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
