"""A transactional producer."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from moderation.errors import ConfigurationError
from stream.errors import BrokerError, ProducerLost
from stream.kafka.client import (
    NEVER_TAKEN,
    SHUT_OUT,
    enqueue,
    made,
    translated,
)
from stream.kafka.positions import metadata_of
from stream.kafka.records import Membership, Output, Position
from stream.settings import KafkaSettings

_GRACE_S: Final = 3.0
_LOOK_AGAIN_S: Final = 0.1
"""The time may become shorter while a caller waits."""


def _never() -> float:
    return math.inf


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

    def __init__(self, settings: KafkaSettings, *, transactional_id: str, latest: Callable[[], float] = _never) -> None:
        """Fences every earlier producer of the same id.

        latest: when every call must have returned (`time.monotonic`), asked for again while a call waits.

        Raises ProducerLost, or ConfigurationError where the settings are wrong or the brokers do not let us in.
        """
        self._timeout_s = settings.request_timeout_s
        self._latest = latest
        self._failures: list[KafkaError] = []
        self._refusals: list[Refusal] = []
        self._shut_out: KafkaError | None = None
        self._producer = made(
            Producer,
            settings,
            "producer",
            {
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
        if error.code() in SHUT_OUT:
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
            raise translated(error) from error
        if alone:
            self._flush()

    def commit(self, offsets: Mapping[Position, int], membership: Membership) -> None:
        """Offsets (the next to read) and records become visible together, or not at all.

        Raises TransactionAborted or ProducerLost; after the latter the outcome is not known.
        """
        claims = {topic: metadata_of(claim.begun, claim.topic_id) for topic, claim in membership.claims.items()}
        places = [
            TopicPartition(topic, partition, offset, metadata=claims.get(topic, metadata_of(0)))
            for (topic, partition), offset in offsets.items()
        ]
        self._call(self._producer.send_offsets_to_transaction, places, membership.proof, self._timeout_s)
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
        for step in (self._producer.purge, lambda: self._producer.poll(0)):
            # A producer that failed for good raises its error from any call.
            with suppress(KafkaException):
                step()

    def _flush(self) -> None:
        if left := self._producer.flush(self._left_s(time.monotonic() + self._timeout_s)):
            raise ProducerLost(f"the brokers do not take {left} records")

    def _note(self, origin: Any, error: KafkaError, *, proven: bool) -> None:
        self._failures.append(error)
        if error.code() in NEVER_TAKEN:
            self._refusals.append(Refusal(origin, str(error), proven))

    def _produce(self, output: Output, origin: Any, alone: bool) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self._note(origin, error, proven=alone)

        def wait() -> None:
            if self._left_s(deadline) <= 0:
                raise ProducerLost("the brokers take no records: the send queue stayed full") from None
            self._producer.poll(0.1)

        deadline = time.monotonic() + self._timeout_s
        enqueue(self._producer, output, delivered, when_full=wait)

    def _call(self, step: Callable[..., Any], *arguments: Any) -> None:
        """librdkafka does not always keep its own timeout: `send_offsets_to_transaction` was seen to wait for
        a dead coordinator until its caller was killed. A call that does not return is in doubt, like one that
        timed out; its thread ends when a new producer of the same id has fenced this one."""
        outcome: Future[None] = Future()
        threading.Thread(target=_run, args=(outcome, step, arguments), name="transaction", daemon=True).start()
        started = time.monotonic()
        try:
            self._wait(outcome, started + self._timeout_s + _GRACE_S)
        except FutureTimeout:
            waited_s = time.monotonic() - started
            raise ProducerLost(f"{step.__name__} did not return within {waited_s:.1f} s") from None
        except KafkaException as error:
            raise translated(error) from error

    def _wait(self, outcome: "Future[None]", deadline: float) -> None:
        while not outcome.done() and (left_s := self._left_s(deadline)) > 0:
            with suppress(FutureTimeout):
                outcome.exception(min(left_s, _LOOK_AGAIN_S))
        outcome.result(0)

    def _left_s(self, deadline: float) -> float:
        return max(0.0, min(deadline, self._latest()) - time.monotonic())


def _run(outcome: "Future[None]", step: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        step(*arguments)
    except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
        outcome.set_exception(error)
    else:
        outcome.set_result(None)
