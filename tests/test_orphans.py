"""The watch over orphaned partitions outlives brokers that do not answer."""

import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.kafka.orphans import OrphanWatch
from stream.settings import KafkaSettings


def test_a_first_look_that_fails_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    found = threading.Event()

    def orphans(_: OrphanWatch) -> set[tuple[str, int]]:
        looks.append(1)
        if len(looks) == 1:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "away"))
        found.set()
        return {("pages", 0)}

    monkeypatch.setattr(OrphanWatch, "_orphans", orphans)
    admin: Any = object()
    settings = KafkaSettings(session_timeout_s=0.2)
    watch = OrphanWatch(settings, admin, "g", ["pages"], lambda: "m")
    watch.start()
    assert found.wait(10)
    watch.close()
