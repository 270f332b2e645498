"""A topic that is deleted and made anew has another id: real workers over a real broker start it at its beginning."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stream import metrics
from stream.kafka import Record
from stream.kafka.positions import metadata_of
from stream.sandbox import Sandbox
from tests.records import json_record, png
from tests.services.test_stages import Deployment, deployment  # noqa: F401 - a fixture
from tests.services.worker_group import PARTITIONS, Group

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]


def value_of(record: Record) -> bytes:
    return record.value or b""


@pytest.fixture
def group(sandbox: Sandbox) -> Group:
    return Group(sandbox, value_of)


def send(group: Group, topic: str, values: list[str], partitions: int = PARTITIONS) -> None:
    producer = Producer(group.client)
    for index, value in enumerate(values):
        producer.produce(topic, value.encode(), partition=index % partitions)
    assert producer.flush(30) == 0


def named(name: str, count: int) -> list[str]:
    return [f"{name}-{index}" for index in range(count)]


def recreate(brokers: str, topic: str, gap_s: float, partitions: int = PARTITIONS) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.delete_topics([topic])[topic].result(20)
    time.sleep(gap_s)
    deadline = time.monotonic() + 20
    while True:
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(20)
        except KafkaException:
            # The broker is still deleting the old one.
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def recreated(topic: str) -> float:
    return float(metrics.RECREATED_TOPICS.labels(topic)._value.get())


@contextmanager
def load(group: Group, topic: str) -> Iterator[list[str]]:
    """Some hundred records a second, until the block ends."""
    sent: list[str] = []
    is_over = threading.Event()

    def run() -> None:
        while not is_over.wait(0.02):
            values = named(f"load-{len(sent)}", 4)
            send(group, topic, values)
            sent.extend(values)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sent
    finally:
        is_over.set()
        thread.join(60)


@pytest.mark.parametrize(
    ("gap_s", "partitions"),
    [(0.0, PARTITIONS), (0.5, PARTITIONS), (0.5, PARTITIONS + 2), (0.5, PARTITIONS - 2)],
    ids=["at once", "soon", "more partitions", "fewer partitions"],
)
def test_a_topic_made_anew_under_load_is_read_from_its_beginning(group: Group, gap_s: float, partitions: int) -> None:
    old, new = named("old", 40), named("new", 400)
    send(group, group.first, old)
    with group.worker("w0"), group.worker("w1"):
        assert group.written(until=40, idle=1) == Counter(old)
        group.await_members(2)
        with load(group, group.second) as sent:
            recreate(group.settings.bootstrap_servers, group.first, gap_s, partitions)
            send(group, group.first, new, partitions)
            group.await_written(40 + 400)
        seen = group.written(until=40 + 400 + len(sent))
    assert group.failures == []
    assert seen == Counter(old + new + sent)
    assert recreated(group.first) >= 1


def test_a_new_topic_as_long_as_the_position_in_the_old_one_is_noticed(group: Group) -> None:
    """At its end no fetch fails and no record comes."""
    old, new = named("old", 40), named("new", 40)
    send(group, group.first, old)
    with group.worker():
        group.written(until=40, idle=1)
        recreate(group.settings.bootstrap_servers, group.first, 0.0)
        send(group, group.first, new)
        seen = group.written(until=80)
    assert seen == Counter(old + new)
    assert group.failures == []


def test_a_new_topic_shorter_than_the_position_in_the_old_one_is_noticed(group: Group) -> None:
    """A fetch beyond its end fails; that is no lost position."""
    old, new = named("old", 80), named("new", 4)
    send(group, group.first, old)
    with group.worker():
        group.written(until=80, idle=1)
        recreate(group.settings.bootstrap_servers, group.first, 0.0)
        send(group, group.first, new)
        seen = group.written(until=84)
    assert seen == Counter(old + new)
    assert group.failures == []


@pytest.mark.parametrize("late", [True, False], ids=["offsets committed late", "offsets gone with the topic"])
def test_a_topic_made_anew_while_no_worker_ran_is_read_from_its_beginning(group: Group, late: bool) -> None:
    send(group, group.first, named("old", 40))
    with group.worker(leave_on_stop=True):
        group.written(until=40, idle=1)
    recreate(group.settings.bootstrap_servers, group.first, 0.0)
    if late:
        metadata = metadata_of(PARTITIONS, "of-the-old-topic")
        group.commit(*(TopicPartition(group.first, number, 10, metadata=metadata) for number in range(PARTITIONS)))
    new = named("new", 60)
    send(group, group.first, new)
    with group.worker():
        seen = group.written(until=100)
    assert seen == Counter(named("old", 40) + new)
    assert group.failures == []
    assert recreated(group.first) == late


def test_an_output_topic_made_anew_takes_what_comes_after(group: Group) -> None:
    with group.worker():
        send(group, group.first, named("old", 40))
        group.written(until=40, idle=1)
        recreate(group.settings.bootstrap_servers, group.out, 0.5)
        send(group, group.first, named("new", 40))
        seen = group.written(until=40)
    assert seen == Counter(named("new", 40))
    assert group.failures == []


def test_the_case_that_was_reported(deployment: Deployment) -> None:  # noqa: F811 - the fixture
    """Both stages as processes; the topic comes back half a second later, longer than the positions in the old one."""
    deployment.start("score")
    deployment.start("decide")
    deployment.send(*(json_record(f"old-{number}", png(), clients=["strict"]) for number in range(40)))
    deployment.decisions(40)
    recreate(deployment.settings.kafka.bootstrap_servers, deployment.topics.creatives, 0.5, 2)
    deployment.send(*(json_record(f"new-{number}", png(), clients=["strict"]) for number in range(400)))
    decided = Counter(decision.event_id for decision in deployment.decisions(440))
    assert decided == Counter(named("old", 40) + named("new", 400))
