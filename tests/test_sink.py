"""The sink's guard against calls that never return."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from moderation.errors import ConfigurationError
from stream.errors import ProducerLost
from stream.kafka import read_committed
from stream.kafka import sink as sink_module
from stream.kafka.sink import Sink
from stream.settings import KafkaSettings


class Stuck:
    """A step of a transaction that returns only when the test is over."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def send_offsets_to_transaction(self) -> None:
        self._over.wait()

    def close(self) -> None:
        self._over.set()


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    with closing(Stuck()) as stuck:
        yield stuck


def sink_of(timeout_s: float, latest: Callable[[], float] = lambda: math.inf) -> Sink:
    sink = Sink.__new__(Sink)
    sink._timeout_s, sink._latest = timeout_s, latest
    return sink


def test_settings_that_librdkafka_refuses_are_named() -> None:
    """A certificate authority that is no PEM file: only librdkafka reads it."""
    wrong = KafkaSettings(security_protocol="SSL", ssl_ca=Path(__file__))
    with pytest.raises(ConfigurationError, match=r"settings under `kafka` .*ssl"):
        Sink(wrong, transactional_id="t")
    with pytest.raises(ConfigurationError, match=r"settings under `kafka` .*ssl"):
        next(read_committed(wrong, ["t"]))


def test_a_call_that_does_not_return_is_in_doubt(monkeypatch: pytest.MonkeyPatch, stuck: Stuck) -> None:
    monkeypatch.setattr(sink_module, "_GRACE_S", 0.1)
    with pytest.raises(ProducerLost, match="send_offsets_to_transaction did not return"):
        sink_of(0.1)._call(stuck.send_offsets_to_transaction)


def test_a_call_is_given_up_by_whoever_must_stop_meanwhile(stuck: Stuck) -> None:
    stop_by = math.inf

    def hurry() -> None:
        nonlocal stop_by
        stop_by = time.monotonic()

    threading.Timer(0.1, hurry).start()
    with pytest.raises(ProducerLost, match="did not return"):
        sink_of(3600, lambda: stop_by)._call(stuck.send_offsets_to_transaction)


def test_a_producer_that_failed_for_good_can_be_discarded() -> None:
    """It raises its error from any call; raised again, that would end the worker."""

    class Failed:
        def purge(self) -> None:
            raise KafkaException(KafkaError(KafkaError._FATAL, fatal=True))

        def poll(self, _: float) -> None:
            self.purge()

    sink = sink_of(0.1)
    sink._producer = Failed()  # type: ignore[assignment]
    sink.discard()
