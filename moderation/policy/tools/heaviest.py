"""The heaviest items of a stream, in bounded memory: events and their impressions."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

KEPT: Final = 5_000
"""Twice so many are held before the lighter half is dropped."""


@dataclass(slots=True)
class Weight:
    """Events and their impressions; an event without impressions weighs nothing there."""

    events: int = 0
    impressions: int = 0

    def add(self, impressions: int | None) -> None:
        self.events += 1
        self.impressions += impressions or 0

    def as_json(self) -> dict[str, int]:
        return {"events": self.events, "impressions": self.impressions}

    @property
    def order(self) -> tuple[int, int]:
        return self.impressions, self.events


def total(weights: Iterable[Weight]) -> Weight:
    found = Weight()
    for weight in weights:
        found.events += weight.events
        found.impressions += weight.impressions
    return found


class Weighed(Protocol):
    weight: Weight


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Weighed)


class Heaviest(Generic[K, V]):
    """Values by key. The lighter half is dropped when there are too many: one that comes again begins anew."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._values: dict[K, V] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made where there is none."""
        if (value := self._values.get(key)) is None:
            if len(self._values) >= 2 * self._kept:
                self._values = dict(self._ranked()[: self._kept])
            self._values[key] = value = make()
        return value

    def ranked(self, most: int | None = None) -> list[V]:
        """By impressions, then events; among equals what came first."""
        return [value for _, value in self._ranked()[:most]]

    def __len__(self) -> int:
        return len(self._values)

    def _ranked(self) -> list[tuple[K, V]]:
        return sorted(self._values.items(), key=lambda item: item[1].weight.order, reverse=True)
