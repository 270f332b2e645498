"""Kafka: the only import of confluent_kafka. Records in, records out, and its errors in the project's words.

`Source` is a consumer in a group, `Sink` a transactional producer; `stream.worker` joins them.
"""

from stream.kafka.client import client_config
from stream.kafka.presence import TopicProbe
from stream.kafka.records import Membership, Output, Position, Record
from stream.kafka.sink import Refusal, Sink
from stream.kafka.source import Listener, Source
from stream.kafka.topics import create_topics, produce_all, read_committed, start_group_at

__all__ = [
    "Listener",
    "Membership",
    "Output",
    "Position",
    "Record",
    "Refusal",
    "Sink",
    "Source",
    "TopicProbe",
    "client_config",
    "create_topics",
    "produce_all",
    "read_committed",
    "start_group_at",
]
