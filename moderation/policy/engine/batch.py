"""A batch of scored events beside the policies of a set: what every pre-filter reads, worked out once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moderation.events import Surface
from moderation.policy.engine.arrays import Floats, Mask, PolicyArrays, Ranks, Thresholds, score_matrix
from moderation.policy.engine.facts import Facts


@dataclass
class Batch:
    """B events and P policies. Every event of a batch is decided at the same moment."""

    facts: Sequence[Facts]
    arrays: PolicyArrays

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.facts), len(self.arrays.policies)

    @cached_property
    def scores(self) -> Floats:
        """`[B,L] float64`, NaN where a label was not scored."""
        return score_matrix([facts.scores for facts in self.facts], self.arrays.labels)

    @cached_property
    def scored(self) -> Mask:
        """`[B,L] bool`: which labels were scored."""
        scored: Mask = ~np.isnan(self.scores)
        return scored

    @cached_property
    def missing(self) -> Mask:
        """`[B,P] bool`: pairs in which a label that the policy names has no score."""
        missing = self.no_pair()
        for thresholds, indices in self.places:
            for index in indices:
                missing[index] = thresholds.missing(self.scored[index])
        return missing

    @cached_property
    def ranks(self) -> Ranks:
        """`[B,L]`: the scores as ranks among the policies' thresholds."""
        return self.arrays.ranks(self.scores)

    @cached_property
    def examined(self) -> Mask:
        """`[B,1] bool`."""
        return self.column([facts.examined for facts in self.facts], np.bool_)

    @cached_property
    def places(self) -> list[tuple[Thresholds, list[int]]]:
        """The thresholds in force at each surface and country of the batch, and the events that happened there."""
        indices: dict[tuple[Surface, str | None], list[int]] = {}
        for index, facts in enumerate(self.facts):
            indices.setdefault((facts.event.surface, facts.country), []).append(index)
        return [(self.arrays.at(*place), events) for place, events in indices.items()]

    def no_pair(self) -> Mask:
        """`[B,P] bool`, all false."""
        return np.zeros(self.shape, np.bool_)

    @staticmethod
    def column(values: Sequence[object], dtype: type[np.generic]) -> NDArray[Any]:
        """One value per event → `[B,1]`, to compare with one value per policy."""
        return np.array(values, dtype).reshape(-1, 1)
