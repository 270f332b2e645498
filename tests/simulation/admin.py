"""Stands for `confluent_kafka.admin.AdminClient`: what a group has committed, and the ids of topics."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, TopicCollection, TopicPartition

from tests.simulation.cluster import Cluster, kafka_error

_FAILS: Final = 0.08
"""Chance that a look-up is not answered."""


class SimAdmin:
    """Answers what the group has committed, stable or not, at times not at all."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def list_consumer_group_offsets(
        self, asked: list[ConsumerGroupTopicPartitions], *, require_stable: bool, request_timeout: float
    ) -> "dict[str, Future[ConsumerGroupTopicPartitions]]":
        self._cluster.schedule.point()
        answer: Future[ConsumerGroupTopicPartitions] = Future()
        if not self._cluster.are_healthy and self._cluster.schedule.chance(_FAILS):
            answer.set_exception(kafka_error(KafkaError._TIMED_OUT))
        else:
            places = [self._answer(place, require_stable) for place in asked[0].topic_partitions or ()]
            answer.set_result(ConsumerGroupTopicPartitions("g", [place for place in places if place is not None]))
        # The answer is on its way while others go on.
        self._cluster.schedule.wait(self._cluster.schedule.random.choice((0.0, 0.0, 0.05, 0.3)))
        return {asked[0].group_id: answer}

    def describe_topics(self, asked: TopicCollection, *, request_timeout: float) -> "dict[str, Future[Any]]":
        self._cluster.schedule.point()
        answers: dict[str, Future[Any]] = {}
        is_lost = not self._cluster.are_healthy and self._cluster.schedule.chance(_FAILS)
        for topic in asked.topic_names:
            answers[topic] = Future()
            if is_lost:
                answers[topic].set_exception(kafka_error(KafkaError._TIMED_OUT))
            else:
                answers[topic].set_result(SimpleNamespace(topic_id=self._cluster.topic_id(topic)))
        return answers

    def list_topics(self, topic: str, timeout: float) -> None: ...

    def _answer(self, place: TopicPartition, require_stable: bool) -> Any:
        position = (place.topic, place.partition)
        if require_stable and self._cluster.is_unstable(position):
            error = KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT, "unstable")
            return SimpleNamespace(topic=place.topic, partition=place.partition, offset=-1001, error=error, metadata="")
        held = self._cluster.committed.get(position)
        offset, metadata = held or (-1001, "")
        return SimpleNamespace(
            topic=place.topic, partition=place.partition, offset=offset, error=None, metadata=metadata
        )
