"""Scoring images that may have several views: one batch for the model, one answer for each image."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.classifier import Classifier, ModelSpec, Scores
from moderation.errors import ImageError, ModelOverloaded, ModelUnavailable
from moderation.events import Status
from moderation.images import Views

ANSWER_GRACE_S: Final = 3.0
"""Beyond a request's deadline, which the client itself keeps: what it does not keep must still end."""
_ROUNDING: Final = 1e-3
"""How far outside 0..1 a probability may lie and still be one."""


@dataclass(frozen=True, slots=True)
class ImageScores:
    """What the model says of one image: of all its views the highest."""

    spec: ModelSpec
    scores: dict[str, float]
    uncertainty: float


def score_images(images: Sequence[Views], ask: Callable[[NDArray[np.uint8]], Scores]) -> list[ImageScores | ImageError]:
    """Score every view in one batch. An image whose numbers are no probabilities gets an error.

    ask: scores of `[B,S,S,3] uint8`. Raises the ModelError that it raises.
    """
    scores = ask(np.concatenate([each.pixels for each in images]))
    return [_worst(scores, rows) for rows in _rows(images)]


def request_scores(classifier: Classifier, pixels: NDArray[np.uint8], most: int, deadline_s: float) -> Scores:
    """Scores of `[B,S,S,3] uint8` by one model version, in requests of at most `most` views. Raises ModelError."""
    parts = (pixels[start : start + most] for start in range(0, len(pixels), most))
    asked = deque(classifier.submit(part, deadline_s) for part in parts)
    answers: list[Scores] = []
    while asked:
        answers.append(_await(asked.popleft(), deadline_s + ANSWER_GRACE_S))
    return _join(answers)


def _await(answer: "Future[Scores]", timeout_s: float) -> Scores:
    try:
        return answer.result(timeout_s)
    except FutureTimeout:
        raise ModelOverloaded(f"model server: no answer within {timeout_s:g} s") from None
    finally:
        # A failure's traceback names this frame. A frame that named the failure's answer would keep the pixels
        # until the garbage collector runs.
        del answer


def _join(parts: Sequence[Scores]) -> Scores:
    if len(parts) == 1:
        return parts[0]
    if len({part.spec.stamp for part in parts}) > 1:
        raise ModelUnavailable("the model was swapped within one batch; scoring it again by one version")
    return Scores(
        spec=parts[0].spec,
        values=np.concatenate([part.values for part in parts]),
        uncertainty=np.concatenate([part.uncertainty for part in parts]),
        embedding=np.concatenate([part.embedding for part in parts]),
    )


def _rows(images: Sequence[Views]) -> Iterator[slice]:
    """Where each image's views are in the batch."""
    counts = [len(each.pixels) for each in images]
    return (slice(end - count, end) for count, end in zip(counts, accumulate(counts), strict=True))


def _worst(scores: Scores, rows: slice) -> ImageScores | ImageError:
    values, uncertainty = scores.values[rows], scores.uncertainty[rows]
    if not (_are_probabilities(values) and _are_probabilities(uncertainty)):
        return ImageError(Status.MODEL_REJECTED, "the model answered with a score that is no number from 0 to 1")
    worst = zip(scores.spec.labels, values.max(axis=0).tolist(), strict=True)
    return ImageScores(scores.spec, {label: _clip(value) for label, value in worst}, _clip(float(uncertainty.max())))


def _are_probabilities(values: NDArray[np.float32]) -> bool:
    return bool(np.isfinite(values).all() and (np.abs(values - 0.5) <= 0.5 + _ROUNDING).all())


def _clip(value: float) -> float:
    """Clipped against rounding, and short enough to read in a record."""
    return round(min(1.0, max(0.0, value)), 6)
