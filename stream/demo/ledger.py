"""Counts decisions against the guarantee: exactly one per event and client concerned."""

import json
import time
from collections import Counter
from collections.abc import Sequence

from moderation.events import Decision, Reject, Status, Verdict


class Ledger:
    """Expectations on one side, decisions and rejects on the other. Safe to share: one thread expects,
    another records."""

    def __init__(self, stray_records: int = 0) -> None:
        """stray_records: records sent that are not events, each owed a reject."""
        self._owed: dict[str, set[str]] = {}
        self._stray_records = stray_records
        self.sent = 0
        self.decided = 0
        self.first_decision_at: float | None = None
        self.doubled: list[tuple[str, str]] = []
        self.unexpected: list[tuple[str, str]] = []
        self.rejects: list[Reject] = []
        self.verdicts: Counter[tuple[str, Verdict]] = Counter()
        self.statuses: Counter[Status] = Counter()
        self._unnamed_rejects = 0
        self._seen: set[str] = set()
        self._done: set[tuple[str, str]] = set()

    def expect(self, event_id: str, clients: Sequence[str]) -> None:
        """Expect decisions on an event before it is sent. `clients` may be empty."""
        self.sent += 1
        if clients:
            self._owed[event_id] = set(clients)

    def record_decision(self, decision: Decision) -> None:
        place = (decision.event_id, decision.client)
        if place in self._done:
            self.doubled.append(place)
            return
        self.first_decision_at = self.first_decision_at or time.time()
        self._done.add(place)
        self.decided += 1
        self.verdicts[decision.client, decision.verdict] += 1
        if decision.event_id not in self._seen:
            self._seen.add(decision.event_id)
            self.statuses[decision.status] += 1
        self._settle(*place)

    def _settle(self, event_id: str, client: str) -> None:
        owed = self._owed.get(event_id, set())
        if client not in owed:
            self.unexpected.append((event_id, client))
            return
        owed.discard(client)
        if not owed:
            del self._owed[event_id]

    def record_reject(self, reject: Reject, original: bytes) -> None:
        self.rejects.append(reject)
        named = rejected_event(original)
        if named is None or self._owed.pop(named, None) is None:
            self._unnamed_rejects += 1

    @property
    def events_left(self) -> int:
        """Events not fully decided yet."""
        return max(0, len(self._owed) + self._stray_records - self._unnamed_rejects)

    @property
    def is_settled(self) -> bool:
        """Whether everything sent so far has its decisions or its reject."""
        return self.events_left == 0

    @property
    def is_exact(self) -> bool:
        """Whether there was exactly one decision per event and client, and no unexpected one."""
        return self.is_settled and not self.doubled and not self.unexpected

    def missing(self, most: int = 5) -> list[str]:
        """Some of the events that are still owed decisions, with the clients that wait."""
        return [f"{event} ({', '.join(sorted(clients))})" for event, clients in [*self._owed.items()][:most]]


def rejected_event(original: bytes) -> str | None:
    """The id of the event in a rejected record, where its bytes contain one."""
    try:
        content = json.loads(original)
    except ValueError:
        return None
    named = content.get("event_id") if isinstance(content, dict) else None
    return named if isinstance(named, str) else None
