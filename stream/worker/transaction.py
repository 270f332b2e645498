"""One transaction: output records, and the offsets of the records that they answer."""

import time
from collections.abc import Mapping
from typing import Final

import structlog

from stream.errors import BrokerError, ProducerLost, TransactionAborted
from stream.kafka import Membership, Output, Position, Record
from stream.metrics import Progress
from stream.worker.producers import Producers
from stream.worker.refusals import Refusals
from stream.worker.stage import place_of

log = structlog.get_logger()

MOST_BYTES: Final = 16 * 1024 * 1024
"""Size at which a transaction is committed: a larger one might not be flushed in time."""
_LAST_ABORT_S: Final = 2.0


class Transaction:
    """At most one is open. It begins with what is first put into it."""

    def __init__(self, producers: Producers, progress: Progress) -> None:
        """Raises what `Producers.make` raises."""
        self._producers = producers
        self._progress = progress
        self._sink = producers.make()
        self._since: float | None = None
        self._bytes = 0
        self._offsets: dict[Position, int] = {}
        self.refusals = Refusals()

    @property
    def is_open(self) -> bool:
        return self._since is not None

    @property
    def is_full(self) -> bool:
        return self._bytes >= MOST_BYTES

    def age_s(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since

    def write(self, record: Record, outputs: list[Output]) -> None:
        """Write what answers a record, and let it be read no more once that is committed."""
        self._begin()
        place = place_of(record)
        for output in outputs:
            self._sink.send(output, place, alone=self.refusals.is_suspect(place))
            self._bytes += len(output.value)
        self._offsets[record.position] = record.offset + 1

    def begin_at(self, offsets: Mapping[Position, int]) -> None:
        """Commit these as where the group begins."""
        self._begin()
        self._offsets.update(offsets)

    def commit(self, membership: Membership) -> None:
        """Raises TransactionAborted or ProducerLost: then `recover`."""
        if self._since is None:
            return
        started = time.monotonic()
        self._sink.commit(self._offsets, membership)
        self.refusals.forget_settled(self._offsets)
        self._forget()
        self._progress.committed(time.monotonic() - started)

    def recover(self, error: BrokerError) -> None:
        """After an error: a clean producer with nothing open. What was written is gone."""
        self._forget()
        if isinstance(error, ProducerLost):
            self._replace_sink(error)
            return
        try:
            self._sink.abort()
        except (TransactionAborted, ProducerLost) as lost:
            self._replace_sink(lost)
        else:
            self.refusals.note(self._sink.refusals())

    def close(self) -> None:
        """Leave nothing open: that would hide everything behind it from readers until it times out."""
        if self._since is not None:
            try:
                self._sink.abort(_LAST_ABORT_S)
            except BrokerError as error:
                log.warning("left to the brokers to abort", error=str(error))
        self._forget()

    def discard(self) -> None:
        self._sink.discard()

    def _begin(self) -> None:
        if self._since is None:
            self._sink.begin()
            self._since = time.monotonic()

    def _replace_sink(self, error: BrokerError) -> None:
        lost = self._sink
        self._sink = self._producers.replace(lost, error)
        self.refusals.note(lost.refusals())

    def _forget(self) -> None:
        self._since = None
        self._bytes = 0
        self._offsets = {}
