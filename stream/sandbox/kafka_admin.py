"""The sandbox's questions to a cluster: who is in it, and make topics.

Beside `stream/kafka.py`, which carries the decision path, this and `mock_kafka.py` are the only imports of
confluent_kafka: the sandbox must start where no worker's settings exist yet.
"""

from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from moderation.errors import SandboxError

TIMEOUT_S = 30.0


def _admin(client_settings: Mapping[str, str]) -> AdminClient:
    # log_level 0: a broker that is not up yet is no news to whoever waits for it.
    return AdminClient({**client_settings, "log_level": 0, "socket.connection.setup.timeout.ms": 2000})


def brokers(client_settings: Mapping[str, str], timeout_s: float = 2.0) -> set[str]:
    """`host:port` of every broker the cluster knows, empty while it does not answer."""
    try:
        found = _admin(client_settings).list_topics(timeout=timeout_s).brokers.values()
    except KafkaException:
        return set()
    return {f"{broker.host}:{broker.port}" for broker in found}


def create_topics(
    client_settings: Mapping[str, str],
    names: Iterable[str],
    partitions: int,
    config: Mapping[str, str] | None = None,
) -> None:
    """Create the topics that are not there yet, and wait until they are. Raises SandboxError.

    Replication is the cluster's default.
    """
    topics = [NewTopic(name, num_partitions=partitions, config=dict(config or {})) for name in names]
    admin = _admin(client_settings)  # must outlive its futures
    futures = admin.create_topics(topics, operation_timeout=TIMEOUT_S) if topics else {}
    for name, future in futures.items():
        try:
            future.result(timeout=TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise SandboxError(f"cannot create topic {name}: {error.args[0].str()}") from error
