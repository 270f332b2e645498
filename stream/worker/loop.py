"""The worker's loop: consume → stage → produce → offsets → commit, several batches to a transaction.

One thread owns the consumer and the producer. A stage works on a few batches at a time elsewhere and
answers in any order; results are written in the order the batches were read, so that the offsets of a
transaction are always those of a prefix of what was read.

Failures and their handling:

- A stage fails on a batch: each of its records is tried alone; one that fails again becomes a reject.
- The transaction is aborted (`TransactionAborted`): back to the committed offsets, everything in flight dropped.
- The producer is lost or in doubt (`ProducerLost`): the same, with a new producer of the same id, whose
  start fences the old one and settles whatever it left open.
- The brokers refuse a record for good (too large): as they refuse whole batches, each suspect is sent alone
  on the next round, and the input of the one that is meant becomes a reject.
- Partitions are revoked: what is in flight is finished and committed first. Lost: it is dropped.
- An input topic is deleted and made anew: what is in flight is dropped, and the new topic is read from its
  beginning (`stream.kafka.identity`).
- A position is lost (`PositionLost`): the worker ends, because only a person can set the position.
"""

import time
from collections.abc import Sequence
from typing import Final

import structlog

from stream import metrics
from stream.errors import ProducerLost, TransactionAborted
from stream.kafka import Output, Record, Source
from stream.rejects import reject_output
from stream.settings import Settings
from stream.worker.batches import Batches
from stream.worker.producers import Producers
from stream.worker.stage import Outputs, Stage, place_of
from stream.worker.stopping import Stop, StopRequested
from stream.worker.transaction import Transaction

log = structlog.get_logger()

_FIRST_BACKOFF_S: Final = 0.05
_LONGEST_BACKOFF_S: Final = 2.0


class Worker:
    """Runs a stage until a stop is requested. `run` raises BrokerError when it cannot go on."""

    def __init__(
        self, settings: Settings, stage: Stage, *, group: str | None = None, stop_at_end: bool = False
    ) -> None:
        """With `stop_at_end`, `run` returns once everything there was has been read and committed."""
        self._settings = settings
        self._limits = settings.worker
        self._stage = stage
        self._group = group or f"{settings.application}-{stage.name}"
        self._stop_at_end = stop_at_end
        self._stop = Stop(settings.worker.stop_within_s)
        self._batches = Batches(stage, self._reject)
        self._backoff_s = _FIRST_BACKOFF_S
        self._must_rewind = False
        self._is_drained = True
        self._source: Source
        self._transaction: Transaction
        self.progress = metrics.Progress(stage.name)

    def stop(self, *, leave: bool = False) -> None:
        """Finish what is in flight and return from `run`. Safe in a signal handler.

        leave: give up the place in the group as well, so that other workers go on with its partitions at once.
        """
        self._stop.request(leave=leave or self._limits.leave_on_stop)

    def run(self) -> None:
        try:
            self._open()
        except StopRequested:
            log.warning("stopped before the brokers answered")
            return
        try:
            while not self._stop.is_requested and not self._is_finished():
                self._step()
            self._finish()
        except StopRequested:
            log.warning("stopped while the brokers were away")
        except (TransactionAborted, ProducerLost) as error:
            log.warning("the last transaction was not committed; its records will be read again", error=str(error))
        finally:
            self._close()

    def _open(self) -> None:
        kafka, instance = self._settings.kafka, self._settings.instance
        producers = Producers(kafka, self._group, instance, self._stop, self.progress)
        self._transaction = Transaction(producers, self.progress)
        topics = self._stage.topics
        self._source = Source(kafka, group=self._group, instance=instance, topics=topics, listener=self)
        log.info("worker started", stage=self._stage.name, group=self._group, instance=instance)

    def _close(self) -> None:
        self._transaction.close()
        self._batches.drop()
        self._source.close(leave=self._stop.must_leave)
        self._transaction.discard()
        log.info("worker stopped", stage=self._stage.name)

    # -- one turn of the loop -----------------------------------------------------------------

    def _step(self) -> None:
        try:
            self._rewind_if_due()
            self._start_partitions()
            self._take()
            self._write_answered()
            self._commit_if_due()
        except (TransactionAborted, ProducerLost) as error:
            self._recover(error)

    def _start_partitions(self) -> None:
        """1. Start new partitions; where the group begins with them, its first offsets are committed next."""
        if not self._must_rewind and (begins := self._source.start_assigned()):
            self._transaction.begin_at(begins)

    def _take(self) -> None:
        """2. Read a batch and give it to the stage, unless enough is in flight already."""
        if self._has_room():
            self._source.resume()
            self._submit(self._gather())
        elif not self._batches.wait_for_head(1.0):
            self._wait_paused()

    def _gather(self) -> list[Record]:
        limits = self._limits
        if self._batches or self._transaction.is_open:
            return self._source.take(limits.batch, limits.linger_s)
        first = self._source.take(1, 0.05)
        if not first or limits.batch == 1:
            return first
        # The second read may lose the partition of the first.
        return self._source.owned(first + self._source.take(limits.batch - 1, limits.linger_s))

    def _submit(self, records: Sequence[Record]) -> None:
        if self._must_rewind:
            # A rebalance inside the read gave up on earlier records: these come again after the rewind.
            return
        self._is_drained = len(records) < self._limits.batch
        if records:
            self._batches.submit(records)
        elif not self._batches:
            self.progress.idle()

    def _has_room(self) -> bool:
        return len(self._batches) < self._limits.in_flight and self._stage.is_ready()

    def _wait_paused(self) -> None:
        """A long wait: stop fetching but keep polling, or the group would take us for dead."""
        self._source.pause()
        if not self._stage.is_ready():
            self.progress.waiting()
        self._submit(self._source.take(self._limits.batch, 0.1))

    def _write_answered(self) -> None:
        """3. Write the results of finished batches, oldest first."""
        for records, outputs in self._batches.answered():
            self._write(records, outputs)
            if self._transaction.is_full:
                self._commit()

    def _write(self, records: Sequence[Record], results: Outputs) -> None:
        for record, outputs in zip(records, results, strict=False):
            self._transaction.write(record, self._or_reject(record, outputs))
        self.progress.written(len(results))

    def _commit_if_due(self) -> None:
        """4. Commit when the transaction is old enough, or nothing more is on its way."""
        nothing_to_come = self._is_drained and not self._batches
        if nothing_to_come or self._transaction.age_s() >= self._limits.commit_interval_s:
            self._commit()

    def _commit(self) -> None:
        if self._transaction.is_open:
            self._transaction.commit(self._source.prove_membership(self._stop.by))
            self._backoff_s = _FIRST_BACKOFF_S

    def _or_reject(self, record: Record, outputs: list[Output]) -> list[Output]:
        reason = self._transaction.refusals.reason(place_of(record))
        return outputs if reason is None else [self._reject(record, "output_refused", reason)]

    def _reject(self, record: Record, reason: str, detail: str) -> Output:
        return reject_output(
            self._settings.topics.rejects, record, stage=self._stage.name, reason=reason, detail=detail
        )

    # -- when a transaction fails -------------------------------------------------------------

    def _recover(self, error: TransactionAborted | ProducerLost) -> None:
        """Forget everything in flight and read it again."""
        log.warning("transaction aborted", error=str(error))
        self._batches.drop()
        self._must_rewind = True
        self.progress.aborted()
        self._stop.nap(self._backoff_s)
        self._backoff_s = min(_LONGEST_BACKOFF_S, self._backoff_s * 2)
        self._transaction.recover(error)

    def _rewind_if_due(self) -> None:
        if not self._must_rewind:
            return
        if self._source.rewind():
            self._must_rewind = False
        else:
            self._source.take(1, 0.1)

    # -- rebalances (called from within Source.take) -------------------------------------------

    def on_revoked(self) -> None:
        try:
            self._finish()
        except (TransactionAborted, ProducerLost) as error:
            self._recover(error)
        self._drop_this_read()

    def on_lost(self) -> None:
        if self._transaction.is_open:
            self._recover(TransactionAborted("partitions lost"))
        self._batches.drop()
        self._drop_this_read()

    def _drop_this_read(self) -> None:
        """What the read we are called from has gathered may be of the partitions that go, and a proof of
        membership does not say whose a partition is: the brokers would take our offsets for it."""
        self._must_rewind = True

    # -- the end ------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Write and commit what is in flight; what is not answered in time is left uncommitted."""
        deadline = self._stop.deadline()
        while self._batches.wait_for_head(max(0.0, deadline - time.monotonic())):
            self._write_answered()
        unfinished = len(self._batches)
        self._commit()
        if unfinished:
            log.warning("left uncommitted, to be read again", batches=unfinished)
            self._batches.drop()
            self._must_rewind = True

    def _is_finished(self) -> bool:
        is_busy = self._batches or self._transaction.is_open or self._must_rewind
        return self._stop_at_end and not is_busy and self._source.is_at_end()
