"""Workers of one group, in threads, over a real broker."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from stream.kafka import Output, Record, read_committed
from stream.sandbox import Sandbox
from stream.settings import KafkaSettings, Settings, WorkerSettings
from stream.worker import Outputs, Worker

PARTITIONS = 4


Write = Callable[[Record], bytes]


def place_of(record: Record) -> bytes:
    return f"{record.topic}/{record.partition}/{record.offset}".encode()


class Copy:
    """Writes one output for each record; unless said otherwise its topic, partition and offset."""

    name = "copy"

    def __init__(self, topics: Sequence[str], out: str, write: Write) -> None:
        self.topics = tuple(topics)
        self._out = out
        self._write = write

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        answer: Future[Outputs] = Future()
        answer.set_result([[Output(self._out, b"k", self._write(record))] for record in records])
        return answer

    def is_ready(self) -> bool:
        return True

    def close(self) -> None: ...


class Group:
    """Two input topics, an output topic, and workers of one group over them."""

    def __init__(self, sandbox: Sandbox, write: Write = place_of) -> None:
        self.write = write
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
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if len(self.owners()) == count:
                return
            time.sleep(0.05)
        raise TimeoutError(f"the group has not {count} members")

    def owners(self) -> dict[str, set[tuple[str, int]]]:
        """Instances with partitions; nothing while the group rebalances or is not loaded yet."""
        admin = AdminClient(dict(self.client))
        try:
            told = admin.describe_consumer_groups([self.name])[self.name].result(20)
        except KafkaException:
            return {}
        if told.state != ConsumerGroupState.STABLE:
            return {}
        owned = {each.group_instance_id: each.assignment.topic_partitions for each in told.members}
        return {name: {(place.topic, place.partition) for place in places} for name, places in owned.items() if places}

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
        running = Worker(settings, Copy([self.first, self.second], self.out, self.write), group=self.name)

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

    def await_written(self, until: int) -> None:
        """Until there is so much, whatever comes meanwhile: a steady load never pauses."""
        seen = 0
        for record in read_committed(self.settings, [self.out], follow=True, idle_s=0.1):
            seen += record is not None
            if seen >= until or self.failures:
                return

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
