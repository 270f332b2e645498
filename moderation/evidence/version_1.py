"""Scored events of version 1, which had one model, read as version 2."""

from typing import Final, Literal

from pydantic import Field, ValidationError
from pydantic_core import from_json

from moderation.events import AdContext, ImageFacts, Moment, Pdq, ScoredEvent, Sha256, Surface
from moderation.evidence.contract import IMAGE, Evidence, EvidenceList
from moderation.wire import Frozen, ModelStamp, Name, Probability, Status

VERSIONS: Final = (1, 2)
_BEGINNING: Final = b'{"schema_version":1,'
"""Of an event as this project wrote it: its version need not be looked for."""


class ScoredEventV1(Frozen):
    """An event with the scores of the image model, or with the status that says why it has none."""

    schema_version: Literal[1] = 1
    event_id: Name
    surface: Surface
    clients: tuple[Name, ...] = ()
    context: AdContext = AdContext()
    occurred_at: Moment | None = None
    status: Status
    detail: str | None = None
    content_sha256: Sha256 | None = None
    perceptual_hash: Pdq | None = None
    image: ImageFacts | None = None
    scores: dict[str, Probability] = Field({})
    uncertainty: Probability | None = None
    model: ModelStamp | None = None
    cached: bool = False
    scored_at: Moment


def read_scored_event(text: bytes | str) -> ScoredEvent:
    """A scored event of any version. Raises ValidationError."""
    encoded = text.encode() if isinstance(text, str) else text
    if encoded.startswith(_BEGINNING):
        return upgrade(ScoredEventV1.model_validate_json(encoded))
    try:
        return ScoredEvent.model_validate_json(encoded)
    except ValidationError:
        if not _is_version_1(encoded):
            raise
    return upgrade(ScoredEventV1.model_validate_json(encoded))


def upgrade(event: ScoredEventV1) -> ScoredEvent:
    """The same event, its scores as evidence of the image model. Its parts were validated before."""
    same = {name: getattr(event, name) for name in ScoredEventV1.model_fields if name in ScoredEvent.model_fields}
    return ScoredEvent.model_construct(**same | {"schema_version": 2, "evidence": _evidence(event)})


def _evidence(event: ScoredEventV1) -> EvidenceList:
    """None where the image never reached a model."""
    if event.status not in {Status.OK, Status.MODEL_UNAVAILABLE, Status.MODEL_REJECTED}:
        return ()
    image = Evidence.model_construct(
        source=IMAGE,
        stamp=event.model,
        status=event.status,
        detail=event.detail,
        scores=event.scores,
        uncertainty=event.uncertainty,
        cached=event.cached,
        language=None,
        places=(),
    )
    return (image,)


def _is_version_1(text: bytes) -> bool:
    try:
        value = from_json(text)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("schema_version", 1) == 1 and "evidence" not in value
