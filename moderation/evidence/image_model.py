"""The image model as a source of evidence: all views of a batch in one request, the highest score counts."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moderation.classifier import ModelSpec, Scores
from moderation.errors import ImageError, ModelError
from moderation.evidence.contract import IMAGE, Evidence
from moderation.evidence.source import failed_evidence
from moderation.evidence.view_scores import ImageScores, score_images
from moderation.images import Views
from moderation.wire import ModelStamp, Status


class ViewScorer(Protocol):
    """A model that waits for its server; `stream.patience.PatientModel` is the real one."""

    def spec(self) -> ModelSpec: ...
    def score(self, images: NDArray[np.uint8]) -> Scores: ...
    def is_away(self) -> bool: ...
    def close(self) -> None: ...


class ImageModel:
    """An `EvidenceSource`."""

    name = IMAGE

    def __init__(self, model: ViewScorer) -> None:
        self._model = model

    def stamp(self) -> ModelStamp:
        return self._model.spec().stamp

    def examine(self, images: Sequence[Views]) -> list[Evidence]:
        try:
            answers = score_images(images, self._model.score)
        except ModelError as error:
            return [failed_evidence(self.name, error)] * len(images)
        return [_evidence(answer) for answer in answers]

    def is_away(self) -> bool:
        return self._model.is_away()

    def close(self) -> None:
        self._model.close()


def _evidence(answer: ImageScores | ImageError) -> Evidence:
    if isinstance(answer, ImageError):
        return Evidence(source=IMAGE, status=answer.status, detail=answer.detail)
    stamp = answer.spec.stamp
    return Evidence(source=IMAGE, stamp=stamp, status=Status.OK, scores=answer.scores, uncertainty=answer.uncertainty)
