"""The interface of a stage."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from stream.kafka import Output, Record

Outputs = list[list[Output]]
"""For each record of a batch, in its order, the records to write for it.

A stage may answer only the first records of a batch, where the answers are large: the rest is submitted again.
"""

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class Stage(Protocol):
    """The work on records. A stage does not move them."""

    name: str
    topics: tuple[str, ...]

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        """Start on a batch. A cancelled future's work may be dropped."""

    def is_ready(self) -> bool:
        """False while records had better wait on the broker. Never raises."""

    def close(self) -> None: ...


def place_of(record: Record) -> Place:
    return record.topic, record.partition, record.offset
