"""Which topic is behind a name.

The brokers give each topic an id that never returns. A topic that is deleted and made anew has the same name and
another id, and its offsets start again. Positions are kept with the id that they belong to.
"""

import itertools
import math
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from stream.errors import BrokerError
from stream.kafka.client import FORBIDDEN, made, not_allowed
from stream.settings import KafkaSettings

log = structlog.get_logger()

_ONE_BROKER_S: Final = 0.5
"""A broker that hangs is given up after this, and another one asked."""
_PATIENCE: Final = 3
"""Questions in a row that may stay without an answer."""
_LOOK_EVERY_S: Final = 1.0
_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""Brokers without topic ids answer zero."""

Asked = Mapping[str, "Future[Any]"]


class TopicIds:
    """Asks the brokers for the ids of topics, with a client that is replaced where it gets no answers."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = self._make()

    def _make(self) -> AdminClient:
        return made(AdminClient, self._settings, "topics", {})

    def find(self, topics: Iterable[str], latest: float = math.inf) -> dict[str, str]:
        """The ids of those topics that exist, as they are now. Raises BrokerError."""
        names = sorted(topics)
        deadline = min(latest, time.monotonic() + self._settings.request_timeout_s)
        for attempt in itertools.count(1) if names else ():
            try:
                return self.read(self.ask(names))
            except BrokerError:
                if time.monotonic() > deadline:
                    raise
                self._choose_another_broker(names[0], replace=attempt % _PATIENCE == 0)
        return {}

    def ask(self, topics: Iterable[str]) -> Asked:
        """Without waiting for the answer."""
        asked: Asked = self._admin.describe_topics(TopicCollection(sorted(topics)), request_timeout=_ONE_BROKER_S)
        return asked

    def read(self, asked: Asked) -> dict[str, str]:
        """Raises BrokerError where the brokers did not answer."""
        found = {topic: _id_in(answer) for topic, answer in asked.items()}
        return {topic: identity for topic, identity in found.items() if identity is not None}

    def _choose_another_broker(self, topic: str, *, replace: bool) -> None:
        """Requests go to the broker that the newest metadata names, or that a new client finds."""
        if replace:
            old, self._admin = self._admin, self._make()
            # Dropping a client waits for its threads.
            threading.Thread(target=lambda _: None, args=(old,), daemon=True).start()
            return
        try:
            self._admin.list_topics(topic, timeout=_ONE_BROKER_S)
        except KafkaException as error:
            log.debug("no metadata", why=str(error))


def _id_in(answer: "Future[Any]") -> str | None:
    """None where there is no such topic."""
    try:
        identity = str(answer.result(_ONE_BROKER_S + 1).topic_id)
    except FutureTimeout:
        raise BrokerError("the brokers do not say which topics there are") from None
    except KafkaException as error:
        cause: KafkaError = error.args[0]
        if cause.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        if cause.code() in FORBIDDEN:
            raise not_allowed(cause) from error
        raise BrokerError(f"the brokers do not say which topics there are: {cause.str()}") from error
    return "" if identity == _NO_ID else identity


class TopicWatch:
    """Looks now and then whether topics are still those that were read, and never waits for the answer.

    A worker without records needs it: a new topic that is no longer than its position looks like an idle one.
    """

    def __init__(self, ids: TopicIds) -> None:
        self._ids = ids
        self._asked: Asked = {}
        self._next = 0.0

    def find_now(self, topics: Collection[str]) -> dict[str, str]:
        """The ids of those topics that an earlier call has asked for, once they are known; mostly none."""
        if self._asked and all(answer.done() for answer in self._asked.values()):
            asked, self._asked = self._asked, {}
            return self._read(asked)
        if not self._asked and topics and time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOOK_EVERY_S
            self._asked = self._ids.ask(topics)
        return {}

    def _read(self, asked: Asked) -> dict[str, str]:
        try:
            return self._ids.read(asked)
        except BrokerError as error:
            log.debug("topics not looked at", why=str(error))
            return {}


def changed_ids(known: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """The new ids of topics that have another one. A topic without a known id, or one that is gone, has not."""
    return {topic: found[topic] for topic, before in known.items() if before and found.get(topic, before) != before}
