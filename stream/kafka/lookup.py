"""Asks the brokers for the offsets of a group, for `stream.kafka.positions` to decide."""

from collections.abc import Iterable, Mapping, Set
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from stream.errors import BrokerError
from stream.kafka.client import FORBIDDEN, not_allowed
from stream.kafka.group_admin import GroupAdmin
from stream.kafka.identity import TopicIds
from stream.kafka.positions import Committed, committed_with, plan_topic
from stream.kafka.records import Claim, Position
from stream.kafka.topics import every_partition

log = structlog.get_logger()

_LONGEST_ANSWER_S: Final = 2.0
"""The thread that asks also polls: it had better ask again than wait long."""


@dataclass(slots=True)
class Found:
    """Where to start reading, what to commit as begun, and each topic's claim.

    stale: offsets that are committed for a topic of an earlier id, and that id.
    """

    starts: dict[Position, int] = field(default_factory=dict)
    begins: dict[Position, int] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    stale: dict[Position, Committed] = field(default_factory=dict)


class Lookup:
    """Stable committed offsets and first offsets, with the clients given."""

    def __init__(self, group: str, consumer: Consumer, admin: GroupAdmin, ids: TopicIds, timeout_s: float) -> None:
        self._group = group
        self._consumer = consumer
        self._admin = admin
        self._ids = ids
        self._timeout_s = min(timeout_s, _LONGEST_ANSWER_S)

    def find(self, owned: Set[Position]) -> Found:
        """Positions for those of the `owned` partitions that have one by now.

        Raises PositionLost, and BrokerError where it is worth asking again.
        """
        try:
            return self._find(owned)
        except FutureTimeout:
            raise BrokerError("the group coordinator does not answer") from None
        except KafkaException as error:
            if error.args[0].code() in FORBIDDEN:
                raise not_allowed(error.args[0]) from error
            raise BrokerError(str(error)) from error

    def _find(self, owned: Set[Position]) -> Found:
        found = Found()
        # Asked for first: what is committed under this id later on was not read from an earlier topic.
        ids = self._ids.find({topic for topic, _ in owned})
        owned = {place for place in owned if place[0] in ids}
        committed = self._committed(self._every_partition(owned))
        for topic in sorted(ids):
            self._plan(found, topic, ids[topic], owned, committed)
        found.starts |= {place: offset for place, offset in found.begins.items() if place in owned}
        return found

    def _plan(
        self,
        found: Found,
        topic: str,
        topic_id: str,
        owned: Set[Position],
        committed: Mapping[Position, Committed | None],
    ) -> None:
        numbers = {number for name, number in owned & committed.keys() if name == topic}
        of_topic = {number: each for (name, number), each in committed.items() if name == topic}
        plan = plan_topic(self._group, topic, numbers, of_topic, topic_id)
        found.starts |= {(topic, number): offset for number, offset in plan.starts.items()}
        found.begins |= {(topic, number): self._first_offset(topic, number) for number in plan.begins}
        found.claims[topic] = Claim(plan.claim, topic_id)
        found.stale |= {(topic, number): each for number, each in of_topic.items() if each and each.is_stale(topic_id)}

    def _every_partition(self, owned: Set[Position]) -> set[Position]:
        """Of the topics concerned. One that is assigned may be missing: it is too new for the metadata, or was a
        partition of an earlier topic.
        """
        return every_partition(self._consumer, sorted({topic for topic, _ in owned}), self._timeout_s)

    def _committed(self, places: Set[Position]) -> Mapping[Position, Committed | None]:
        """What is committed. A partition the answer leaves out, or has an error for, is not established."""
        return dict.fromkeys(places) | dict(_read(self._admin.stable_offsets(places, self._timeout_s)))

    def describe_log(self, topic: str, number: int) -> str:
        """Which offsets a partition has, for a message; empty where that is not known."""
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=self._timeout_s)
        except KafkaException:
            return ""
        return f"; its records are those from {low} to {high - 1}" if high > low else "; it has no records"

    def _first_offset(self, topic: str, number: int) -> int:
        low, _ = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=self._timeout_s)
        return int(low)


def _read(answer: Iterable[TopicPartition]) -> Iterable[tuple[Position, Committed]]:
    """Raises KafkaException where rights are missing: that does not pass."""
    for place in answer:
        if place.error is not None and place.error.code() in FORBIDDEN:
            raise KafkaException(place.error)
        if place.error is not None:
            log.debug(
                "position not established yet", partition=f"{place.topic}/{place.partition}", why=str(place.error)
            )
        else:
            offset = place.offset if place.offset >= 0 else None
            yield (place.topic, place.partition), committed_with(offset, place.metadata)
