"""A position is established, never guessed: real workers in threads over a real broker."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from stream.errors import PositionLost
from stream.kafka import Output, Record, read_committed
from stream.kafka.positions import metadata_of
from stream.sandbox import Sandbox
from stream.settings import KafkaSettings, Settings, WorkerSettings
from stream.worker import Outputs, Worker

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

PARTITIONS = 4


class Copy:
    """Writes the topic, partition and offset of each record."""

    name = "copy"

    def __init__(self, topics: Sequence[str], out: str) -> None:
        self.topics = tuple(topics)
        self._out = out

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        answer: Future[Outputs] = Future()
        answer.set_result([[Output(self._out, b"k", f"{r.topic}/{r.partition}/{r.offset}".encode())] for r in records])
        return answer

    def is_ready(self) -> bool:
        return True

    def close(self) -> None: ...


class Group:
    """Two input topics, an output topic, and workers of one group over them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.name = uuid.uuid4().hex[:8]
        self.first, self.second, self.out = (f"{self.name}.{topic}" for topic in ("first", "second", "out"))
        sandbox.create_topics([self.first, self.second, self.out], PARTITIONS)
        self.client = sandbox.kafka_settings
        self.settings = KafkaSettings(
            bootstrap_servers=sandbox.bootstrap_servers, session_timeout_s=6, transaction_timeout_s=8
        )
        self.failures: list[BaseException] = []

    def fill(self, topic: str, partition: int, count: int) -> None:
        producer = Producer(self.client)
        for _ in range(count):
            producer.produce(topic, b"v", partition=partition)
        assert producer.flush(30) == 0

    def commit(self, *places: TopicPartition) -> None:
        """As a tool does, while the group has no members."""
        with_group = self._consumer()
        with_group.commit(offsets=list(places), asynchronous=False)
        with_group.close()

    def committed(self) -> dict[tuple[str, int], int]:
        admin = AdminClient(dict(self.client))
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.name)], require_stable=True)
        places = asked[self.name].result(20).topic_partitions
        return {(place.topic, place.partition): place.offset for place in places}

    def await_members(self, count: int) -> None:
        """Until the group is stable with so many members, each with partitions."""
        admin, deadline = AdminClient(dict(self.client)), time.monotonic() + 30
        while time.monotonic() < deadline:
            told = admin.describe_consumer_groups([self.name])[self.name].result(20)
            owners = [member for member in told.members if member.assignment.topic_partitions]
            if told.state == ConsumerGroupState.STABLE and len(owners) == count:
                return
            time.sleep(0.05)
        raise TimeoutError(f"the group has not {count} members")

    @contextmanager
    def unsettled(self, *places: TopicPartition) -> Iterator[None]:
        """While this lasts, an open transaction holds newer offsets; then it is committed."""
        producer = Producer({**self.client, "transactional.id": f"other-{self.name}"})
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.send_offsets_to_transaction(list(places), self._consumer().consumer_group_metadata(), 20)
        yield
        producer.commit_transaction(20)

    @contextmanager
    def worker(self, instance: str = "w0", **worker: Any) -> Iterator[Worker]:
        settings = Settings(instance=instance, kafka=self.settings, worker=WorkerSettings(**worker))
        running = Worker(settings, Copy([self.first, self.second], self.out), group=self.name)

        def run() -> None:
            try:
                running.run()
            except BaseException as error:  # noqa: BLE001 - judged by the test
                self.failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            running.stop()
            thread.join(30)
            assert not thread.is_alive()

    def written(self, until: int, idle: int = 20) -> Counter[str]:
        """What came out; waits until there is so much, then for more that should not come."""
        seen: Counter[str] = Counter()
        for record in read_committed(self.settings, [self.out], follow=True, idle_s=0.1):
            if record is not None:
                seen[(record.value or b"").decode()] += 1
            elif seen.total() >= until or self.failures:
                idle -= 1
                if idle <= 0:
                    break
        return seen

    def _consumer(self) -> Consumer:
        return Consumer({**self.client, "group.id": self.name, "enable.auto.commit": False})


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
