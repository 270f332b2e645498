"""A topic that was created a moment ago: brokers do not know it at once."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.errors import BrokerError
from stream.kafka.topics import until_led


class Brokers:
    """Answers one metadata request after another, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked = 0

    def list_topics(self, topic: str, timeout: float) -> Any:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(topics={topic: answer})


def told(*leaders: int, error: int | None = None) -> Any:
    partitions = {place: SimpleNamespace(leader=leader) for place, leader in enumerate(leaders)}
    return SimpleNamespace(error=None if error is None else KafkaError(error), partitions=partitions)


def test_waits_until_every_partition_has_a_leader() -> None:
    silent = KafkaException(KafkaError(KafkaError._TRANSPORT))
    unknown = told(error=KafkaError.UNKNOWN_TOPIC_OR_PART)
    brokers = Brokers(silent, unknown, told(), told(1, -1), told(1, 2))
    until_led(brokers, ["events"])  # type: ignore[arg-type]
    assert brokers.asked == 5


def test_says_what_a_topic_lacks_that_never_becomes_ready() -> None:
    with pytest.raises(
        BrokerError, match=r"topic events was created, but is not ready after 0\.1 s: a partition has no"
    ):
        until_led(Brokers(told(1, -1)), ["events"], within_s=0.1)  # type: ignore[arg-type]
    silent = KafkaException(KafkaError(KafkaError._TRANSPORT, "no route"))
    with pytest.raises(BrokerError, match="no route"):
        until_led(Brokers(silent), ["events"], within_s=0.1)  # type: ignore[arg-type]


def test_who_may_create_but_not_look_does_not_wait() -> None:
    brokers = Brokers(told(error=KafkaError.TOPIC_AUTHORIZATION_FAILED))
    until_led(brokers, ["events"])  # type: ignore[arg-type]
    assert brokers.asked == 1
