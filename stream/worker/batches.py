"""Batches in work at the stage, in the order of reading."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

import structlog

from stream.kafka import Output, Record
from stream.worker.stage import Outputs, Stage

log = structlog.get_logger()

Reject = Callable[[Record, str, str], Output]
"""Makes a reject of a record, a reason and a detail."""


@dataclass(frozen=True, slots=True)
class _Batch:
    records: Sequence[Record]
    outputs: "Future[Outputs]"
    is_retry: bool = False


class Batches:
    """A stage answers in any order; the answers leave in the order of reading.

    A batch that fails is tried record by record; a record that fails again is answered with a reject.
    """

    def __init__(self, stage: Stage, reject: Reject) -> None:
        self._stage = stage
        self._reject = reject
        self._waiting: deque[_Batch] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, records: Sequence[Record]) -> None:
        self._waiting.append(_Batch(records, self._stage.submit(records)))

    def wait_for_head(self, timeout_s: float) -> bool:
        """Whether the oldest batch is answered within that time."""
        if not self._waiting:
            return False
        try:
            self._waiting[0].outputs.exception(timeout_s)
        except FutureTimeout:
            return False
        return True

    def answered(self) -> Iterator[tuple[Sequence[Record], Outputs]]:
        """Take out what is answered, oldest first."""
        while self._waiting and self._waiting[0].outputs.done():
            batch = self._waiting.popleft()
            if (outputs := self._outputs(batch)) is None:
                self._retry_alone(batch)
            else:
                self._submit_rest(batch, len(outputs))
                yield batch.records, outputs

    def drop(self) -> None:
        for batch in self._waiting:
            batch.outputs.cancel()
        self._waiting.clear()

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
        """One record may have failed the whole batch: each is tried alone, in order."""
        alone = [_Batch([record], self._stage.submit([record]), is_retry=True) for record in batch.records]
        self._waiting.extendleft(reversed(alone))

    def _submit_rest(self, batch: _Batch, answered: int) -> None:
        if rest := batch.records[answered:]:
            self._waiting.appendleft(_Batch(rest, self._stage.submit(rest), batch.is_retry))
