"""Which topics there are, asked once before a worker starts."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from moderation.errors import ConfigurationError
from stream.errors import BrokerError
from stream.kafka.client import SHUT_OUT, made, not_allowed
from stream.settings import KafkaSettings

_ANSWER_WITHIN_S: Final = 2.0
"""Short, as no signal is served while librdkafka waits."""


class TopicProbe:
    """Asks the brokers for topics by name, to distinguish a forbidden topic from a missing one."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._servers = settings.bootstrap_servers
        self._shut_out: KafkaError | None = None
        self._admin = made(AdminClient, settings, "probe", {"error_cb": self._note_shut_out})

    def find_missing(self, topics: Iterable[str]) -> list[str]:
        """Those of the topics that do not exist.

        Raises BrokerError where no broker answers, and ConfigurationError where the brokers refuse us.
        """
        try:
            return [topic for topic in dict.fromkeys(topics) if self._is_missing(topic)]
        except KafkaException as error:
            self._admin.poll(0)
            if self._shut_out is not None:
                raise ConfigurationError(
                    f"the brokers at {self._servers} do not let us in: {self._shut_out.str()}; check "
                    "kafka.security_protocol, kafka.sasl_* and kafka.ssl_*"
                ) from error
            raise BrokerError(f"no broker answers at {self._servers} (kafka.bootstrap_servers): {error}") from error

    def _is_missing(self, topic: str) -> bool:
        error = self._admin.list_topics(topic, timeout=_ANSWER_WITHIN_S).topics[topic].error
        if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise not_allowed(error)
        return error is not None and error.code() in _MISSING

    def _note_shut_out(self, error: KafkaError) -> None:
        if error.code() in SHUT_OUT:
            self._shut_out = error


_MISSING: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.TOPIC_EXCEPTION,
}
