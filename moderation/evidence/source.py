"""The seam to whatever examines images: the image model, and later a text reader and clients' label packs."""

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
        """What the label catalogue calls it."""

    def stamp(self) -> ModelStamp:
        """What an answer would be stamped with now, so that known answers are found. Raises ModelError."""

    def examine(self, images: Sequence[Views]) -> list[Evidence]:
        """One answer for each image; a status that is not OK where it has none. Never raises ModelError."""

    def is_away(self) -> bool:
        """Whether events should wait for it on the broker. A source that others can do without never says so."""

    def close(self) -> None: ...


def evidence_key(source: str, stamp: ModelStamp, sha256: str) -> str:
    """What an answer is cached under: another model, preprocessing or calibration never finds it."""
    return f"adjudicate:evidence:{source}:{stamp.text}:{sha256}"


def failed_evidence(source: str, error: ModelError) -> Evidence:
    """What a source says that cannot answer."""
    status = Status.MODEL_REJECTED if isinstance(error, ModelRejected) else Status.MODEL_UNAVAILABLE
    return Evidence(source=source, status=status, detail=str(error))
