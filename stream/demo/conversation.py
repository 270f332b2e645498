"""Sending events to the stages and taking their decisions until every one is there."""

import base64
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import IO, Final

from moderation.events import Decision, Reject
from moderation.policy import PolicySet
from stream.demo.ledger import Ledger
from stream.demo.outgoing import Outgoing
from stream.demo.watcher import Watcher
from stream.demo.workers import Workers
from stream.errors import SandboxError
from stream.kafka import Output, Record, produce_all, read_committed
from stream.settings import KafkaSettings, TopicSettings

TOPICS: Final = TopicSettings()
ANSWERS: Final = (TOPICS.allow, TOPICS.review, TOPICS.block, TOPICS.rejects)


class Conversation:
    """One run's sending and receiving: one thread sends, the caller's receives.

    most_kept: events (the first ones) that are kept with their decisions, to be shown.
    """

    def __init__(
        self, kafka: KafkaSettings, policies: PolicySet, ledger: Ledger, watcher: Watcher, most_kept: int
    ) -> None:
        self._kafka = kafka
        self._policies = policies
        self._ledger = ledger
        self._watcher = watcher
        self._most_kept = most_kept
        self._giving_up = threading.Event()
        self.kept: dict[str, Outgoing] = {}
        self.decisions: dict[str, list[Decision]] = {}

    def hold(
        self,
        outgoing: Iterator[Outgoing],
        strays: Sequence[Output],
        workers: Workers,
        file: IO[bytes],
        patience_s: float,
    ) -> None:
        """Send everything, write each decision to `file` as it comes, and stop the stages when all are there.

        Raises SandboxError where a stage dies or is silent for `patience_s`, BrokerError where Kafka fails.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="send") as thread:
            sending = thread.submit(produce_all, self._kafka, self._outputs(outgoing, strays))
            try:
                self._receive(sending, workers, file, patience_s)
            finally:
                self._giving_up.set()

    def _outputs(self, outgoing: Iterator[Outgoing], strays: Sequence[Output]) -> Iterator[Output]:
        """Every record, its event in the ledger before it can be decided."""
        for item in outgoing:
            if self._giving_up.is_set():
                return
            self._ledger.expect(item.event.event_id, self._policies.find_clients(item.event))
            if len(self.kept) < self._most_kept:
                self.kept[item.event.event_id] = item
            yield item.output(TOPICS)
            self._watcher.sent(self._ledger.sent)
        yield from strays

    def _receive(self, sending: "Future[int]", workers: Workers, file: IO[bytes], patience_s: float) -> None:
        stopped, last_news = False, time.monotonic()
        with closing(read_committed(self._kafka, ANSWERS, follow=True)) as records:
            for record in records:
                if record is not None:
                    self._take(record, file)
                    last_news = time.monotonic()
                elif stopped:
                    return
                if not stopped and self._all_answered(sending):
                    # The stages commit what they still hold: a decision too many would show up now.
                    workers.stop()
                    stopped = True
                elif record is None and not stopped:
                    workers.check()
                    self._check_patience(last_news, patience_s, workers)

    def _all_answered(self, sending: "Future[int]") -> bool:
        return sending.done() and sending.result() >= 0 and self._ledger.is_settled

    def _take(self, record: Record, file: IO[bytes]) -> None:
        value = record.value or b""
        if record.topic == TOPICS.rejects:
            reject = Reject.model_validate_json(value)
            self._ledger.record_reject(reject, base64.b64decode(reject.original_base64))
        else:
            file.write(value + b"\n")
            self._enter(Decision.model_validate_json(value))
        self._watcher.answered(self._ledger.decided, self._ledger.sent - self._ledger.events_left)

    def _enter(self, decision: Decision) -> None:
        self._ledger.record_decision(decision)
        if decision.event_id in self.kept:
            self.decisions.setdefault(decision.event_id, []).append(decision)

    def _check_patience(self, last_news: float, patience_s: float, workers: Workers) -> None:
        if time.monotonic() - last_news > patience_s:
            raise SandboxError(
                f"no decision for {patience_s:g} s (--timeout); {self._ledger.events_left} events wait, among them "
                f"{'; '.join(self._ledger.missing())}\n{workers.log_ends()}"
            )
