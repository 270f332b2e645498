"""librdkafka's in-process mock cluster, for machines without Java or Maven.

Groups and transactions work over TCP and topics appear on first use, with 4 partitions; but readers see
aborted records and offsets in transactions are not kept. It shows the data flow and proves nothing
about delivery. Imports confluent_kafka, as the mock lives inside a client handle.
"""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaException, Producer

from stream.errors import SandboxError
from stream.sandbox.part import Part


class MockCluster:
    """Three pretended brokers inside this process; they live as long as it does."""

    kind: Final = "mock"

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.bootstrap_servers = ""
        self._handle: Producer | None = None

    @property
    def client_settings(self) -> dict[str, str]:
        return {"bootstrap.servers": self.bootstrap_servers}

    def start(self) -> None:
        self._handle = Producer({"test.mock.num.brokers": 3, "log_level": 3})
        try:
            brokers = self._handle.list_topics(timeout=10.0).brokers.values()
        except KafkaException as error:
            raise SandboxError(f"librdkafka's mock cluster does not answer: {error}") from error
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def create_topics(self, names: Iterable[str]) -> None:
        """Ask for each topic's metadata, which makes it."""
        if self._handle is not None:
            for name in names:
                self._handle.list_topics(name, timeout=10.0)
