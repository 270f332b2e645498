"""Evidence for scored events of tests."""

from collections.abc import Mapping
from typing import Any

from moderation.events import Evidence, ModelStamp, ScoredEvent, Status
from moderation.evidence.contract import IMAGE

STAMP = ModelStamp(name="brand_safety", version="3", preprocessing="squash-area-1", calibration="c1")


def evidence(source: str, scores: Mapping[str, float] | None = None, **fields: Any) -> Evidence:
    """What a source says; with a status that is not OK, neither scores nor a stamp."""
    if fields.get("status", Status.OK) is Status.OK:
        fields = {"stamp": STAMP, "scores": dict(scores or {}), "status": Status.OK} | fields
    return Evidence(source=source, **fields)


def image_evidence(scores: Mapping[str, float] | None = None, **fields: Any) -> Evidence:
    return evidence(IMAGE, scores, **{"uncertainty": 0.1} | fields)


def image_scores(event: ScoredEvent) -> dict[str, float]:
    """What the image model says."""
    return event.image_evidence.scores if event.image_evidence else {}


def is_cached(event: ScoredEvent) -> bool:
    """Whether the image model's answer was known."""
    return event.image_evidence is not None and event.image_evidence.cached
