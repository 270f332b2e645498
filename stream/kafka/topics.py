"""Topics as a whole: made, written to and read without a group's work."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stream.errors import BrokerError
from stream.kafka.client import enqueue, is_notice, made, partitions_of, record_of
from stream.kafka.identity import TopicIds
from stream.kafka.positions import committed_with, metadata_of
from stream.kafka.records import Output, Position, Record
from stream.settings import KafkaSettings

_NOT_YET: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE}


def create_topics(settings: KafkaSettings, topics: Iterable[str], *, partitions: int, replication: int = 1) -> None:
    """Make the topics that do not exist yet, and wait until those have leaders. Raises BrokerError."""
    admin = made(AdminClient, settings, "admin", {})
    wanted = [NewTopic(topic, num_partitions=partitions, replication_factor=replication) for topic in topics]
    created = []
    for topic, outcome in admin.create_topics(wanted, operation_timeout=30).items():
        try:
            outcome.result(timeout=60)
            created.append(topic)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerError(f"cannot create topic {topic}: {error}") from error
    until_led(admin, created)


def until_led(admin: AdminClient, topics: Iterable[str], within_s: float = 30.0) -> None:
    """A broker that is asked at once may not know a new topic yet, or no leader of it. Raises BrokerError."""
    deadline = time.monotonic() + within_s
    for topic in topics:
        while reason := _not_led(admin, topic):
            if time.monotonic() > deadline:
                raise BrokerError(f"topic {topic} was created, but is not ready after {within_s:g} s: {reason}")
            time.sleep(0.05)


def _not_led(admin: AdminClient, topic: str) -> str:
    """Why a new topic cannot be used yet; empty if it can, or if we may not know."""
    try:
        told = admin.list_topics(topic, timeout=5).topics[topic]
    except KafkaException as error:
        return str(error)
    if told.error is not None:
        return str(told.error) if told.error.code() in _NOT_YET else ""
    if not told.partitions or any(one.leader < 0 for one in told.partitions.values()):
        return "a partition has no leader"
    return ""


def start_group_at(settings: KafkaSettings, group: str, topic: str, moment_ms: int) -> bool:
    """Let a group that has never read `topic` begin with the records of `moment_ms` (since 1970 UTC) and later.

    False for a group that has begun before: it goes on where it was. Raises BrokerError.
    """
    own = {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed"}
    consumer = made(Consumer, settings, "replay", own)
    try:
        timeout_s = settings.request_timeout_s
        places = partitions_of(every_partition(consumer, [topic], timeout_s))
        topic_id = TopicIds(settings).find([topic]).get(topic, "")
        if _has_begun(consumer.committed(places, timeout=timeout_s), topic_id):
            return False
        asked = [TopicPartition(place.topic, place.partition, moment_ms) for place in places]
        found = consumer.offsets_for_times(asked, timeout=timeout_s)
        offsets = [_or_end(consumer, place, timeout_s) for place in found]
        consumer.commit(offsets=[_claimed(place, len(offsets), topic_id) for place in offsets], asynchronous=False)
    except KafkaException as error:
        raise BrokerError(f"cannot place group {group} on {topic}: {error}") from error
    else:
        return True
    finally:
        consumer.close()


def _has_begun(committed: Iterable[TopicPartition], topic_id: str) -> bool:
    """Whether the group has an offset in the topic with this id. Raises KafkaException where that cannot be known."""
    places = list(committed)
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    held = [committed_with(place.offset, place.metadata) for place in places if place.offset >= 0]
    return any(not each.is_stale(topic_id) for each in held)


def _claimed(place: TopicPartition, partitions: int, topic_id: str) -> TopicPartition:
    return TopicPartition(place.topic, place.partition, place.offset, metadata=metadata_of(partitions, topic_id))


def _or_end(consumer: Consumer, place: TopicPartition, timeout_s: float) -> TopicPartition:
    """Where no record is that late, the answer is "end", which cannot be committed as such."""
    if place.offset >= 0:
        return place
    _, high = consumer.get_watermark_offsets(TopicPartition(place.topic, place.partition), timeout=timeout_s)
    return TopicPartition(place.topic, place.partition, high)


def produce_all(settings: KafkaSettings, outputs: Iterable[Output], on_sent: Callable[[], None] = lambda: None) -> int:
    """Write records with an idempotent producer and wait until the brokers have all of them.

    Returns how many. Raises BrokerError if one could not be delivered.
    """
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)
        on_sent()

    producer = made(
        Producer,
        settings,
        "writer",
        {
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.max.bytes": 32 * 1024 * 1024,
            # librdkafka would let a large folder pile up to 1 GiB in memory.
            "queue.buffering.max.kbytes": 65536,
        },
    )
    count = 0
    for count, output in enumerate(outputs, start=1):  # noqa: B007
        _enqueue(producer, output, delivered)
    if (left := producer.flush(60)) or failures:
        raise BrokerError(f"{left + len(failures)} records were not delivered: {failures[:1]}")
    return count


def _enqueue(producer: Producer, output: Output, delivered: Callable[[KafkaError | None, Message], None]) -> None:
    try:
        enqueue(producer, output, delivered, when_full=lambda: producer.poll(0.5))
    except KafkaException as error:
        raise BrokerError(f"cannot write to {output.topic}: {error}") from error


def read_committed(
    settings: KafkaSettings,
    topics: Sequence[str],
    *,
    follow: bool = False,
    idle_s: float = 0.5,
    since_ms: int | None = None,
) -> Generator[Record | None]:
    """Every committed record of `topics`, without joining a group: from the beginning, or of `since_ms` and later.

    Ends at the end of the topics when called; with `follow` it never ends. Yields None whenever nothing
    came for `idle_s` seconds, so that a caller can look at the clock. Raises BrokerError.
    """
    consumer = made(
        Consumer,
        settings,
        "reader",
        {
            "group.id": "adjudicate-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # Records deleted while they are read are named; the default would skip to the end.
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 10,
            "fetch.wait.max.ms": 50,
        },
    )
    try:
        unfinished = every_partition(consumer, topics, settings.request_timeout_s)
        consumer.assign(_starts(consumer, unfinished, since_ms, settings.request_timeout_s))
        while follow or unfinished:
            messages = consumer.consume(1000, idle_s)
            if not messages:
                yield None
            for message in messages:
                if (error := message.error()) and error.code() == KafkaError._PARTITION_EOF:
                    unfinished.discard((message.topic(), message.partition()))
                elif not is_notice(message):
                    yield record_of(message)
    except KafkaException as error:
        where = f"from {settings.bootstrap_servers} (kafka.bootstrap_servers)"
        raise BrokerError(f"cannot read {', '.join(topics)} {where}: {error}") from error
    finally:
        consumer.close()


def _starts(
    consumer: Consumer, places: Iterable[Position], since_ms: int | None, timeout_s: float
) -> list[TopicPartition]:
    if since_ms is None:
        return [TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in places]
    asked = [TopicPartition(topic, partition, since_ms) for topic, partition in places]
    return [_or_end(consumer, place, timeout_s) for place in consumer.offsets_for_times(asked, timeout=timeout_s)]


def every_partition(client: Consumer | AdminClient, topics: Sequence[str], timeout_s: float) -> set[Position]:
    places: set[Position] = set()
    for topic in topics:
        known = client.list_topics(topic, timeout=timeout_s).topics[topic]
        if known.error is not None:
            raise BrokerError(f"topic {topic}: {known.error}")
        places.update((topic, partition) for partition in known.partitions)
    return places
