"""Records that the brokers refuse for good.

Brokers refuse whole batches. So each record of a refused batch is a suspect, to be sent alone on the next round;
the one that is refused alone is proven, and its input becomes a reject.
"""

from collections.abc import Iterable, Mapping

from stream.kafka import Position, Refusal
from stream.worker.stage import Place


class Refusals:
    """Suspects and proven refusals, by the place of their input record, until its offset is committed."""

    def __init__(self) -> None:
        self._suspects: set[Place] = set()
        self._reasons: dict[Place, str] = {}

    def note(self, refusals: Iterable[Refusal]) -> None:
        for refusal in refusals:
            if refusal.proven:
                self._reasons[refusal.origin] = refusal.reason
            else:
                self._suspects.add(refusal.origin)

    def is_suspect(self, place: Place) -> bool:
        return place in self._suspects

    def reason(self, place: Place) -> str | None:
        """Why the brokers do not take what this record became; None if they may."""
        return self._reasons.get(place)

    def forget_settled(self, committed: Mapping[Position, int]) -> None:
        """Drop what lies before the committed offsets."""

        def is_open(place: Place) -> bool:
            topic, partition, offset = place
            return offset >= committed.get((topic, partition), 0)

        self._suspects = set(filter(is_open, self._suspects))
        self._reasons = {place: reason for place, reason in self._reasons.items() if is_open(place)}
