"""Shares of counted things with their uncertainty, and curves over a threshold in constant memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 1000
"""Resolution of a threshold: 0.001."""
Z95: Final = 1.959963984540054
"""Two-sided 95% quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole`, with the Wilson score interval at 95% (E. B. Wilson, JASA 22:158, 1927)."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        return self.part / self.whole if self.whole else None

    @property
    def low(self) -> float:
        return self._bound(-1)

    @property
    def high(self) -> float:
        return self._bound(+1)

    def _bound(self, side: int) -> float:
        if not self.whole:
            return 0.0 if side < 0 else 1.0
        if self.part == (0 if side < 0 else self.whole):
            return float(side > 0)
        p, n = self.part / self.whole, self.whole
        spread = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
        return (p + Z95**2 / (2 * n) + side * spread) / (1 + Z95**2 / n)

    def as_json(self) -> dict[str, float | int | None]:
        return {"part": self.part, "of": self.whole, "value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold on one label does: precision and recall of `score ≥ threshold`.

    safe_hit: share of images without the label that the threshold hits.
    load:     share of all images, labelled or not, that the threshold hits.
    """

    threshold: float
    precision: Share
    recall: Share
    safe_hit: Share
    load: Share


def _empty() -> NDArray[np.int64]:
    return np.zeros(BINS + 1, dtype=np.int64)


@dataclass(slots=True)
class ScoreCounts:
    """How many images have each score of one label: with the label, without it, and in all.

    Arrays are `[BINS+1] int64`; bin b counts scores in `[b, b+1) / BINS`.
    """

    with_label: NDArray[np.int64] = field(default_factory=_empty)
    without: NDArray[np.int64] = field(default_factory=_empty)
    everything: NDArray[np.int64] = field(default_factory=_empty)

    def add(self, score: float, truth: bool | None) -> None:
        # The nudge keeps a decimal such as 0.29 in its own bin: 0.29 * 1000 is 289.99….
        bin_ = int(score * BINS + 1e-6)
        self.everything[bin_] += 1
        if truth is not None:
            (self.with_label if truth else self.without)[bin_] += 1

    def at(self, threshold: float) -> Point:
        """The point of one threshold, rounded up to a multiple of 1/BINS."""
        first = min(BINS + 1, math.ceil(threshold * BINS - 1e-6))
        hit, false = int(self.with_label[first:].sum()), int(self.without[first:].sum())
        return Point(
            threshold=first / BINS,
            precision=Share(hit, hit + false),
            recall=Share(hit, int(self.with_label.sum())),
            safe_hit=Share(false, int(self.without.sum())),
            load=Share(int(self.everything[first:].sum()), int(self.everything.sum())),
        )

    def curve(self, thresholds: Sequence[float]) -> list[Point]:
        return [self.at(threshold) for threshold in thresholds]

    def lowest_threshold(self, at_most: float, *, proven: bool = False) -> Point | None:
        """The lowest threshold that hits at most this share of images without the label.

        proven: the upper end of the 95% interval must keep the promise too, not only the count seen.
        None where no threshold does (too few images to prove it, or none at all).
        """
        total = int(self.without.sum())
        above = np.concatenate([np.cumsum(self.without[::-1])[::-1], [0]])
        for first, hit in enumerate(above.tolist()):
            share = Share(hit, total)
            if total and (share.high if proven else share.value or 0.0) <= at_most:
                return self.at(first / BINS) if first <= BINS else None
        return None
