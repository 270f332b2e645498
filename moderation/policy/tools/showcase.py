"""One event as a report shows it to people, and the picture that goes with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moderation.events import ScoredEvent, Surface


@dataclass(frozen=True, slots=True)
class Shown:
    """The parts of an event for people. `image_url` and `file` are set where the recording has them."""

    event_id: str
    surface: Surface
    crid: str | None
    campaign: str | None
    page_url: str | None
    impressions: int | None
    content_sha256: str | None
    image_url: str | None
    file: str | None
    scores: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "surface": self.surface.value,
            "crid": self.crid,
            "campaign": self.campaign,
            "content_sha256": self.content_sha256,
            "scores": dict(self.scores),
        }

    @property
    def title(self) -> str:
        return self.crid or self.page_url or self.event_id


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture to embed, and where the whole one is. Either may be absent.

    uri:  `data:image/…;base64,…`.
    link: an http(s) address, or a path from the report's folder.
    """

    uri: str = ""
    width: int = 0
    height: int = 0
    link: str = ""


Pictures = Mapping[str, Picture]
"""Pictures by event id."""


def show(event: ScoredEvent, scores: Mapping[str, float]) -> Shown:
    """The event without what a report does not need, with its joined scores."""
    context = event.context
    return Shown(
        event_id=event.event_id,
        surface=event.surface,
        crid=context.crid,
        campaign=context.campaign,
        page_url=context.page_url,
        impressions=context.impressions,
        content_sha256=event.content_sha256,
        image_url=getattr(event, "image_url", None),
        file=getattr(event, "file", None),
        scores=scores,
    )


def creative_of(event: ScoredEvent) -> str:
    """The key of a creative: its id, else the image's bytes, else the event."""
    return event.context.crid or event.content_sha256 or event.event_id
