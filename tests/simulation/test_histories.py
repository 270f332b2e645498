"""Exactly one answer for every record, over thousands of seeded histories; `ADJUDICATE_HISTORIES` asks for more.

A history that breaks the promise is named by its seed, with what happened last. `python -m tests.simulation SEED`
shows all of it.
"""

import os
from collections.abc import Iterator
from typing import Any, Final

import pytest
from confluent_kafka import TopicPartition

from stream.errors import PositionLost
from stream.kafka import Source
from stream.kafka.claims import Claims
from stream.kafka.client import positions_of
from tests.simulation.world import History, World, simulated

HISTORIES: Final = int(os.environ.get("ADJUDICATE_HISTORIES", "100"))
_CHUNK: Final = 25
_SHOWN: Final = 40


@pytest.mark.parametrize("first", range(0, HISTORIES, _CHUNK))
def test_every_record_is_answered_once_whatever_happens(first: int) -> None:
    for seed in range(first, min(first + _CHUNK, HISTORIES)):
        with simulated(seed) as world:
            history = world.run()
        assert not history.findings, told(history)


@pytest.mark.parametrize("first", range(0, HISTORIES, _CHUNK))
def test_topics_made_anew_are_read_from_their_beginning(first: int) -> None:
    """Records of the topics that are there in the end are answered once, those of deleted ones at most once."""
    for seed in range(first, min(first + _CHUNK, HISTORIES)):
        with simulated(seed, recreates=True) as world:
            history = world.run()
        assert not history.findings, told(history)


def test_a_topic_made_anew_needs_the_check_before_each_commit() -> None:
    """A watch alone comes too late: what was read of the new topic by then is answered twice."""

    def find() -> Iterator[History]:
        for seed in range(500):
            with simulated(seed, recreates=True) as world, pytest.MonkeyPatch.context() as patch:
                patch.setattr(Claims, "prove", lambda self, _: dict(self.by_topic))
                yield world.run()

    assert "doubled" in next(history for history in find() if history.findings).findings


def told(history: History) -> str:
    return "\n".join([f"seed {history.seed}: {history.findings}", *history.trace[-_SHOWN:]])


def test_the_promise_is_not_kept_where_the_client_finds_its_positions() -> None:
    """Issue 18. The schedules must be able to find what a test of one schedule found once in months."""
    broken = next(history for history in _histories_before_the_mend() if history.findings)
    assert "doubled" in broken.findings


def _histories_before_the_mend() -> Iterator[History]:
    for seed in range(2000):
        with simulated(seed) as world, pytest.MonkeyPatch.context() as patch:
            _undo_the_mend(world, patch)
            yield world.run()


def _undo_the_mend(world: World, patch: pytest.MonkeyPatch) -> None:
    """As it was: librdkafka looks committed offsets up, and begins where there is none."""
    real = world.make

    def make(kind: type, settings: Any, name: str, entries: dict[str, Any]) -> Any:
        return real(kind, settings, name, entries | {"auto.offset.reset": "earliest"})

    def start(self: Source, consumer: Any, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        self._assigned |= positions_of(partitions)
        self._started |= positions_of(partitions)
        self._proof = consumer.consumer_group_metadata()
        self._member_id = consumer.memberid()

    def rewind(self: Source) -> bool:
        self.resume()
        self._consumer.incremental_unassign(self._consumer.assignment())
        self._consumer.incremental_assign([TopicPartition(*place) for place in sorted(self._assigned)])
        return True

    patch.setattr("stream.kafka.source.made", make)
    patch.setattr(Source, "_on_assign", start)
    patch.setattr(Source, "rewind", rewind)
    patch.setattr(Source, "start_assigned", lambda _: {})


@pytest.mark.parametrize("seed", range(20))
def test_offsets_that_vanish_stop_the_workers(seed: int) -> None:
    """An operator's mistake, or the brokers': nothing may be read again, and the partition is named."""
    with simulated(seed) as world:
        history = world.run(lose_offset=("pages", 1))
    assert not history.visible - history.expected
    (failure, *_) = history.failures
    assert isinstance(failure, PositionLost)
    assert "pages/1" in str(failure)
