"""Stands for `confluent_kafka.Consumer`: a static member of the group, as librdkafka 2.16 is one.

Its background thread is `turn`, which the schedule calls while the process is not paused.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from confluent_kafka import OFFSET_INVALID, KafkaError, TopicPartition

from stream.kafka import Position
from tests.simulation.cluster import Cluster, Proof
from tests.simulation.schedule import Process

_EARLIEST: Final = "earliest"
_MOST_AT_ONCE: Final = 6


@dataclass(frozen=True)
class SimRecord:
    """A message: a record, or an error that comes as one."""

    position: Position
    at: int
    content: str | None
    failure: KafkaError | None = None

    def topic(self) -> str:
        return self.position[0]

    def partition(self) -> int:
        return self.position[1]

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return None

    def value(self) -> bytes | None:
        return self.content.encode() if self.content else None

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 0, 0

    def error(self) -> KafkaError | None:
        return self.failure


class Event(NamedTuple):
    """A rebalance that waits for the application."""

    kind: str
    places: set[Position]


class SimConsumer:
    """One member. `start` at no offset is a question to the group, answered as librdkafka does, bug included."""

    def __init__(self, cluster: Cluster, process: Process, entries: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._process = process
        self._instance = str(entries["group.instance.id"])
        self._reset = entries["auto.offset.reset"]
        self._member_id = ""
        self._generation = -1
        self._owned: set[Position] = set()
        self._events: deque[Event] = deque()
        self._awaits = ""
        """"assign" or "unassign": the call that answers a rebalance, whether its event was served or not."""
        self._added: set[Position] = set()
        self._must_rejoin = False
        self._is_leaving = False
        self._is_subscribed = False
        self._positions: dict[Position, int] = {}
        self._starts: Counter[Position] = Counter()
        self._paused: set[Position] = set()
        self._errors: deque[SimRecord] = deque()
        self._version = 0
        self._questions: set[Position] = set()
        self._asked: set[Position] = set()
        self._asked_version = 0
        self._callbacks: dict[str, Callable[..., None]] = {}

    # -- librdkafka's own thread ---------------------------------------------------------------

    def turn(self) -> None:
        if not self._is_subscribed or self._process.is_dead:
            return
        self._answer_questions()
        group = self._cluster.group
        if self._member_id and group.is_member(self._instance, self._member_id):
            group.heartbeat(self._instance)
        elif self._member_id:
            self._notice_expulsion()
        if self._awaits or self._is_leaving:
            return  # A loss is not told while a rebalance waits for its answer.
        if self._must_rejoin or self._cluster.group.must_join(self._instance) or not self._owned:
            self._join()
        elif not self._member_id:
            self._generation = -1
            self._ask_to_unassign("lost", set(self._owned))

    def _join(self) -> None:
        if self._must_rejoin or not self._member_id or self._cluster.group.must_join(self._instance):
            self._must_rejoin = False
            claim = (self._generation, self._owned)
            self._member_id = self._cluster.group.join(self._instance, self._member_id, claim, self._sync)

    def _notice_expulsion(self) -> None:
        self._member_id = ""
        if self._instance in self._cluster.group.members:
            self._errors.append(SimRecord(("", 0), 0, None, KafkaError(KafkaError._FATAL, "fenced", fatal=True)))
            self._is_subscribed = False

    def _sync(self, assigned: set[Position], generation: int) -> None:
        if self._process.is_dead:
            return
        self._generation = generation
        self._added = assigned - self._owned
        self._cluster.schedule.note(f"{self._instance}: generation {generation}, {len(assigned)} assigned")
        if revoked := self._owned - assigned:
            self._must_rejoin = True
            self._ask_to_unassign("revoke", revoked)
        else:
            self._ask_to_assign()

    def _ask_to_unassign(self, kind: str, places: set[Position]) -> None:
        """What this member calls its own changes when the event is queued, not when it is served."""
        self._awaits = "unassign"
        self._owned -= places
        self._events.append(Event(kind, places))

    def _ask_to_assign(self) -> None:
        self._awaits = "assign"
        self._owned |= self._added
        self._events.append(Event("assign", self._added))
        self._added = set()

    def _answer_questions(self) -> None:
        """Committed offsets for partitions that were started without one (rdkafka_assignment.c)."""
        if self._questions and not self._asked:
            self._asked, self._asked_version = set(self._questions), self._version
            return
        if not self._asked:
            return
        unstable = {place for place in self._asked if self._cluster.is_unstable(place)}
        if unstable and self._asked_version == self._version:
            return
        for place in sorted(self._asked & self._questions):
            self._questions.discard(place)
            # "Not stable yet" leaves no offset, and no offset means `auto.offset.reset`.
            held = None if place in unstable else self._cluster.committed.get(place)
            self._begin(place, held.offset if held else OFFSET_INVALID)
        self._asked = set()

    def _begin(self, place: Position, offset: int) -> None:
        if offset == OFFSET_INVALID and self._reset != _EARLIEST:
            self._errors.append(SimRecord(place, offset, None, KafkaError(KafkaError._AUTO_OFFSET_RESET, "no offset")))
            return
        self._starts[place] += 1
        self._positions[place] = max(offset, 0)
        self._cluster.schedule.note(f"{self._instance} reads {place[0]}/{place[1]} from {max(offset, 0)}")

    # -- what the application calls ------------------------------------------------------------

    def subscribe(self, _: list[str], *, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self._callbacks = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost}
        self._is_subscribed = True

    def unsubscribe(self) -> None:
        """Give everything up, then leave; a rebalance that waits for its answer comes first."""
        self._point()
        self._is_leaving = True
        if not self._awaits:
            self._leave()

    def _leave(self) -> None:
        if self._owned:
            self._ask_to_unassign("revoke", set(self._owned))
            return
        self._cluster.group.leave(self._instance, self._member_id)
        self._is_leaving, self._must_rejoin = False, False
        self._member_id, self._generation = "", -1

    def consume(self, most: int, timeout: float) -> list[SimRecord]:
        self._point()
        self._cluster.schedule.wait(timeout, lambda: bool(self._events or self._errors or self._fetchable()))
        early = self._fetch(most) if self._cluster.schedule.chance(0.5) else []
        starts = dict(self._starts)
        while self._events:
            self._serve(self._events.popleft())
        # What came before a rebalance is dropped if its partition was stopped meanwhile.
        kept = [each for each in early if self._starts[each.position] == starts[each.position]]
        return [*self._drain_errors(), *(kept or self._fetch(most))]

    def _drain_errors(self) -> list[SimRecord]:
        found = list(self._errors)
        self._errors.clear()
        return found

    def _notice_range(self) -> None:
        """A position beyond the end of a log is an error, and ends the reading there."""
        for place, at in sorted(self._positions.items()):
            if at > len(self._cluster.logs[place]):
                error = KafkaError(KafkaError._AUTO_OFFSET_RESET, "out of range")
                self._errors.append(SimRecord(place, at, None, error))
                del self._positions[place]

    def _fetchable(self) -> list[Position]:
        return [
            place
            for place, at in sorted(self._positions.items())
            if place not in self._paused and at < len(self._cluster.logs[place])
        ]

    def _fetch(self, most: int) -> list[SimRecord]:
        """Records of one partition, so that the last tells how far it was read."""
        self._notice_range()
        places = self._fetchable()
        if not places:
            return []
        place = self._cluster.schedule.random.choice(places)
        at = self._positions[place]
        values = self._cluster.logs[place][at : at + min(most, _MOST_AT_ONCE)]
        self._positions[place] = at + len(values)
        return [SimRecord(place, at + index, value) for index, value in enumerate(values)]

    def _serve(self, event: Event) -> None:
        self._cluster.schedule.note(f"{event.kind} {len(event.places)}")
        self._callbacks[event.kind](self, [TopicPartition(topic, number) for topic, number in sorted(event.places)])

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self._point()
        self._version += 1
        for place in places:
            position = (place.topic, place.partition)
            if place.offset == OFFSET_INVALID:
                self._questions.add(position)
            else:
                self._begin(position, place.offset)
        if self._awaits == "assign":
            self._awaits = ""
            if self._is_leaving:
                self._leave()

    def incremental_unassign(self, places: list[TopicPartition]) -> None:
        """An answer that is on its way stays there, and meets whatever is asked for when it comes."""
        self._point()
        self._version += 1
        for place in places:
            position = (place.topic, place.partition)
            self._starts[position] += 1
            self._positions.pop(position, None)
            self._questions.discard(position)
        if self._awaits == "unassign":
            self._awaits = ""
            if self._is_leaving:
                self._leave()
            elif self._added:
                self._ask_to_assign()

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(*place) for place in sorted({*self._positions, *self._questions})]

    def pause(self, places: list[TopicPartition]) -> None:
        self._paused |= {(place.topic, place.partition) for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self._paused -= {(place.topic, place.partition) for place in places}

    def consumer_group_metadata(self) -> Proof:
        return Proof(self._generation, self._member_id, self._instance)

    def memberid(self) -> str:
        return self._member_id

    def close(self) -> None:
        """A static member does not leave: its partitions wait for it, or for the end of its session."""
        self._point()
        self._is_subscribed = False

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        self._point()
        numbers = dict.fromkeys(self._cluster.partitions(topic))
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=numbers)})

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        self._point()
        return 0, 0

    def _point(self) -> None:
        self._cluster.schedule.point()
