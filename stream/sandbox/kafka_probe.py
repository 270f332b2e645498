"""Asks a broker that may not be up yet who is in its cluster.

Beside `stream/kafka/`, which carries the decision path, this and `mock_kafka.py` are the only imports of
confluent_kafka: a probe must be silent and give up at once where a worker must be loud and patient.
"""

from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient


def brokers(client_settings: Mapping[str, str], timeout_s: float = 2.0) -> set[str]:
    """`host:port` of every broker the cluster knows, empty while it does not answer."""
    # log_level 0: a broker that is not up yet is no news to the waiting caller.
    admin = AdminClient({**client_settings, "log_level": 0, "socket.connection.setup.timeout.ms": 2000})
    try:
        found = admin.list_topics(timeout=timeout_s).brokers.values()
    except KafkaException:
        return set()
    return {f"{broker.host}:{broker.port}" for broker in found}
