"""Thresholds of all policies as arrays, so that most pairs of image and client never reach Python.

Axes: B events, L labels in their catalogue's order, P policies. Nothing is rounded: a score equal to
its threshold fires here exactly as it does in `judge`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moderation.events import Surface, Verdict
from moderation.policy.compile.effective import EffectivePolicy

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ranks = NDArray[np.unsignedinteger[Any]]


class Scale:
    """Every threshold of a set of policies in order, label by label, so that they compare as small integers.

    A score is at or above a threshold exactly when more thresholds of its label are at or below the score
    than precede that threshold: ranks compare as the float64 values do, four times as fast.
    """

    def __init__(self, policies: Sequence[EffectivePolicy], labels: Sequence[str]) -> None:
        self.column = {label: index for index, label in enumerate(labels)}
        cuts: list[set[float]] = [set() for _ in labels]
        for policy in policies:
            for limits in policy.limits.values():
                for (label, _), limit in limits.items():
                    cuts[self.column[label]].add(limit.threshold)
        self._cuts = [np.array(sorted(each), np.float64) for each in cuts]
        self.dtype = np.uint16 if max(map(len, cuts), default=0) < np.iinfo(np.uint16).max else np.uint32
        self.never = int(np.iinfo(self.dtype).max)

    def rank(self, label: str, threshold: float) -> int:
        return int(np.searchsorted(self._cuts[self.column[label]], threshold))

    def ranks(self, scores: Floats) -> Ranks:
        """`[B,L]` scores → `[B,L]`: how many thresholds of the label each reaches; NaN reaches none."""
        known = np.where(np.isnan(scores), -np.inf, scores)
        ranks = np.empty(scores.shape, self.dtype)
        for at, cuts in enumerate(self._cuts):
            ranks[:, at] = np.searchsorted(cuts, known[:, at], side="right")
        return ranks


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Of all policies at one surface and country.

    review, block: `[L,P]` ranks on the set's `Scale`, its `never` where a label has none.
    named:         `[L,P] bool`, labels whose absence matters.
    used:          columns of L with any threshold at all.
    """

    review: Ranks
    block: Ranks
    named: Mask
    used: tuple[int, ...]

    def levels(self, ranks: Ranks) -> NDArray[np.uint8]:
        """`[B,L]` ranks of scores → `[B,P] uint8`: 0 nothing fired, 1 review, 2 block."""
        review, block = self._fired(ranks, self.review), self._fired(ranks, self.block)
        levels: NDArray[np.uint8] = np.maximum(review.view(np.uint8), block.view(np.uint8) << 1)
        return levels

    def fired(self, ranks: Ranks) -> Mask:
        """`[B,L]` ranks of scores → `[B,P]`: whether any threshold fired."""
        return self._fired(ranks, np.minimum(self.review, self.block))

    def _fired(self, ranks: Ranks, limits: Ranks) -> Mask:
        """Most images are below every client's threshold of every label: only the others meet the clients."""
        any_fired = np.zeros((len(ranks), limits.shape[1]), np.bool_)
        if not limits.size:
            return any_fired
        rows = np.flatnonzero((ranks > limits.min(axis=1)).any(axis=1))
        if len(rows):
            any_fired[rows] = self._fired_in(ranks[rows], limits)
        return any_fired

    def _fired_in(self, ranks: Ranks, limits: Ranks) -> Mask:
        shape = (len(ranks), limits.shape[1])
        any_fired, fired = np.zeros(shape, np.bool_), np.empty(shape, np.bool_)
        for column in self.used:
            np.greater(ranks[:, column, None], limits[column], out=fired)
            any_fired |= fired
        return any_fired

    def missing(self, scored: Mask) -> Mask:
        """`[L]` which labels were scored → `[P]` whose policy misses one."""
        missing: Mask = np.logical_or.reduce(self.named[~scored], axis=0)
        return missing


@dataclass(frozen=True, slots=True)
class _Patch:
    """What a country changes: `rows` of P, and their columns."""

    rows: NDArray[np.intp]
    thresholds: Thresholds


class PolicyArrays:
    """The thresholds of a set of policies, asked of all of them at once."""

    def __init__(self, policies: Sequence[EffectivePolicy], labels: Sequence[str]) -> None:
        self.policies, self.labels = tuple(policies), tuple(labels)
        self._scale = Scale(policies, labels)
        self._base = {surface: _thresholds(policies, surface, None, self._scale) for surface in Surface}
        self._patches = {
            (surface, country): _patch(policies, surface, country, self._scale)
            for surface in Surface
            for country in sorted({country for policy in policies for country in _special_countries(policy)})
        }

    def at(self, surface: Surface, country: str | None) -> Thresholds:
        """Thresholds in force at a surface and country (alpha-2, or None where unknown)."""
        base, patch = self._base[surface], self._patches.get((surface, country or ""))
        if patch is None:
            return base
        review, block, named = base.review.copy(), base.block.copy(), base.named.copy()
        review[:, patch.rows] = patch.thresholds.review
        block[:, patch.rows] = patch.thresholds.block
        named[:, patch.rows] = patch.thresholds.named
        return Thresholds(review, block, named, tuple(sorted({*base.used, *patch.thresholds.used})))

    def ranks(self, scores: Floats) -> Ranks:
        """`[B,L]` scores as ranks among these policies' thresholds."""
        return self._scale.ranks(scores)


def score_matrix(scores: Sequence[Mapping[str, float]], labels: Sequence[str]) -> Floats:
    """Joined scores of each event → `[B,L] float64`, NaN where a label was not scored."""
    rows = [[each.get(label, math.nan) for label in labels] for each in scores]
    return np.array(rows, np.float64).reshape(len(scores), len(labels))


def _thresholds(policies: Sequence[EffectivePolicy], surface: Surface, country: str | None, scale: Scale) -> Thresholds:
    shape = (len(scale.column), len(policies))
    arrays = {verdict: np.full(shape, scale.never, scale.dtype) for verdict in (Verdict.REVIEW, Verdict.BLOCK)}
    named = np.zeros(shape, np.bool_)
    for row, policy in enumerate(policies):
        for (label, verdict), limit in policy.limits_at(surface, country).items():
            arrays[verdict][scale.column[label], row] = scale.rank(label, limit.threshold)
        for label in policy.named_labels(surface, country):
            named[scale.column[label], row] = True
    limited = (arrays[Verdict.REVIEW] != scale.never) | (arrays[Verdict.BLOCK] != scale.never)
    used = tuple(int(column) for column in np.flatnonzero(limited.any(axis=1)))
    return Thresholds(arrays[Verdict.REVIEW], arrays[Verdict.BLOCK], named, used)


def _special_countries(policy: EffectivePolicy) -> set[str]:
    """Where a policy has separate thresholds, or where its political section names a label that it does not
    name elsewhere."""
    markets = {country for _, country in policy.limits if country}
    return markets | set(policy.settings.political.countries if policy.settings.political else ())


def _patch(policies: Sequence[EffectivePolicy], surface: Surface, country: str, scale: Scale) -> _Patch:
    rows = [row for row, policy in enumerate(policies) if country in _special_countries(policy)]
    return _Patch(np.array(rows, np.intp), _thresholds([policies[row] for row in rows], surface, country, scale))
