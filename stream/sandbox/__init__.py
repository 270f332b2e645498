"""A local stack of real servers: Apache Kafka, Triton and Redis as supervised child processes."""

from stream.sandbox.kafka_cluster import KafkaOptions
from stream.sandbox.sandbox import TOPICS, Sandbox
from stream.sandbox.triton_server import TritonOptions

__all__ = ["TOPICS", "KafkaOptions", "Sandbox", "TritonOptions"]
