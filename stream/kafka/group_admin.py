"""Questions about a group, asked of its coordinator."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Final, TypeVar

import structlog
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._group import ConsumerGroupDescription

from stream.kafka.client import made, partitions_of
from stream.kafka.records import Position
from stream.settings import KafkaSettings

log = structlog.get_logger()

Answer = TypeVar("Answer")

_PATIENCE: Final = 2
"""Questions in a row that may stay without an answer."""


class GroupAdmin:
    """An admin client that is replaced where it gets no answers.

    librdkafka (2.16) drops a broker that the metadata leaves out, but may keep it as a group's coordinator: it
    then sends every later question to a broker that it has dropped.
    """

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        self._settings = settings
        self._group = group
        self._unanswered = 0
        self.client = self._make()

    def stable_offsets(self, places: Iterable[Position], timeout_s: float) -> list[TopicPartition]:
        """What is committed, or an error, for each of the places. Raises KafkaException, FutureTimeout."""
        request = ConsumerGroupTopicPartitions(self._group, partitions_of(sorted(places)))

        def ask(client: AdminClient) -> "Future[ConsumerGroupTopicPartitions]":
            asked = client.list_consumer_group_offsets([request], require_stable=True, request_timeout=timeout_s)
            return asked[self._group]

        return list(self._ask(ask, timeout_s).topic_partitions or ())

    def describe(self, timeout_s: float) -> ConsumerGroupDescription:
        """State and members. Raises KafkaException, FutureTimeout."""

        def ask(client: AdminClient) -> "Future[ConsumerGroupDescription]":
            return client.describe_consumer_groups([self._group], request_timeout=timeout_s)[self._group]

        return self._ask(ask, timeout_s)

    def _ask(self, ask: "Callable[[AdminClient], Future[Answer]]", timeout_s: float) -> Answer:
        try:
            answer = ask(self.client).result(timeout_s + 1)
        except (KafkaException, FutureTimeout) as error:
            self._note_failure(error)
            raise
        self._unanswered = 0
        return answer

    def _note_failure(self, error: Exception) -> None:
        if isinstance(error, KafkaException) and error.args[0].code() != KafkaError._TIMED_OUT:
            return
        self._unanswered += 1
        if self._unanswered >= _PATIENCE:
            log.info("no answers about the group; asking with a new client", group=self._group)
            old, self.client, self._unanswered = self.client, self._make(), 0
            # Dropping a client waits for its threads.
            threading.Thread(target=lambda _: None, args=(old,), daemon=True).start()

    def _make(self) -> AdminClient:
        return made(AdminClient, self._settings, "group", {})
