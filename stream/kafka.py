"""Kafka: the only import of confluent_kafka. Records in, records out, and its errors in the project's words.

`Source` is a consumer in a group, `Sink` a transactional producer; `stream.worker` joins them.
"""

import re
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog
from cachetools import TTLCache
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from moderation.errors import BrokerError, ConfigurationError, ProducerLost, TransactionAborted
from stream.settings import KafkaSettings

log = structlog.get_logger()

Position = tuple[str, int]
"""A topic and a partition."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read. `timestamp_ms` is the record's own, milliseconds since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    timestamp_ms: int = 0

    @property
    def position(self) -> Position:
        return self.topic, self.partition


@dataclass(frozen=True, slots=True)
class Output:
    """A record to write."""

    topic: str
    key: bytes
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


class Listener(Protocol):
    """Called by `Source.take`, in its thread, when partitions go."""

    def on_revoked(self) -> None:
        """Partitions are still ours: the last moment to commit what is in flight."""

    def on_lost(self) -> None:
        """Partitions are already someone else's: what is in flight must not be committed."""


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    """Where the brokers are and how to be let in, in librdkafka's keys."""
    secret = settings.sasl_password
    key_secret = settings.ssl_key_password
    entries: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": secret.get_secret_value() if secret else None,
        "ssl.ca.location": settings.ssl_ca and str(settings.ssl_ca),
        "ssl.certificate.location": settings.ssl_certificate and str(settings.ssl_certificate),
        "ssl.key.location": settings.ssl_key and str(settings.ssl_key),
        "ssl.key.password": key_secret.get_secret_value() if key_secret else None,
        # A broker that comes back must be found again within a second, not within librdkafka's ten.
        "reconnect.backoff.max.ms": 1000,
    }
    return {key: value for key, value in entries.items() if value is not None}


class Source:
    """A member of a consumer group, reading committed records only."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        group: str,
        instance: str | None,
        topics: Sequence[str],
        listener: Listener,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._membership: Any = None
        self._assigned: set[Position] = set()
        self._paused: set[Position] = set()
        self._at_end: set[Position] = set()
        self._is_closing = False
        self._consumer = Consumer(
            {
                **client_config(settings),
                "group.id": group,
                **({"group.instance.id": instance} if instance else {}),
                "group.protocol": "classic",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": int(settings.session_timeout_s * 1000),
                "max.poll.interval.ms": int(settings.max_poll_interval_s * 1000),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.queue.backoff.ms": 10,
                "fetch.wait.max.ms": 100,
                "allow.auto.create.topics": False,
                "queued.max.messages.kbytes": 32768,
                "topic.metadata.refresh.interval.ms": 10_000,
            },
            logger=_StructlogBridge("consumer"),
        )
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    @property
    def membership(self) -> Any:
        """Proof of membership as of the last rebalance this thread has seen; a transaction carries it.

        Not asked for at commit time: a member that is just losing its partitions would then commit with
        a proof that says nothing, and the broker would take it.
        """
        return self._membership

    def take(self, most: int, timeout_s: float) -> list[Record]:
        """Up to `most` records, waiting at most `timeout_s` for them to gather.

        Raises BrokerError when the consumer can no longer go on.
        """
        try:
            messages = self._consumer.consume(most, timeout_s)
        except KafkaException as error:
            raise BrokerError(f"cannot consume: {error}") from error
        records = []
        for message in messages:
            if not (self._is_end(message) or _is_notice(message)):
                records.append(_record(message))
                self._at_end.discard(records[-1].position)
        # A rebalance served inside this very call may have taken a partition whose records came before it.
        return self.owned(records)

    def owned(self, records: list[Record]) -> list[Record]:
        """Those of the partitions that are assigned now."""
        return [record for record in records if record.position in self._assigned]

    def is_at_end(self) -> bool:
        """Whether every assigned partition has been read to its end."""
        return bool(self._assigned) and self._assigned <= self._at_end

    def pause(self) -> None:
        """Stop fetching. Prefetched records are thrown away, so this is for waits of seconds."""
        if new := self._assigned - self._paused:
            self._consumer.pause(_partitions(new))
            self._paused |= new

    def resume(self) -> None:
        if self._paused:
            self._consumer.resume(_partitions(self._paused & self._assigned))
            self._paused.clear()

    def rewind(self) -> None:
        """Back to the committed offsets of every assigned partition.

        Given up and taken again, rather than `seek`: that waits without end where a rebalance overtakes it,
        while a partition taken anew starts at its committed offset, asked for until the brokers say it.
        Raises BrokerError; call it again then.
        """
        self.resume()
        try:
            self._consumer.incremental_unassign(self._consumer.assignment())
            self._consumer.incremental_assign(_partitions(self._assigned))
        except KafkaException as error:
            raise BrokerError(f"cannot go back to the committed offsets: {error}") from error
        self._at_end.clear()

    def lag(self) -> int | None:
        """Records on the assigned partitions that are not consumed yet, from what was last fetched."""
        total = 0
        for place in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            if high < 0 or place.offset < 0:
                return None
            total += max(0, high - place.offset)
        return total

    def close(self) -> None:
        """Leave. What is in flight must have been settled before: rebalances on the way out are not told."""
        self._is_closing = True
        self._consumer.close()

    def _is_end(self, message: Message) -> bool:
        error = message.error()
        if error is None or error.code() != KafkaError._PARTITION_EOF:
            return False
        self._at_end.add((str(message.topic()), int(message.partition() or 0)))
        return True

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._is_closing:
            return
        log.info("partitions assigned", partitions=_names(partitions))
        self._assigned |= _positions(partitions)
        self._membership = consumer.consumer_group_metadata()

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._is_closing:
            return
        membership = consumer.consumer_group_metadata()
        if not consumer.memberid():
            # Expelled since the brokers asked for them: this proof says nothing and would be believed.
            self._on_lost(consumer, partitions)
            return
        log.info("partitions revoked", partitions=_names(partitions))
        self._membership = membership
        self._listener.on_revoked()
        self._forget(partitions)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        if self._is_closing:
            return
        log.warning("partitions lost", partitions=_names(partitions))
        self._listener.on_lost()
        self._forget(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        gone = _positions(partitions)
        if paused := self._paused & gone:
            # Else they would still be paused when they come back.
            self._consumer.resume(_partitions(paused))
        self._assigned -= gone
        self._paused -= gone
        self._at_end -= gone


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record the brokers will never take; `origin` as it was given to `Sink.send`.

    Brokers refuse whole batches of records: only where it was sent alone is it `proven` which one was meant.
    """

    origin: Any
    reason: str
    proven: bool


class Sink:
    """A transactional producer. After `ProducerLost` it must be discarded and a new one made."""

    def __init__(self, settings: KafkaSettings, *, transactional_id: str) -> None:
        """Fences every earlier producer of the same id.

        Raises ProducerLost, or ConfigurationError where the brokers do not let us in.
        """
        self._timeout_s = settings.request_timeout_s
        self._failures: list[KafkaError] = []
        self._refusals: list[Refusal] = []
        self._shut_out: KafkaError | None = None
        self._producer = Producer(
            {
                **client_config(settings),
                "transactional.id": transactional_id,
                "acks": "all",
                "transaction.timeout.ms": int(settings.transaction_timeout_s * 1000),
                "linger.ms": 2,
                # librdkafka waits this long between the steps of a transaction; its default of 100 caps
                # commits at 10 a second.
                "retry.backoff.ms": 10,
                "compression.type": "lz4",
                "queue.buffering.max.kbytes": 32768,
                "error_cb": self._note_shut_out,
            },
            logger=_StructlogBridge("producer"),
        )
        self._start(settings)

    def _start(self, settings: KafkaSettings) -> None:
        try:
            self._call(self._producer.init_transactions, self._timeout_s)
        except BrokerError as error:
            self._producer.poll(0)
            if self._shut_out is None:
                raise
            raise ConfigurationError(
                f"the brokers at {settings.bootstrap_servers} do not let us in: {self._shut_out.str()}; check "
                "kafka.security_protocol, kafka.sasl_* and kafka.ssl_*"
            ) from error

    def _note_shut_out(self, error: KafkaError) -> None:
        if error.code() in _SHUT_OUT:
            self._shut_out = error

    def begin(self) -> None:
        self._failures.clear()
        self._refusals.clear()
        self._call(self._producer.begin_transaction)

    def send(self, output: Output, origin: Any, *, alone: bool = False) -> None:
        """Queue a record; `origin` comes back in `refusals` if the brokers will never take it.

        alone: in no batch with others, and waited for. Raises TransactionAborted where the client itself
        refuses the record.
        """
        if alone:
            self._flush()
        try:
            self._produce(output, origin, alone)
        except KafkaException as error:
            self._note(origin, error.args[0], proven=True)
            raise _translated(error) from error
        if alone:
            self._flush()

    def commit(self, offsets: Mapping[Position, int], membership: Any) -> None:
        """Offsets (the next to read) and records become visible together, or not at all.

        Raises TransactionAborted or ProducerLost; after the latter the outcome is not known.
        """
        positions = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        self._call(self._producer.send_offsets_to_transaction, positions, membership, self._timeout_s)
        self._call(self._producer.commit_transaction, self._timeout_s)
        if self._failures:
            raise ProducerLost(f"committed although a record was refused: {self._failures[0]}")

    def abort(self, timeout_s: float | None = None) -> None:
        self._call(self._producer.abort_transaction, timeout_s or self._timeout_s)

    def refusals(self) -> list[Refusal]:
        """Of the last transaction; complete once it is aborted or the producer discarded."""
        return list(self._refusals)

    def discard(self) -> None:
        """Drop the producer with whatever it still holds; its open transaction is left to be fenced."""
        self._producer.purge()
        self._producer.poll(0)

    def _flush(self) -> None:
        if left := self._producer.flush(self._timeout_s):
            raise ProducerLost(f"the brokers do not take {left} records")

    def _note(self, origin: Any, error: KafkaError, *, proven: bool) -> None:
        self._failures.append(error)
        if error.code() in _NEVER_TAKEN:
            self._refusals.append(Refusal(origin, str(error), proven))

    def _produce(self, output: Output, origin: Any, alone: bool) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self._note(origin, error, proven=alone)

        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                self._producer.produce(
                    output.topic,
                    output.value,
                    output.key,
                    headers=list(output.headers.items()),
                    on_delivery=delivered,
                )
                self._producer.poll(0)
            except BufferError:
                if time.monotonic() > deadline:
                    raise ProducerLost("the brokers take no records: the send queue stayed full") from None
                self._producer.poll(0.1)
            else:
                return

    def _call(self, step: Callable[..., Any], *arguments: Any) -> None:
        try:
            step(*arguments)
        except KafkaException as error:
            raise _translated(error) from error


_SHUT_OUT: Final = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}
_FENCED: Final = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
_NEVER_TAKEN: Final = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG}


def _translated(error: KafkaException) -> BrokerError:
    """An abortable error leaves the producer usable. All else, timeouts above all, does not: librdkafka
    may have torn the transaction, so nothing but a new producer's fencing makes it whole."""
    cause: KafkaError = error.args[0]
    if cause.txn_requires_abort() and cause.code() != KafkaError._TIMED_OUT:
        return TransactionAborted(str(cause))
    if cause.code() in _NEVER_TAKEN:
        return TransactionAborted(str(cause))
    return ProducerLost(str(cause), fenced=cause.code() in _FENCED)


def _is_notice(message: Message) -> bool:
    """Consume hands errors out as messages; those that pass by themselves are noted, others raised."""
    error = message.error()
    if error is None:
        return False
    if error.fatal() or error.code() in _ENDING:
        raise BrokerError(f"the consumer cannot go on: {error}")
    log.warning("consumer notice", error=str(error))
    return True


_ENDING: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._FATAL,
}


def _record(message: Any) -> Record:
    # `Any`: the vendor's types allow None throughout, which holds only for messages that are errors.
    return Record(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        headers={name: value or b"" for name, value in message.headers() or ()},
        timestamp_ms=message.timestamp()[1],
    )


def _positions(partitions: Iterable[TopicPartition]) -> set[Position]:
    return {(place.topic, place.partition) for place in partitions}


def _partitions(positions: Iterable[Position]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for topic, partition in positions]


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{place.topic}/{place.partition}" for place in partitions]


class _StructlogBridge:
    """librdkafka's log lines, in the project's log; a broker that is away is mentioned now and then."""

    _LEVELS: Final = {50: "error", 40: "error", 30: "warning", 20: "info", 10: "debug"}
    _AGAIN_AFTER_S: Final = 10.0

    def __init__(self, client: str) -> None:
        self._log = log.bind(client=client)
        self._said: TTLCache[str, bool] = TTLCache(maxsize=100, ttl=self._AGAIN_AFTER_S)

    def log(self, level: int, message: str, *arguments: Any) -> None:
        text = message % arguments
        # Attempts differ in their milliseconds only.
        gist = _NUMBERS.sub("", text)
        if gist not in self._said:
            self._said[gist] = True
            getattr(self._log, self._LEVELS.get(level, "info"))("librdkafka", text=text)


_NUMBERS: Final = re.compile(r"\d+")


def create_topics(settings: KafkaSettings, topics: Iterable[str], *, partitions: int, replication: int = 1) -> None:
    """Make the topics that do not exist yet. Raises BrokerError."""
    admin = AdminClient(client_config(settings), logger=_StructlogBridge("admin"))
    wanted = [NewTopic(topic, num_partitions=partitions, replication_factor=replication) for topic in topics]
    for topic, outcome in admin.create_topics(wanted, operation_timeout=30).items():
        try:
            outcome.result(timeout=60)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerError(f"cannot create topic {topic}: {error}") from error


def start_group_at(settings: KafkaSettings, group: str, topic: str, moment_ms: int) -> None:
    """Let a group that has never read `topic` begin with the records of `moment_ms` (since 1970 UTC) and later.

    A group that has begun goes on where it was. Raises BrokerError.
    """
    consumer = Consumer({**client_config(settings), "group.id": group, "enable.auto.commit": False})
    try:
        timeout_s = settings.request_timeout_s
        places = _partitions(_everything(consumer, [topic], timeout_s))
        if any(place.offset >= 0 for place in consumer.committed(places, timeout=timeout_s)):
            return
        asked = [TopicPartition(place.topic, place.partition, moment_ms) for place in places]
        found = consumer.offsets_for_times(asked, timeout=timeout_s)
        consumer.commit(offsets=[_or_end(consumer, place, timeout_s) for place in found], asynchronous=False)
    except KafkaException as error:
        raise BrokerError(f"cannot place group {group} on {topic}: {error}") from error
    finally:
        consumer.close()


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

    producer = Producer(
        {
            **client_config(settings),
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.max.bytes": 32 * 1024 * 1024,
            # librdkafka would let a large folder pile up to 1 GiB in memory.
            "queue.buffering.max.kbytes": 65536,
        },
        logger=_StructlogBridge("writer"),
    )
    count = 0
    for count, output in enumerate(outputs, start=1):  # noqa: B007
        _enqueue(producer, output, delivered)
    if (left := producer.flush(60)) or failures:
        raise BrokerError(f"{left + len(failures)} records were not delivered: {failures[:1]}")
    return count


def _enqueue(producer: Producer, output: Output, delivered: Callable[[KafkaError | None, Message], None]) -> None:
    while True:
        try:
            producer.produce(
                output.topic,
                output.value,
                output.key,
                headers=list(output.headers.items()),
                on_delivery=delivered,
            )
            producer.poll(0)
        except BufferError:
            producer.poll(0.5)
        except KafkaException as error:
            raise BrokerError(f"cannot write to {output.topic}: {error}") from error
        else:
            return


def read_committed(
    settings: KafkaSettings, topics: Sequence[str], *, follow: bool = False, idle_s: float = 0.5
) -> Generator[Record | None]:
    """Every committed record of `topics` from the beginning, without joining a group.

    Ends at what was the end when called; with `follow` it goes on for ever. Yields None whenever nothing
    came for `idle_s` seconds, so that a caller can look at the clock. Raises BrokerError.
    """
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": "adjudicate-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 10,
            "fetch.wait.max.ms": 50,
        },
        logger=_StructlogBridge("reader"),
    )
    try:
        unfinished = _everything(consumer, topics, settings.request_timeout_s)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in unfinished])
        while follow or unfinished:
            messages = consumer.consume(1000, idle_s)
            if not messages:
                yield None
            for message in messages:
                if (error := message.error()) and error.code() == KafkaError._PARTITION_EOF:
                    unfinished.discard((message.topic(), message.partition()))
                elif not _is_notice(message):
                    yield _record(message)
    except KafkaException as error:
        raise BrokerError(f"cannot read {', '.join(topics)}: {error}") from error
    finally:
        consumer.close()


def _everything(consumer: Consumer, topics: Sequence[str], timeout_s: float) -> set[Position]:
    places: set[Position] = set()
    for topic in topics:
        known = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
        if known.error is not None:
            raise BrokerError(f"topic {topic}: {known.error}")
        places.update((topic, partition) for partition in known.partitions)
    return places
