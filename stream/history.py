"""Input and output records as a committed reader sees them, for `stream.verify` to judge."""

import base64
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError
from pydantic_core import from_json

from moderation.errors import EventError
from moderation.events import Decision, ImageEvent, Reject, Verdict
from moderation.policy import PolicySet
from stream.errors import BrokerError
from stream.kafka import Record, read_committed
from stream.parse import parse_image_event, parse_scored_event
from stream.settings import KafkaSettings

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""

ClientsOf = Callable[[ImageEvent], frozenset[str] | None]
"""The clients an event concerns; None where only the history shows them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One input record. `event_id` is None where it cannot be parsed, `clients` None where any may apply."""

    place: Place
    event_id: str | None
    clients: frozenset[str] | None = frozenset()


@dataclass(slots=True)
class History:
    """Every input record, and the number of each of its outputs. Shadow and repeated decisions are left out.

    decided:         by event and client.
    verdicts:        by event, client and policy hash ("" where the client is unknown).
    rejected:        by the place of the input record.
    reasons:         of those rejects, by the same place.
    rejected_scores: by event, where it was the scored event that was refused.
    scored:          by event; None where the scores were not read.
    everyone:        clients that events naming none concern; None: whoever decided on such events.
    """

    asked: list[Asked] = field(default_factory=list)
    decided: Counter[tuple[str, str]] = field(default_factory=Counter)
    verdicts: defaultdict[tuple[str, str, str], set[Verdict]] = field(default_factory=lambda: defaultdict(set))
    rejected: Counter[Place] = field(default_factory=Counter)
    reasons: defaultdict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    rejected_scores: Counter[str] = field(default_factory=Counter)
    scored: Counter[str] | None = None
    everyone: frozenset[str] | None = None
    unreadable: list[Place] = field(default_factory=list)

    def decide(self, decision: Decision) -> None:
        if decision.shadow or decision.redecision:
            return
        self.decided[decision.event_id, decision.client] += 1
        policy_hash = decision.policy.hash if decision.policy else ""
        self.verdicts[decision.event_id, decision.client, policy_hash].add(decision.verdict)

    def reject(self, place: Place, reason: str) -> None:
        self.rejected[place] += 1
        self.reasons[place].add(reason)


@dataclass(frozen=True, slots=True)
class Topics:
    """Which topics hold the history. `scores` may be left out."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    rejects: str
    scores: str | None = None


def asked(records: Iterable[Record], clients_of: ClientsOf) -> Iterable[Asked]:
    for record in records:
        place = (record.topic, record.partition, record.offset)
        try:
            event = parse_image_event(record).event
        except EventError:
            yield Asked(place, None)
        else:
            yield Asked(place, event.event_id, frozenset(event.clients) or clients_of(event))


def note_outputs(history: History, records: Iterable[Record], topics: Topics) -> None:
    """Enter what came out. A record that is no decision, reject or score is kept as unreadable."""
    history.scored = Counter() if topics.scores else None
    for record in records:
        try:
            _note(history, record, topics)
        except (ValidationError, EventError):
            history.unreadable.append((record.topic, record.partition, record.offset))


def _note(history: History, record: Record, topics: Topics) -> None:
    if record.topic == topics.rejects:
        _note_reject(history, Reject.model_validate_json(record.value or b""), topics)
    elif record.topic == topics.scores and history.scored is not None:
        history.scored[parse_scored_event(record).event_id] += 1
    else:
        history.decide(Decision.model_validate_json(record.value or b""))


def _note_reject(history: History, reject: Reject, topics: Topics) -> None:
    if reject.topic in topics.inputs:
        history.reject((reject.topic, reject.partition, reject.offset), reject.reason)
    elif (event_id := _event_id(reject)) is not None:
        history.rejected_scores[event_id] += 1


def _event_id(reject: Reject) -> str | None:
    """A reject carries the start of what it refused, and a scored event starts with its id."""
    try:
        start = from_json(base64.b64decode(reject.original_base64), allow_partial=True)
    except ValueError:
        return None
    return start.get("event_id") if isinstance(start, dict) else None


def clients_by_policies(policies: PolicySet) -> ClientsOf:
    """The clients whose live policy decides on an event, by the policies themselves."""
    return lambda event: frozenset(policies.find_clients(event))


def clients_by_history(_: ImageEvent) -> None:
    """No list of clients is given: the clients that decided are taken for all."""
    return


def records_of(settings: KafkaSettings, topics: Sequence[str]) -> Iterable[Record]:
    """Every committed record up to the present end. Raises BrokerError, also where a topic is missing."""
    if not topics:
        raise BrokerError("no topics to read; name at least one")
    return (record for record in read_committed(settings, topics) if record is not None)
