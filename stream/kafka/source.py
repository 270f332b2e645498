"""A member of a consumer group.

The group assigns partitions; this member starts each at a position that it has established itself
(`stream.kafka.positions`), in a later call. librdkafka is never left to find a position.
"""

import math
import time
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.errors import BrokerError, PositionLost, TransactionAborted
from stream.kafka.claims import Claims
from stream.kafka.client import is_notice, made, names_of, partitions_of, positions_of, record_of
from stream.kafka.group_admin import GroupAdmin
from stream.kafka.group_config import member_entries
from stream.kafka.identity import TopicIds
from stream.kafka.lookup import Found, Lookup
from stream.kafka.orphans import OrphanWatch
from stream.kafka.positions import remedy
from stream.kafka.records import Membership, Position, Record
from stream.settings import KafkaSettings

log = structlog.get_logger()

_ASK_AGAIN_S: Final = 0.05
_AFTER_FAILURE_S: Final = 0.25
_WARN_EVERY_S: Final = 10.0
_EVERYTHING: Final = 10_000
_LEAVE_WITHIN_S: Final = 2.0


class Listener(Protocol):
    """Called by `Source.take`, in its thread, when partitions go."""

    def on_revoked(self) -> None:
        """Partitions are still ours: the last moment to commit what is in flight."""

    def on_lost(self) -> None:
        """Partitions are already someone else's: what is in flight must not be committed."""


class Source:
    """A member of a consumer group, reading committed records only."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        group: str,
        instance: str | None,
        topics: Sequence[str],
        listener: Listener,
    ) -> None:
        self._listener = listener
        self._group = group
        self._proof: Any = None
        self._member_id = ""
        self._assigned: set[Position] = set()
        self._started: set[Position] = set()
        self._ask_after = 0.0
        self._warn_after = 0.0
        self._paused: set[Position] = set()
        self._at_end: set[Position] = set()
        self._is_closing = False
        self._consumer = made(Consumer, settings, "consumer", member_entries(settings, group, instance))
        self._topics = list(topics)
        admin = GroupAdmin(settings, group)
        ids = TopicIds(settings)
        self._claims = Claims(group, ids)
        self._lookup = Lookup(group, self._consumer, admin, ids, settings.request_timeout_s)
        self._join()
        self._orphans = OrphanWatch(settings, admin, topics, lambda: self._member_id)
        if instance:
            self._orphans.start()

    def _join(self) -> None:
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def prove_membership(self, latest: float = math.inf) -> Membership:
        """Proof of membership as of the last rebalance this thread has seen; a transaction carries it.

        Not asked for at commit time: a member that is just losing its partitions would then commit with
        a worthless proof, and the broker would accept it.

        The claims are checked now, after all that was read. latest: when to have an answer (`time.monotonic`).
        Raises TransactionAborted where there is no such proof.
        """
        if not self._member_id:
            raise TransactionAborted("expelled from the group")
        return Membership(self._proof, self._claims.prove(latest))

    def start_assigned(self) -> Mapping[Position, int]:
        """Start what is assigned and whose position is established by now.

        Returns the first offsets of partitions that the group has not begun. They must be committed
        before, or with, what is read. Raises PositionLost.
        """
        if self._assigned <= self._started or time.monotonic() < self._ask_after:
            return {}
        waiting = self._assigned - self._started
        self._ask_after = time.monotonic() + _ASK_AGAIN_S
        try:
            found = self._lookup.find(waiting)
            if self._claims.forget_changed({topic: claim.topic_id for topic, claim in found.claims.items()}):
                self._void()
                return {}
            self._start(found)
        except (BrokerError, KafkaException) as error:
            log.warning("positions are not known yet", error=str(error))
            self._ask_after = time.monotonic() + _AFTER_FAILURE_S
            return {}
        self._warn_of_waiting()
        if {topic for topic, _ in waiting} - found.claims.keys():
            # Gone: the group deals its partitions out anew before long.
            self._ask_after = time.monotonic() + _AFTER_FAILURE_S
        return found.begins

    def _start(self, found: Found) -> None:
        if not found.starts:
            return
        starts = [TopicPartition(topic, number, offset) for (topic, number), offset in sorted(found.starts.items())]
        self._consumer.incremental_assign(starts)
        self._started |= found.starts.keys()
        self._claims.add(found)
        log.info("reading on", positions=_shown(found.starts), begun=_shown(found.begins))

    def _warn_of_waiting(self) -> None:
        """Waiting is right, but its reason may be one that does not pass."""
        waiting = self._assigned - self._started
        if waiting and time.monotonic() >= self._warn_after:
            self._warn_after = time.monotonic() + _WARN_EVERY_S
            names = names_of(partitions_of(sorted(waiting)))
            log.warning("partitions wait for a stable offset, or for their topic", partitions=names)

    def take(self, most: int, timeout_s: float) -> list[Record]:
        """Up to `most` records, waiting at most `timeout_s` for them to gather.

        Raises BrokerError when the consumer can no longer go on.
        """
        if self._orphans.must_rejoin():
            self._consumer.unsubscribe()
            self._join()
        if self._claims.look():
            self._void()
        try:
            messages = self._consumer.consume(most, timeout_s)
        except KafkaException as error:
            raise BrokerError(f"cannot consume: {error}") from error
        records = []
        for message in messages:
            if not (self._is_end(message) or self._is_notice(message)):
                records.append(record_of(message))
                self._at_end.discard(records[-1].position)
        # A rebalance served inside this very call may have taken a partition whose records came before it.
        return self.owned(records)

    def owned(self, records: list[Record]) -> list[Record]:
        """Those of the partitions that are read now."""
        return [record for record in records if record.position in self._started]

    def is_at_end(self) -> bool:
        """Whether every assigned partition has been read to its end."""
        return bool(self._assigned) and self._assigned <= self._at_end

    def pause(self) -> None:
        """Stop fetching. Prefetched records are thrown away, so this is for waits of seconds."""
        if new := self._started - self._paused:
            self._consumer.pause(partitions_of(new))
            self._paused |= new

    def resume(self) -> None:
        if self._paused:
            self._consumer.resume(partitions_of(self._paused & self._started))
            self._paused.clear()

    def rewind(self) -> bool:
        """Stop every partition; `start_assigned` starts each at the group's position. False: call it again.

        Not `seek`: that waits without end where a rebalance overtakes it. A rebalance that waits to be served
        is answered by this very stop, so it is served at once, while nothing is in flight.
        """
        self.resume()
        self._claims.by_topic.clear()
        self._expect_positions()
        try:
            self._stop(self._started)
        except KafkaException as error:
            log.warning("cannot go back to the committed offsets yet", error=str(error))
            return False
        for message in self._consumer.consume(_EVERYTHING, 0):
            self._is_notice(message)
        self._at_end.clear()
        return True

    def _stop(self, positions: Set[Position]) -> None:
        going = self._started & positions
        self._consumer.incremental_unassign(partitions_of(going))
        self._started -= going

    def close(self, *, leave: bool = False) -> None:
        """End. What is in flight must have been settled before: later rebalances are not reported.

        leave: hand the partitions on now. Else they wait for this instance until its session ends.
        """
        self._is_closing = True
        self._orphans.close()
        if leave:
            self._leave()
        self._consumer.close()

    def _leave(self) -> None:
        """librdkafka lets a static member leave only where it unsubscribes, and forgets the member id with that."""
        self._consumer.unsubscribe()
        deadline = time.monotonic() + _LEAVE_WITHIN_S
        while self._consumer.memberid() and time.monotonic() < deadline:
            self._consumer.consume(1, 0.05)
        if self._consumer.memberid():
            log.warning("the group does not answer; partitions wait for the end of the session", group=self._group)

    def _is_notice(self, message: Message) -> bool:
        try:
            return is_notice(message)
        except PositionLost as error:
            topic, number = str(message.topic()), int(message.partition() or 0)
            if not self._claims.is_same_topic(topic):
                self._void()
                return True
            log_range = self._lookup.describe_log(topic, number)
            raise PositionLost(f"group {self._group}: {error}{log_range}. {remedy(self._group, topic)}") from None

    def _is_end(self, message: Message) -> bool:
        error = message.error()
        if error is None or error.code() != KafkaError._PARTITION_EOF:
            return False
        self._at_end.add((str(message.topic()), int(message.partition() or 0)))
        return True

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # The group may go on; these are started once their positions are established.
        consumer.incremental_assign([])
        if self._is_closing:
            return
        log.info("partitions assigned", partitions=names_of(partitions))
        if not self._renew_membership(consumer):
            self._void()
        self._assigned |= positions_of(partitions)
        self._expect_positions()

    def _expect_positions(self) -> None:
        self._ask_after = 0.0
        self._warn_after = time.monotonic() + _WARN_EVERY_S

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not self._is_closing:
            log.info("partitions revoked", partitions=names_of(partitions))
            if self._renew_membership(consumer):
                self._listener.on_revoked()
            else:
                self._void()
        self._forget(positions_of(partitions))

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        if not self._is_closing:
            log.warning("partitions lost", partitions=names_of(partitions))
            self._listener.on_lost()
        self._forget(self._assigned | positions_of(partitions))

    def _renew_membership(self, consumer: Consumer) -> bool:
        """Take the proof of the moment. False: the group expelled this member since the last one, so that others
        may have had its partitions.
        """
        before = self._member_id
        self._proof = consumer.consumer_group_metadata()
        # Kept: the consumer itself must not be asked by another thread while it closes.
        self._member_id = consumer.memberid() or ""
        return bool(self._member_id) and (before == self._member_id or not self._assigned)

    def _void(self) -> None:
        """Positions and what was read from them belong to an earlier membership."""
        self._listener.on_lost()
        self._stop(self._started)

    def _forget(self, gone: Set[Position]) -> None:
        if paused := self._paused & gone:
            # Else they would still be paused when they come back.
            self._consumer.resume(partitions_of(paused))
        self._stop(gone)
        self._assigned -= gone
        self._paused -= gone
        self._at_end -= gone


def _shown(positions: Mapping[Position, int]) -> dict[str, int]:
    return {f"{topic}/{number}": offset for (topic, number), offset in sorted(positions.items())}
