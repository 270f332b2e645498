"""The label catalogue: what images are judged by, as data that is read once and passed in.

A source of evidence publishes which labels it scores; a policy sets thresholds on them. A label without a
score is *missing*, which is never read as 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final

from moderation.events import Surface

TIERS: Final = ("floor", "high", "medium", "low")
"""From the most tolerant to the strictest: each names the mildest risk that is kept away."""


DEFAULT_SOURCES: Final = ("image",)
"""The image model alone: there is nothing to join."""


class State(StrEnum):
    ACTIVE = "active"
    """A source scores it: where no score arrives, the label is missing."""
    ANNOUNCED = "announced"
    """Known, so policies may name it. No source is expected to score it yet."""


class Kind(StrEnum):
    """What a score means. Exclusive groups, ordinals and scalars will be added."""

    INDEPENDENT = "independent"
    """An independent probability: siblings may all be high."""


class Joining(StrEnum):
    """How several sources' scores of one label become one number."""

    MAX = "max"
    """The highest score counts."""
    FIRST = "first"
    """The first source counts, in the order of `sources`; the next one only where it gave no score."""
    NOISY_OR = "noisy-or"
    """1 − ∏(1 − score): sources that fail independently of one another add up."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A tier's thresholds of one label; infinite where the tier never asks."""

    review: float
    block: float


@dataclass(frozen=True, slots=True)
class LabelTerms:
    """How one label reads in ad-tech's terms on one surface; docs/adtech.md says from which lists."""

    cat: tuple[str, ...] = ()
    risk: str | None = None
    attr: tuple[int, ...] = ()
    loss: int | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """One entry of the catalogue.

    parent:  the label that this one is a part of, from its dotted name.
    sources: the sources of evidence whose scores count, in order of trust.
    tiers:   thresholds by tier; empty for parts, and for labels that `suitability` does not cover.
    terms:   ad-tech terms by surface.
    """

    name: str
    state: State = State.ACTIVE
    kind: Kind = Kind.INDEPENDENT
    sources: tuple[str, ...] = DEFAULT_SOURCES
    joining: Joining = Joining.MAX
    description: str = ""
    tiers: Mapping[str, Cut] = field(default_factory=dict)
    terms: Mapping[Surface, LabelTerms] = field(default_factory=dict)

    @property
    def parent(self) -> str | None:
        return self.name.rpartition(".")[0] or None

    @property
    def wholes(self) -> tuple[str, ...]:
        """What it is a part of: its parent, and the parent's parent."""
        words = self.name.split(".")
        return tuple(".".join(words[:count]) for count in range(len(words) - 1, 0, -1))


@dataclass(frozen=True, eq=False)
class LabelCatalogue:
    """Every known label in order, each before its parts.

    file:        where it was read, for mistakes that send people there.
    suitability: version of the tier table; part of every policy hash.
    """

    name: str
    version: str
    suitability: str
    labels: tuple[Label, ...]
    file: str = ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.by_name)

    @cached_property
    def by_name(self) -> Mapping[str, Label]:
        return {label.name: label for label in self.labels}

    @cached_property
    def joinings(self) -> tuple[tuple[str, tuple[str, ...], Joining], ...]:
        """Of every label its name, its sources and how they are joined."""
        return tuple((label.name, label.sources, label.joining) for label in self.labels)

    @cached_property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """Every part with each label that it is a part of, the innermost parts first."""
        return tuple((label.name, whole) for label in reversed(self.labels) for whole in label.wholes)

    @cached_property
    def top_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels if label.parent is None)

    @cached_property
    def tiered_names(self) -> tuple[str, ...]:
        """Labels that a tier for all covers: active, with separate thresholds."""
        return tuple(label.name for label in self.labels if label.tiers and label.state is State.ACTIVE)

    @cached_property
    def announced_names(self) -> frozenset[str]:
        return frozenset(label.name for label in self.labels if label.state is State.ANNOUNCED)

    def terms(self, surface: Surface, label: str) -> LabelTerms:
        """A label without terms, or that is not known, describes nothing; it is still a reason."""
        known = self.by_name.get(label)
        return known.terms.get(surface, NO_TERMS) if known else NO_TERMS


NO_TERMS: Final = LabelTerms()
NO_LABELS: Final = LabelCatalogue("none", "", "", ())
"""For what needs no label: a set without policies."""


def top_label(label: str) -> str:
    """`violence.weapon` → `violence`; a top label is its own."""
    return label.partition(".")[0]
