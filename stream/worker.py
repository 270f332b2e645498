"""The worker's loop: consume → stage → produce → offsets → commit, several batches to a transaction.

One thread owns the consumer and the producer. A stage works on a few batches at a time elsewhere and
answers in any order; results are written in the order the batches were read, so that the offsets of a
transaction are always those of a prefix of what was read.

What can go wrong, and what then happens:

- A stage fails on a batch: each of its records is tried alone; one that fails again becomes a reject.
- The transaction is aborted (`TransactionAborted`): back to the committed offsets, all in flight forgotten.
- The producer is lost or in doubt (`ProducerLost`): the same, with a new producer of the same id, whose
  start fences the old one and settles whatever it left open.
- The brokers refuse a record for good (too large): as they refuse whole batches, each suspect is sent alone
  on the next round, and the input of the one that is meant becomes a reject.
- Partitions are revoked: what is in flight is finished and committed first. Lost: it is forgotten.
"""

import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from moderation.errors import BrokerError, ProducerLost, TransactionAborted
from stream import metrics
from stream.kafka import Output, Position, Record, Sink, Source
from stream.rejects import reject_output
from stream.settings import Settings

log = structlog.get_logger()

Outputs = list[list[Output]]
"""For each record of a batch, in its order, the records to write for it.

A stage may answer only the first records of a batch, where the answers are large: the rest is submitted again.
"""

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""

_FENCED_LIMIT: Final = 5
_FENCED_WITHIN_S: Final = 60.0
_FIRST_BACKOFF_S: Final = 0.05
_LAST_ABORT_S: Final = 2.0
_LAST_CALLS_S: Final = 1.0
"""For the last commit, after what was in flight had its time."""
_TRANSACTION_BYTES: Final = 16 * 1024 * 1024
"""A transaction that holds so much is committed: a larger one might not be flushed in time, ever."""


class Stage(Protocol):
    """What a worker does with records; moving them is not its concern."""

    name: str
    topics: tuple[str, ...]

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        """Start on a batch. A cancelled future's work may be dropped."""

    def is_ready(self) -> bool:
        """False while records had better wait on the broker. Never raises."""

    def close(self) -> None: ...


class _StopRequested(Exception):
    """Told to stop while waiting for the brokers."""


@dataclass(frozen=True, slots=True)
class _Batch:
    records: Sequence[Record]
    outputs: "Future[Outputs]"
    is_retry: bool = False


class Worker:
    """Runs a stage until told to stop. `run` raises BrokerError when it cannot go on."""

    def __init__(
        self, settings: Settings, stage: Stage, *, group: str | None = None, stop_at_end: bool = False
    ) -> None:
        """With `stop_at_end`, `run` returns once everything there was has been read and committed."""
        self._settings = settings
        self._stage = stage
        self._group = group or f"{settings.application}-{stage.name}"
        self._stop_at_end = stop_at_end
        self._in_flight: deque[_Batch] = deque()
        self._unsent_offsets: dict[Position, int] = {}
        self._transaction_since: float | None = None
        self._transaction_bytes = 0
        self._suspects: set[Place] = set()
        self._refused: dict[Place, str] = {}
        self._fenced: deque[float] = deque(maxlen=_FENCED_LIMIT)
        self._backoff_s = _FIRST_BACKOFF_S
        self._must_rewind = False
        self._is_drained = True
        self._stopping = False
        self._stop_by = math.inf
        self._source: Source
        self._sink: Sink
        self.progress = metrics.Progress(stage.name)

    def stop(self) -> None:
        """Finish what is in flight and return from `run`. Safe in a signal handler."""
        self._stop_by = min(self._stop_by, time.monotonic() + self._settings.worker.stop_within_s)
        self._stopping = True

    def run(self) -> None:
        instance = self._settings.instance
        try:
            self._sink = self._new_sink()
        except _StopRequested:
            log.warning("stopped before the brokers answered")
            return
        self._source = Source(
            self._settings.kafka, group=self._group, instance=instance, topics=self._stage.topics, listener=self
        )
        log.info("worker started", stage=self._stage.name, group=self._group, instance=instance)
        try:
            while not self._stopping and not self._is_finished():
                self._step()
            self._finish()
        except _StopRequested:
            log.warning("stopped while the brokers were away")
        except (TransactionAborted, ProducerLost) as error:
            log.warning("the last transaction was not committed; its records will be read again", error=str(error))
        finally:
            self._abort_at_end()
            self._forget_in_flight()
            self._source.close()
            self._sink.discard()
            log.info("worker stopped", stage=self._stage.name)

    # -- one turn of the loop -----------------------------------------------------------------

    def _step(self) -> None:
        try:
            if self._must_rewind:
                self._rewind()
            self._start_partitions()
            self._take()
            self._write_done()
            self._commit_if_due()
        except TransactionAborted as error:
            self._after_abort(error)
        except ProducerLost as error:
            self._after_loss(error)

    def _start_partitions(self) -> None:
        """0. Start new partitions; where the group begins with them, its first offsets are committed next."""
        if self._must_rewind:
            return
        if begins := self._source.start_assigned():
            self._begin()
            self._unsent_offsets.update(begins)

    def _take(self) -> None:
        """1. Read a batch and give it to the stage, unless enough is in flight already."""
        if self._has_room():
            self._source.resume()
            self._start(self._gather())
        elif not self._wait_for_head(1.0):
            self._wait_paused()

    def _gather(self) -> list[Record]:
        limits = self._settings.worker
        if self._in_flight or self._transaction_since is not None:
            return self._source.take(limits.batch, limits.linger_s)
        first = self._source.take(1, 0.05)
        if not first or limits.batch == 1:
            return first
        # The second read may lose the partition of the first.
        return self._source.owned(first + self._source.take(limits.batch - 1, limits.linger_s))

    def _start(self, records: Sequence[Record]) -> None:
        if self._must_rewind:
            # A rebalance inside the read gave up on earlier records: these come again after the rewind.
            return
        self._is_drained = len(records) < self._settings.worker.batch
        if records:
            self._in_flight.append(_Batch(records, self._stage.submit(records)))
        elif not self._in_flight:
            self.progress.idle()

    def _has_room(self) -> bool:
        return len(self._in_flight) < self._settings.worker.in_flight and self._stage.is_ready()

    def _wait_paused(self) -> None:
        """A long wait: stop fetching but keep polling, or the group would take us for dead."""
        self._source.pause()
        if not self._stage.is_ready():
            self.progress.waiting()
        self._start(self._source.take(self._settings.worker.batch, 0.1))

    def _wait_for_head(self, timeout_s: float) -> bool:
        if not self._in_flight:
            return False
        try:
            self._in_flight[0].outputs.exception(timeout_s)
        except FutureTimeout:
            return False
        return True

    def _write_done(self) -> None:
        """2. Write the results of finished batches, oldest first."""
        while self._in_flight and self._in_flight[0].outputs.done():
            batch = self._in_flight.popleft()
            if (outputs := self._outputs(batch)) is None:
                self._retry_alone(batch)
            else:
                self._submit_rest(batch, len(outputs))
                self._write(batch.records, outputs)
            if self._transaction_bytes >= _TRANSACTION_BYTES:
                self._commit()

    def _submit_rest(self, batch: _Batch, answered: int) -> None:
        if rest := batch.records[answered:]:
            self._in_flight.appendleft(_Batch(rest, self._stage.submit(rest), batch.is_retry))

    def _write(self, records: Sequence[Record], results: Outputs) -> None:
        self._begin()
        for record, outputs in zip(records, results, strict=False):
            place = _place(record)
            for output in self._or_reject(record, outputs):
                self._sink.send(output, place, alone=place in self._suspects)
                self._transaction_bytes += len(output.value)
            self._unsent_offsets[record.position] = record.offset + 1
        self.progress.written(len(results))

    def _commit_if_due(self) -> None:
        """3. Commit when the transaction is old enough, or nothing more is on its way."""
        if self._transaction_since is None:
            return
        age_s = time.monotonic() - self._transaction_since
        nothing_to_come = self._is_drained and not self._in_flight
        if nothing_to_come or age_s >= self._settings.worker.commit_interval_s:
            self._commit()

    def _commit(self) -> None:
        if self._transaction_since is None:
            return
        started = time.monotonic()
        self._sink.commit(self._unsent_offsets, self._source.membership)
        self._forget_settled()
        self._unsent_offsets.clear()
        self._transaction_since = None
        self._transaction_bytes = 0
        self._backoff_s = _FIRST_BACKOFF_S
        self.progress.committed(time.monotonic() - started)

    def _begin(self) -> None:
        if self._transaction_since is None:
            self._sink.begin()
            self._transaction_since = time.monotonic()

    # -- results of a batch -------------------------------------------------------------------

    def _outputs(self, batch: _Batch) -> Outputs | None:
        try:
            return batch.outputs.result()
        except Exception as error:  # The boundary to a stage: nothing it raises may stop the stream.
            log.exception("stage failed", records=len(batch.records), alone=batch.is_retry)
            if not batch.is_retry:
                return None
            detail = f"{type(error).__name__}: {error}"
            return [[self._reject(record, "stage_failed", detail)] for record in batch.records]

    def _retry_alone(self, batch: _Batch) -> None:
        """One record may have failed the whole batch: each gets a try of its own, in order."""
        alone = [_Batch([record], self._stage.submit([record]), is_retry=True) for record in batch.records]
        self._in_flight.extendleft(reversed(alone))

    def _or_reject(self, record: Record, outputs: list[Output]) -> list[Output]:
        reason = self._refused.get(_place(record))
        return outputs if reason is None else [self._reject(record, "output_refused", reason)]

    def _reject(self, record: Record, reason: str, detail: str) -> Output:
        return reject_output(
            self._settings.topics.rejects, record, stage=self._stage.name, reason=reason, detail=detail
        )

    # -- when a transaction fails -------------------------------------------------------------

    def _after_abort(self, error: TransactionAborted) -> None:
        log.warning("transaction aborted", error=str(error))
        self._give_up_transaction()
        try:
            self._sink.abort()
        except (TransactionAborted, ProducerLost) as lost:
            self._replace_sink(lost)
        else:
            self._note_refusals()

    def _after_loss(self, error: ProducerLost) -> None:
        self._give_up_transaction()
        self._replace_sink(error)

    def _replace_sink(self, error: BrokerError) -> None:
        log.warning("producer lost; making a new one", error=str(error))
        self._guard_against_a_twin(error)
        self._sink.discard()
        self._note_refusals()
        self._sink = self._new_sink()

    def _give_up_transaction(self) -> None:
        self._forget_in_flight()
        self._must_rewind = True
        self.progress.aborted()
        self._nap(self._backoff_s)
        self._backoff_s = min(2.0, self._backoff_s * 2)

    def _note_refusals(self) -> None:
        for refusal in self._sink.refusals():
            if refusal.proven:
                self._refused[refusal.origin] = refusal.reason
            else:
                self._suspects.add(refusal.origin)

    def _forget_settled(self) -> None:
        def is_open(place: Place) -> bool:
            topic, partition, offset = place
            return offset >= self._unsent_offsets.get((topic, partition), 0)

        self._suspects = set(filter(is_open, self._suspects))
        self._refused = {place: reason for place, reason in self._refused.items() if is_open(place)}

    def _guard_against_a_twin(self, error: BrokerError) -> None:
        """Two processes with one id would fence each other for ever; one answer of the broker cannot tell
        that from a paused process that comes back, their rate can."""
        if not (isinstance(error, ProducerLost) and error.fenced):
            return
        now = time.monotonic()
        self._fenced.append(now)
        if len(self._fenced) == _FENCED_LIMIT and now - self._fenced[0] < _FENCED_WITHIN_S:
            raise BrokerError(
                f"fenced {_FENCED_LIMIT} times in a minute: another process runs as instance "
                f"{self._settings.instance!r}; give each its own ADJUDICATE_INSTANCE"
            ) from error

    def _new_sink(self) -> Sink:
        """Kept on trying while the brokers are away: events wait on them, so nothing is lost by waiting."""
        kafka = self._settings.kafka
        for attempt in Retrying(
            retry=retry_if_exception_type(BrokerError),
            wait=wait_exponential_jitter(multiplier=0.1, max=2.0),
            stop=stop_after_delay(300),
            sleep=self._nap,
            reraise=True,
        ):
            with attempt:
                self.progress.waiting()
                if self._stopping:
                    raise _StopRequested
                name = f"{self._group}-{self._settings.instance}"
                return Sink(kafka, transactional_id=name, latest=lambda: self._stop_by + _LAST_CALLS_S)
        raise AssertionError("unreachable: Retrying returns or raises")

    def _nap(self, seconds: float) -> None:
        if not self._stopping:
            time.sleep(seconds)

    def _rewind(self) -> None:
        if self._source.rewind():
            self._must_rewind = False
        else:
            self._source.take(1, 0.1)

    def _forget_in_flight(self) -> None:
        for batch in self._in_flight:
            batch.outputs.cancel()
        self._in_flight.clear()
        self._unsent_offsets.clear()
        self._transaction_since = None
        self._transaction_bytes = 0

    # -- rebalances (called from within Source.take) -------------------------------------------

    def on_revoked(self) -> None:
        try:
            self._finish()
        except TransactionAborted as error:
            self._after_abort(error)
        except ProducerLost as error:
            self._after_loss(error)
        self._drop_this_read()

    def on_lost(self) -> None:
        if self._transaction_since is not None:
            self._after_abort(TransactionAborted("partitions lost"))
        self._forget_in_flight()
        self._drop_this_read()

    def _drop_this_read(self) -> None:
        """What the read we are called from has gathered may be of the partitions that go, and a proof of
        membership does not say whose a partition is: the brokers would take our offsets for it."""
        self._must_rewind = True

    # -- the end ------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Write and commit what is in flight; what is not answered in time is left uncommitted."""
        deadline = min(self._stop_by, time.monotonic() + self._settings.worker.stop_within_s)
        while self._in_flight and self._wait_for_head(max(0.0, deadline - time.monotonic())):
            self._write_done()
        unfinished = len(self._in_flight)
        self._commit()
        if unfinished:
            log.warning("left uncommitted, to be read again", batches=unfinished)
            self._forget_in_flight()
            self._must_rewind = True

    def _abort_at_end(self) -> None:
        """An open transaction would hide everything behind it from readers until it times out."""
        if self._transaction_since is None:
            return
        try:
            self._sink.abort(_LAST_ABORT_S)
        except BrokerError as error:
            log.warning("left to the brokers to abort", error=str(error))

    def _is_finished(self) -> bool:
        busy = self._in_flight or self._transaction_since is not None or self._must_rewind
        return self._stop_at_end and not busy and self._source.is_at_end()


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset
