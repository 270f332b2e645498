"""Evidence of several sources → one score per label, as the label catalogue declares.

1. A source counts for a label only where the catalogue lists it, and only with status OK.
2. The label's joining rule makes one number of the sources' scores.
3. A label is at least its largest part. A label that no source scored stays missing, whatever the scores of its parts.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from moderation.evidence.contract import IMAGE, Evidence
from moderation.labels import Joining, LabelCatalogue
from moderation.wire import Status

Found = tuple[str, float]
"""A source and its score."""


class Origin(NamedTuple):
    """Where a label's number came from. `part`: the part that it was raised to."""

    source: str
    part: str | None = None

    def words(self) -> str:
        """`from text`; empty for the label's own score by the image model, the usual case."""
        if self.part is None:
            return "" if self.source == IMAGE else f"from {self.source}"
        return f"from {self.source}, by its part {self.part}"


Given = Mapping[str, Mapping[str, float]]
"""Source → its scores by label, of the sources that answered."""


@dataclass(frozen=True, slots=True)
class Joined:
    """One number per label, in the catalogue's order.

    scores: by label; an absent label is missing.
    raised: labels that were raised, with the part that raised them.
    """

    catalogue: LabelCatalogue
    given: Given
    scores: dict[str, float]
    raised: dict[str, str]

    def origin(self, label: str) -> Origin:
        """Where the label's number came from. Asked of few labels, so it is looked for again."""
        part = self.raised.get(label)
        rule = self.catalogue.by_name[part or label]
        source, _ = _join(rule.name, rule.sources, rule.joining, self.given) or ("", 0.0)
        return Origin(source, part)


def join_scores(catalogue: LabelCatalogue, evidence: Iterable[Evidence]) -> Joined:
    """One number per label of the catalogue that a source scored."""
    given = {each.source: each.scores for each in evidence if each.status is Status.OK}
    scores: dict[str, float] = {}
    for name, sources, joining in catalogue.joinings:
        if len(sources) == 1:
            score = given.get(sources[0], _NO_SCORES).get(name)
            if score is not None:
                scores[name] = score
        elif found := _join(name, sources, joining, given):
            scores[name] = found[1]
    return Joined(catalogue, given, scores, _raise_to_parts(catalogue, scores))


_NO_SCORES: Final[Mapping[str, float]] = {}


def _join(name: str, sources: Sequence[str], joining: Joining, given: Given) -> Found | None:
    found = [(source, given[source][name]) for source in sources if name in given.get(source, _NO_SCORES)]
    if not found:
        return None
    return found[0] if len(found) == 1 else _JOIN[joining](found)


def _raise_to_parts(catalogue: LabelCatalogue, scores: dict[str, float]) -> dict[str, str]:
    raised: dict[str, str] = {}
    for part, whole in catalogue.parts:
        score = scores.get(part)
        if score is not None and whole in scores and score > scores[whole]:
            scores[whole] = score
            raised[whole] = raised.get(part, part)
    return raised


def _highest(found: Sequence[Found]) -> Found:
    return max(found, key=lambda each: each[1])


def _first(found: Sequence[Found]) -> Found:
    return found[0]


def _noisy_or(found: Sequence[Found]) -> Found:
    return "+".join(source for source, _ in found), 1 - math.prod(1 - score for _, score in found)


_JOIN: Final[Mapping[Joining, Callable[[Sequence[Found]], Found]]] = {
    Joining.MAX: _highest,
    Joining.FIRST: _first,
    Joining.NOISY_OR: _noisy_or,
}
