"""The watch over orphaned partitions outlives brokers that do not answer."""

import threading
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.kafka import group_admin
from stream.kafka.group_admin import GroupAdmin
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
    watch = OrphanWatch(settings, admin, ["pages"], lambda: "m")
    watch.start()
    assert found.wait(10)
    watch.close()


def test_a_client_that_gets_no_answers_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka may go on asking a coordinator that it has dropped."""
    clients: list[SilentClient] = []

    def made(*_: Any) -> SilentClient:
        clients.append(SilentClient())
        return clients[-1]

    monkeypatch.setattr(group_admin, "made", made)
    admin = GroupAdmin(KafkaSettings(), "g")
    for _ in range(3):
        with pytest.raises(KafkaException):
            admin.describe(0.1)
    assert [client.asked for client in clients] == [2, 1]


class SilentClient:
    def __init__(self) -> None:
        self.asked = 0

    def describe_consumer_groups(self, groups: list[str], **_: float) -> "dict[str, Future[Any]]":
        self.asked += 1
        answer: Future[Any] = Future()
        answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer")))
        return {groups[0]: answer}
