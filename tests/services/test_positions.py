"""A position is established, never guessed: real workers in threads over a real broker."""

from collections import Counter
from collections.abc import Mapping

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from stream.errors import PositionLost
from stream.kafka.positions import metadata_of
from stream.sandbox import Sandbox
from tests.services.worker_group import PARTITIONS, Group

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]


@pytest.fixture
def group(sandbox: Sandbox) -> Group:
    return Group(sandbox)


def expected(ranges: Mapping[tuple[str, int], range]) -> Counter[str]:
    return Counter(f"{topic}/{number}/{offset}" for (topic, number), span in ranges.items() for offset in span)


def began(group: Group) -> list[TopicPartition]:
    """Offset 0 in every partition, as a group's first commit says it."""
    return [
        TopicPartition(topic, number, 0, metadata=metadata_of(PARTITIONS))
        for topic in (group.first, group.second)
        for number in range(PARTITIONS)
    ]


def at(topic: str, number: int, offset: int) -> TopicPartition:
    return TopicPartition(topic, number, offset, metadata=metadata_of(PARTITIONS))


def test_an_offset_that_is_not_stable_yet_is_no_beginning(group: Group) -> None:
    """Issue 18: where the assignment changes meanwhile, librdkafka takes "not stable yet" for "no offset"."""
    for number in range(PARTITIONS):
        group.fill(group.first, number, 5)
        group.fill(group.second, number, 50)
    group.commit(*(at(group.first, number, 0) for number in range(PARTITIONS)))
    group.commit(*(at(group.second, number, 40) for number in range(PARTITIONS)))
    firsts = expected({(group.first, number): range(5) for number in range(PARTITIONS)})
    newer = [at(group.second, number, 45) for number in range(PARTITIONS)]
    with group.unsettled(*newer), group.worker("w0"):
        group.await_members(1)
        with group.worker("w1"):
            group.await_members(2)
            assert group.written(until=5 * PARTITIONS) == firsts
    with group.worker("w0"):
        seen = group.written(until=10 * PARTITIONS)
    assert seen == firsts + expected({(group.second, number): range(45, 50) for number in range(PARTITIONS)})
    assert group.failures == []


def test_a_group_begins_at_the_first_record_of_every_partition(group: Group) -> None:
    for number in range(PARTITIONS):
        group.fill(group.first, number, 3)
    with group.worker("w0"), group.worker("w1"):
        seen = group.written(until=3 * PARTITIONS)
    assert seen == expected({(group.first, number): range(3) for number in range(PARTITIONS)})
    assert group.committed() == {
        (topic, number): {group.first: 3, group.second: 0}[topic]
        for topic in (group.first, group.second)
        for number in range(PARTITIONS)
    }


def test_an_offset_that_was_lost_stops_the_worker_and_is_named(group: Group) -> None:
    group.fill(group.second, 2, 10)
    group.commit(*(place for place in began(group) if (place.topic, place.partition) != (group.second, 2)))
    with group.worker():
        seen = group.written(until=1, idle=1)
    assert seen == Counter()
    (failure,) = group.failures
    assert isinstance(failure, PositionLost)
    assert f"group {group.name}" in str(failure)
    assert f"no offset of it for {group.second}/2;" in str(failure)
    assert "kafka-consumer-groups" in str(failure)


def test_records_deleted_before_they_were_read_stop_the_worker(group: Group) -> None:
    group.fill(group.first, 1, 10)
    group.commit(*began(group))
    admin = AdminClient(dict(group.client))  # must outlive its futures
    for future in admin.delete_records([TopicPartition(group.first, 1, 6)]).values():
        future.result(20)
    with group.worker():
        seen = group.written(until=1, idle=1)
    assert seen == Counter()
    (failure,) = group.failures
    assert isinstance(failure, PositionLost)
    assert f"group {group.name}: {group.first}/1 cannot be read from offset 0 on" in str(failure)
    assert "its records are those from 6 to 9." in str(failure)


def test_partitions_added_later_are_begun_at_their_first_record(group: Group) -> None:
    group.fill(group.first, 0, 3)
    with group.worker():
        group.written(until=3, idle=1)
        admin = AdminClient(dict(group.client))  # must outlive its futures
        admin.create_partitions([NewPartitions(group.first, PARTITIONS + 2)])[group.first].result(20)
        group.fill(group.first, PARTITIONS, 4)
        group.fill(group.first, PARTITIONS + 1, 4)
        seen = group.written(until=11)
    ranges = {(group.first, 0): range(3)} | {(group.first, PARTITIONS + extra): range(4) for extra in range(2)}
    assert seen == expected(ranges)
    assert group.committed()[group.first, PARTITIONS + 1] == 4
    assert group.failures == []
