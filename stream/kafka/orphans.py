"""Orphaned partitions: partitions without an owner in a stable group.

A member gives partitions up in one rebalance and joins again to have them handed on in a second one. Where it dies
in between and its successor comes back under the same `group.instance.id`, the brokers answer with what is left
of its assignment and see no need for another rebalance: the rest stays without an owner.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Final

import structlog
from confluent_kafka import ConsumerGroupState, KafkaException

from stream.errors import BrokerError
from stream.kafka.client import positions_of
from stream.kafka.group_admin import GroupAdmin
from stream.kafka.records import Position
from stream.kafka.topics import every_partition
from stream.settings import KafkaSettings

log = structlog.get_logger()

_LOOKS: Final = 4
"""Partitions must be without an owner for a whole session, in this many checks: a member that gives them up may
first finish its work in flight.
"""


class OrphanWatch:
    """Looks at the group now and then, from a separate thread, until the process ends.

    Of all members only the first, in the order of their ids, acts on orphaned partitions.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        admin: GroupAdmin,
        topics: Sequence[str],
        member_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._admin = admin
        self._topics = topics
        self._member_id = member_id
        self._must_rejoin = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="orphans", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()

    def must_rejoin(self) -> bool:
        """Whether this member should leave and join anew, so that the group assigns its partitions again. Asks once."""
        found = self._must_rejoin.is_set()
        self._must_rejoin.clear()
        return found

    def _watch(self) -> None:
        seen: set[Position] = set()
        looks = 0
        while not self._closing.wait(self._settings.session_timeout_s / _LOOKS):
            before, seen = seen, self._look()
            looks = looks + 1 if seen == before else 0
            if seen and looks >= _LOOKS:
                log.warning(
                    "partitions are orphaned; joining anew",
                    partitions=[f"{topic}/{partition}" for topic, partition in sorted(seen)],
                )
                self._must_rejoin.set()
                seen, looks = set(), 0

    def _look(self) -> set[Position]:
        try:
            return self._orphans()
        except (KafkaException, FutureTimeout):
            return set()

    def _orphans(self) -> set[Position]:
        """Empty unless this is the member that has to act."""
        timeout_s = self._settings.request_timeout_s
        group = self._admin.describe(timeout_s)
        members = sorted(member.member_id for member in group.members)
        if group.state != ConsumerGroupState.STABLE or members[:1] != [self._member_id()]:
            return set()
        owned = {place for member in group.members for place in positions_of(member.assignment.topic_partitions)}
        return self._known(timeout_s) - owned

    def _known(self, timeout_s: float) -> set[Position]:
        places: set[Position] = set()
        for topic in self._topics:
            with suppress(BrokerError):  # A topic that is not there yet has no partitions to be left.
                places |= every_partition(self._admin.client, [topic], timeout_s)
        return places
