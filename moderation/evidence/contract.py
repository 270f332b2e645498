"""What a source of evidence says of one image, as it stands on the wire."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from moderation.wire import Frozen, ModelStamp, Name, Probability, Status

IMAGE: Final = "image"
"""Name of the image model among the sources."""
MOST_SOURCES, MOST_PLACES, MOST_WORDS = 16, 64, 200


class Place(Frozen):
    """A part of the image, and what was found there: a tile, a line of text, an object."""

    box: tuple[Probability, Probability, Probability, Probability] = Field(
        description="Left, top, width and height, as shares of the image."
    )
    frame: int | None = Field(None, ge=0, description="Of an animation, from 0.")
    label: Name | None = None
    score: Probability | None = None
    words: Annotated[str, Field(max_length=MOST_WORDS)] | None = Field(None, description="What is written there.")


class Evidence(Frozen):
    """What one source says of the image, or the status that says why it says nothing."""

    source: Name = Field(description="`image`: the image model; others as the label catalogue names them.")
    stamp: ModelStamp | None = Field(None, description="What produced the scores; null where nothing answered.")
    status: Status
    detail: str | None = Field(None, description="For people: why the status is not OK.")
    scores: dict[str, Probability] = Field({}, description="By label; a label that is absent was not scored.")
    uncertainty: Probability | None = Field(
        None, description="How unlike the training data the image is: 0 like, 1 unlike."
    )
    cached: bool = Field(False, description="Whether the answer was known from the same bytes.")
    language: Name | None = Field(None, description="Of the words, BCP 47.")
    places: tuple[Place, ...] = Field((), max_length=MOST_PLACES, description="Where it was found, worst first.")


class EvidenceSummary(Frozen):
    """Which source was asked, and how that ended. Short, since every decision repeats it."""

    source: Name
    stamp: str | None = Field(None, description="As `name:version:preprocessing:calibration`; null without one.")
    status: Status


def _each_source_once(evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    if len({each.source for each in evidence}) != len(evidence):
        raise ValueError("a source stands twice")
    return evidence


EvidenceList = Annotated[tuple[Evidence, ...], Field(max_length=MOST_SOURCES), AfterValidator(_each_source_once)]


def overall_status(evidence: Sequence[Evidence]) -> Status:
    """Of an image that could be decoded: OK where any source examined it, else what the first one says."""
    if not evidence or any(each.status is Status.OK for each in evidence):
        return Status.OK
    return evidence[0].status
