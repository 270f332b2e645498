"""Stands for a transactional `confluent_kafka.Producer`. Any call may be lost, before or after it has its effect."""

from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.simulation.cluster import Cluster, Held, Proof, Transactional, kafka_error

_LOST: Final = 0.04
"""Chance that a call times out; in half of these the brokers have done what it asked."""
_REFUSED: Final = 0.02
_PATIENCE_S: Final = 5.0


class SimProducer:
    def __init__(self, cluster: Cluster, entries: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._id = str(entries["transactional.id"])
        self._epoch = -1

    @property
    def _state(self) -> Transactional:
        return self._cluster.transactions[self._id]

    def init_transactions(self, timeout: float) -> None:
        """Fences earlier producers, and waits until what they left open is settled."""
        self._cluster.schedule.point()
        self._state.epoch += 1
        self._epoch = self._state.epoch
        if self._state.is_open and not self._state.ending:
            self._cluster.end(self._state, "abort")
        if not self._cluster.schedule.wait(_PATIENCE_S, lambda: not self._state.ending):
            raise kafka_error(KafkaError._TIMED_OUT)

    def begin_transaction(self) -> None:
        self._check()

    def produce(self, _topic: str, value: bytes, _key: bytes, *, headers: Any, on_delivery: Any) -> None:
        self._check()
        self._open()
        self._state.outputs.append(value.decode())

    def send_offsets_to_transaction(self, places: list[TopicPartition], proof: Proof, timeout: float) -> None:
        late = self._maybe_lose()
        self._check()
        self._open()
        # The group's coordinator checks and takes the offsets in one step.
        self._cluster.group.check(proof)
        offsets = {(place.topic, place.partition): Held(place.offset, place.metadata or "") for place in places}
        self._state.offsets.update(offsets)
        self._finish(late)

    def commit_transaction(self, timeout: float) -> None:
        late = self._maybe_lose()
        self._check()
        self._end("commit")
        self._finish(late)

    def abort_transaction(self, timeout: float) -> None:
        late = self._maybe_lose()
        self._check()
        self._end("abort")
        self._finish(late)

    def poll(self, timeout: float = 0.0) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        return 0

    def purge(self) -> None: ...

    def _open(self) -> None:
        """The coordinator takes nothing new before the last transaction's markers are written."""
        self._cluster.schedule.wait(_PATIENCE_S, lambda: not self._state.ending)
        self._check()
        if not self._state.is_open:
            self._state.is_open, self._state.opened_at = True, self._cluster.schedule.now

    def _end(self, how: str) -> None:
        if self._state.is_open and not self._state.ending:
            self._cluster.end(self._state, how)

    def _check(self) -> None:
        self._cluster.schedule.point()
        if self._epoch != self._state.epoch:
            raise kafka_error(KafkaError._FENCED, fatal=True)

    def _maybe_lose(self) -> KafkaException | None:
        """Raises what is lost on its way; returns what is lost on the way back."""
        if self._cluster.are_healthy:
            return None
        if self._cluster.schedule.chance(_REFUSED):
            raise kafka_error(KafkaError.COORDINATOR_NOT_AVAILABLE, abort=True)
        if not self._cluster.schedule.chance(_LOST):
            return None
        lost = kafka_error(KafkaError._TIMED_OUT)
        if self._cluster.schedule.chance(0.5):
            raise lost
        return lost

    def _finish(self, late: KafkaException | None) -> None:
        self._cluster.schedule.point()
        if late is not None:
            raise late
