"""Reports of policy changes: in the log, in the metrics, and on a topic that clients can read."""

import queue
import threading
from contextlib import suppress
from typing import Final

import structlog

from moderation.policy import PolicyEvent, PolicyEventKind
from stream import metrics
from stream.errors import BrokerError
from stream.kafka import Output, produce_all
from stream.settings import Settings

log = structlog.get_logger()

_CLOSE_S: Final = 1.0


class PolicyNews:
    """Published from a separate thread: slow brokers must not delay the policies."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: queue.SimpleQueue[PolicyEvent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._publish, name="policy news", daemon=True)
        self._thread.start()

    def tell(self, event: PolicyEvent) -> None:
        fields = event.model_dump(mode="json")
        if event.kind is PolicyEventKind.REFUSED:
            log.error("policy file refused; the last good one stays", **fields)
            metrics.POLICY_ALARMS.labels(event.client or "").inc()
        elif event.kind is PolicyEventKind.REPAIRED:
            log.info("policy file repaired; the alarm is over", **fields)
        else:
            log.info("policy changed", **fields)
        self._waiting.put(event)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(_CLOSE_S)

    def _publish(self) -> None:
        is_closing = False
        while not is_closing:
            waiting = self._all_waiting()
            is_closing = None in waiting
            if outputs := [self._output(event) for event in waiting if event]:
                self._send(outputs)

    def _all_waiting(self) -> list[PolicyEvent | None]:
        """At least one, and what waits already: one file may be inherited by hundreds of clients."""
        waiting = [self._waiting.get()]
        with suppress(queue.Empty):
            while True:
                waiting.append(self._waiting.get_nowait())
        return waiting

    def _send(self, outputs: list[Output]) -> None:
        try:
            produce_all(self._settings.kafka, outputs)
        except BrokerError as error:
            log.warning("policy events could not be published", events=len(outputs), error=str(error))

    def _output(self, event: PolicyEvent) -> Output:
        key, value = (event.client or "").encode(), event.model_dump_json().encode()
        return Output(self._settings.topics.policy_events, key, value)
