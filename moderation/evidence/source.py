"""The interface of a source of evidence: the image model, later a text reader and clients' label packs."""

from collections.abc import Sequence
from typing import Protocol

from moderation.errors import ModelError, ModelRejected
from moderation.evidence.contract import Evidence
from moderation.images import Views
from moderation.wire import ModelStamp, Status


class EvidenceSource(Protocol):
    """Something that examines images. Safe from many threads."""

    @property
    def name(self) -> str:
        """Its name in the label catalogue."""

    def stamp(self) -> ModelStamp:
        """The stamp of an answer given now, to look up known answers. Raises ModelError."""

    def examine(self, images: Sequence[Views]) -> list[Evidence]:
        """One answer for each image; a status that is not OK where it has none. Never raises ModelError."""

    def is_away(self) -> bool:
        """Whether events should wait for it on the broker. An optional source returns false."""

    def close(self) -> None: ...


def evidence_key(source: str, stamp: ModelStamp, sha256: str) -> str:
    """The cache key of an answer: another model, preprocessing or calibration never finds it."""
    return f"adjudicate:evidence:{source}:{stamp.text}:{sha256}"


def failed_evidence(source: str, error: ModelError) -> Evidence:
    """The evidence of a source that cannot answer."""
    status = Status.MODEL_REJECTED if isinstance(error, ModelRejected) else Status.MODEL_UNAVAILABLE
    return Evidence(source=source, status=status, detail=str(error))
