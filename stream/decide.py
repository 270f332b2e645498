"""The second stage: scored events → one decision for every client concerned."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from moderation.errors import EventError
from moderation.events import ScoredEvent, Verdict
from moderation.policy import Encoded, PolicySet
from stream import metrics
from stream.kafka import Output, Record
from stream.parse import parse_scored_event
from stream.rejects import reject_output
from stream.settings import Settings
from stream.worker import Outputs

_ANSWER_BYTES: Final = 16 * 1024 * 1024
_DECISION_BYTES: Final = 1024
"""Size of a decision without the parts that it repeats of its event."""


class DecideStage:
    """A `stream.worker.Stage`. It takes the newest snapshot of the policies for each batch, so one
    snapshot decides a whole batch."""

    name = "decide"

    def __init__(self, settings: Settings, policies: Callable[[], PolicySet], *, redecision: bool = False) -> None:
        self.topics: tuple[str, ...] = (settings.topics.scores,)
        self._settings = settings
        self._policies = policies
        self._redecision = redecision
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decide")
        topics = settings.topics
        self._topic_of = {Verdict.ALLOW: topics.allow, Verdict.REVIEW: topics.review, Verdict.BLOCK: topics.block}

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        return self._thread.submit(self._decide, records)

    def is_ready(self) -> bool:
        return True

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _decide(self, records: Sequence[Record]) -> Outputs:
        """Decide the first records, as many as memory allows answers for."""
        policies, now = self._policies(), datetime.now(UTC)
        parsed = list(_bounded(records, len(policies.clients)))
        events = [event for event in parsed if isinstance(event, ScoredEvent)]
        decided = iter(policies.decide_encoded(events, now, redecision=self._redecision))
        return [
            [self._output(event.event_id, decision) for decision in next(decided)]
            if isinstance(event, ScoredEvent)
            else [self._rejected(record, event)]
            for record, event in zip(records, parsed, strict=False)
        ]

    def _output(self, event_id: str, decision: Encoded) -> Output:
        topic = self._settings.topics.shadow if decision.shadow else self._topic_of[decision.verdict]
        if not decision.shadow:
            # An event may name unknown clients. Each would be a time series that never ends.
            client = decision.client if decision.is_known else ""
            metrics.VERDICTS.labels(client, decision.verdict.value).inc()
        # One key per event and client: a re-decision follows the decision it replaces, in the same partition.
        key = f"{decision.client}:{event_id}"
        headers = {"decision_id": decision.decision_id.encode(), "client": decision.client.encode()}
        return Output(topic, key.encode(), decision.value, headers)

    def _rejected(self, record: Record, error: EventError) -> Output:
        metrics.REJECTS.labels(self.name, error.reason).inc()
        topic = self._settings.topics.rejects
        return reject_output(topic, record, stage=self.name, reason=error.reason, detail=error.detail)


def _bounded(records: Iterable[Record], everyone: int) -> Iterator[ScoredEvent | EventError]:
    """An event may name a thousand clients and have a long context, and each decision repeats the context."""
    expected = 0
    for count, record in enumerate(records):
        parsed = _parsed(record)
        if isinstance(parsed, ScoredEvent):
            expected += (len(parsed.clients) or everyone) * (_DECISION_BYTES + len(record.value or b""))
        if count and expected > _ANSWER_BYTES:
            return
        yield parsed


def _parsed(record: Record) -> ScoredEvent | EventError:
    try:
        return parse_scored_event(record)
    except EventError as error:
        return error
