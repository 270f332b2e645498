"""What a member claims beside the offsets that it commits, and whether that is still true."""

import math
import time
from collections.abc import Mapping
from typing import Final

import structlog

from stream import metrics
from stream.errors import BrokerError, TransactionAborted
from stream.kafka.identity import TopicIds, TopicWatch, changed_ids
from stream.kafka.lookup import Found
from stream.kafka.records import Claim

log = structlog.get_logger()

_LOOKS: Final = 3
_BETWEEN_LOOKS_S: Final = 0.3


class Claims:
    """Of the topics that this member reads. A topic that was made anew is forgotten, and said once."""

    def __init__(self, group: str, ids: TopicIds) -> None:
        self._group = group
        self._ids = ids
        self._watch = TopicWatch(ids)
        self._said: set[tuple[str, str]] = set()
        self._last_ids: dict[str, str] = {}
        self.by_topic: dict[str, Claim] = {}

    def add(self, found: Found) -> None:
        """As partitions are started."""
        for topic, claim in found.claims.items():
            before = self.by_topic.get(topic, Claim())
            is_same = before.topic_id == claim.topic_id
            # An answer that lacks a partition knows of fewer.
            self.by_topic[topic] = Claim(max(before.begun, claim.begun), claim.topic_id) if is_same else claim
            self._note_stale(found, topic)

    def _note_stale(self, found: Found, topic: str) -> None:
        new_id = found.claims[topic].topic_id
        stale = {number: each for (name, number), each in sorted(found.stale.items()) if name == topic}
        if stale:
            offsets = {str(number): each.offset for number, each in stale.items()}
            self._note(topic, next(iter(stale.values())).topic_id, new_id, old_positions=offsets)
        elif self._last_ids.get(topic, new_id) != new_id:
            # The brokers delete committed offsets with their topic.
            self._note(topic, self._last_ids[topic], new_id)
        self._last_ids[topic] = new_id

    def prove(self, latest: float = math.inf) -> Mapping[str, Claim]:
        """The claims, which are true of everything that was read before this call.

        A topic that is still there, or gone, was not yet made anew when it was read. latest: when to have an answer
        (`time.monotonic`). Raises TransactionAborted.
        """
        try:
            found = self._ids.find(self.by_topic, latest)
        except BrokerError as error:
            raise TransactionAborted(str(error)) from error
        if changed := self.forget_changed(found):
            raise TransactionAborted(f"deleted and made anew: {', '.join(sorted(changed))}")
        return dict(self.by_topic)

    def forget_changed(self, found: Mapping[str, str]) -> set[str]:
        """Forget topics whose id is another by now, and name them: positions in them mean nothing any more."""
        known = {topic: claim.topic_id for topic, claim in self.by_topic.items()}
        changed = changed_ids(known, found)
        for topic, new_id in changed.items():
            self._note(topic, self.by_topic.pop(topic).topic_id, new_id)
        return set(changed)

    def look(self) -> set[str]:
        """The same, as often as it is worth asking and without waiting for an answer."""
        return self.forget_changed(self._watch.find_now(self.by_topic))

    def is_same_topic(self, topic: str) -> bool:
        """Whether a topic is still the one that was read. Asks several brokers, as one may lag behind.

        Raises BrokerError where that is not known.
        """
        for _ in range(_LOOKS):
            found = self._ids.find({topic})
            if topic not in self.by_topic or topic not in found or self.forget_changed(found):
                return False
            time.sleep(_BETWEEN_LOOKS_S)
        return True

    def _note(self, topic: str, old_id: str, new_id: str, **more: object) -> None:
        if (topic, new_id) in self._said:
            return
        self._said.add((topic, new_id))
        metrics.RECREATED_TOPICS.labels(topic).inc()
        text = "topic was deleted and made anew; the new one is read from its beginning"
        log.warning(text, topic=topic, group=self._group, old_id=old_id, new_id=new_id, **more)
