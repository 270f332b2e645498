"""One image with the decisions on it, and how they compare with what was expected."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from moderation.events import Decision, ImageEvent, Status, Verdict
from stream.thumbnails import Thumbnail

VERDICTS: Final = (Verdict.BLOCK, Verdict.REVIEW, Verdict.ALLOW)
"""Most severe first."""


def rank(verdict: Verdict) -> int:
    """Higher is more severe."""
    return -VERDICTS.index(verdict)


@dataclass(frozen=True, slots=True)
class Judged:
    """One image with the decisions on it, one per client concerned.

    shows:    the labels that a person sees in it; None where that is unknown.
    expected: client → the verdict that right scores would give; empty where `shows` is None.
    """

    name: str
    event: ImageEvent
    thumbnail: Thumbnail | None
    decisions: Sequence[Decision]
    shows: tuple[str, ...] | None = None
    expected: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def blocked(self) -> bool:
        return any(decision.verdict is Verdict.BLOCK for decision in self.decisions)

    @property
    def status(self) -> Status | None:
        return self.decisions[0].status if self.decisions else None

    @property
    def severity(self) -> tuple[int, int, float]:
        """What reports sort by: the worst verdict, how many have it, the highest score."""
        ranks = [rank(decision.verdict) for decision in self.decisions]
        worst = max(ranks, default=rank(VERDICTS[-1]))
        scores = self.decisions[0].scores.values() if self.decisions else ()
        return worst, ranks.count(worst), max(scores, default=0.0)

    def miss(self, decision: Decision) -> Verdict | None:
        """The verdict that was expected, where the decision is another one."""
        wanted = self.expected.get(decision.client)
        return wanted if wanted is not decision.verdict else None


@dataclass(frozen=True, slots=True)
class Misses:
    """Decisions on images whose content is known. milder, stricter: of those, other than expected."""

    known: int = 0
    milder: int = 0
    stricter: int = 0

    @classmethod
    def count(cls, images: Iterable[Judged]) -> Self:
        known = [(image, decision) for image in images for decision in image.decisions if image.expected]
        missed = [(decision.verdict, wanted) for image, decision in known if (wanted := image.miss(decision))]
        milder = sum(rank(verdict) < rank(wanted) for verdict, wanted in missed)
        return cls(len(known), milder, len(missed) - milder)

    @property
    def as_expected(self) -> int:
        return self.known - self.milder - self.stricter

    def __str__(self) -> str:
        return (
            f"{self.as_expected:,} of {self.known:,} decisions on images with a known content are as expected; "
            f"{self.milder:,} are milder and {self.stricter:,} stricter"
        )
