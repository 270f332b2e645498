"""Shared parts of all Kafka clients: access, logs, and the vendor's errors as the project's errors."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import structlog
from cachetools import TTLCache
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from moderation.errors import AdjudicateError, ConfigurationError
from stream.errors import BrokerError, PositionLost, ProducerLost, TransactionAborted
from stream.kafka.records import Output, Position, Record
from stream.settings import KafkaSettings

log = structlog.get_logger()

Client = TypeVar("Client")
Delivered = Callable[[KafkaError | None, Message], None]


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    """Address of the brokers and credentials, in librdkafka's keys."""
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


def made(kind: Callable[..., Client], settings: KafkaSettings, name: str, entries: Mapping[str, Any]) -> Client:
    """A librdkafka client of that kind; `name` is what its log lines bear, `entries` are its own keys.

    Raises ConfigurationError where librdkafka refuses the settings.
    """
    try:
        return kind({**client_config(settings), **entries}, logger=LogBridge(name))
    except KafkaException as error:
        raise ConfigurationError(f"the settings under `kafka` do not work: {error.args[0].str()}") from error


SHUT_OUT: Final = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}
_FENCED: Final = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
FORBIDDEN: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
NEVER_TAKEN: Final = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG}


def translated(error: KafkaException) -> AdjudicateError:
    """The error of a transaction call, as an error of this project.

    An abortable error leaves the producer usable. All else, timeouts above all, does not: librdkafka
    may have torn the transaction, so nothing but a new producer's fencing makes it whole. Missing rights need
    an administrator, and no retry helps.
    """
    cause: KafkaError = error.args[0]
    if cause.code() in FORBIDDEN:
        return not_allowed(cause)
    if cause.txn_requires_abort() and cause.code() != KafkaError._TIMED_OUT:
        return TransactionAborted(str(cause))
    if cause.code() in NEVER_TAKEN:
        return TransactionAborted(str(cause))
    return ProducerLost(str(cause), fenced=cause.code() in _FENCED)


def is_notice(message: Message) -> bool:
    """Consume hands errors out as messages; those that pass by themselves are noted, others raised."""
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        place = f"{message.topic()}/{message.partition()}"
        raise PositionLost(f"{place} cannot be read from offset {message.offset()} on: {error.str()}")
    if error.code() in FORBIDDEN:
        raise not_allowed(error)
    if error.fatal() or error.code() in _ENDING:
        raise BrokerError(f"the consumer cannot go on: {error}")
    log.warning("consumer notice", error=str(error))
    return True


_ENDING: Final = {KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL}


def not_allowed(error: KafkaError) -> ConfigurationError:
    return ConfigurationError(f"the brokers do not allow it: {error.str()}; docs/security.md lists the rights needed")


def enqueue(producer: Any, output: Output, on_delivery: Delivered, *, when_full: Callable[[], object]) -> None:
    """Queue a record; while the queue is full, `when_full` waits, or raises to give up. Raises KafkaException."""
    while True:
        try:
            producer.produce(
                output.topic,
                output.value,
                output.key,
                headers=list(output.headers.items()),
                on_delivery=on_delivery,
            )
            producer.poll(0)
        except BufferError:
            when_full()
        else:
            return


def record_of(message: Any) -> Record:
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


def positions_of(partitions: Iterable[TopicPartition]) -> set[Position]:
    return {(place.topic, place.partition) for place in partitions}


def partitions_of(positions: Iterable[Position]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for topic, partition in positions]


def names_of(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{place.topic}/{place.partition}" for place in partitions]


class LogBridge:
    """librdkafka's log lines in the project's log. A broker that is away is logged occasionally."""

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
            # librdkafka retries these: a broker that is just starting, mostly.
            severity = "debug" if text.endswith("retrying") else self._LEVELS.get(level, "info")
            getattr(self._log, severity)("librdkafka", text=text)


_NUMBERS: Final = re.compile(r"\d+")
