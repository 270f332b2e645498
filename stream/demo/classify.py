"""Scores of image files straight from the model: decode, batch over files, ask Triton, the worst view counts."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from moderation.classifier import Classifier, Scores
from moderation.errors import ConfigurationError, ImageError, ModelRejected
from moderation.events import ImageFacts, ModelStamp, Status
from moderation.images import Limits, Views
from stream.demo.outgoing import regular_files
from stream.score import Decoder

FILES_AT_A_TIME: Final = 16
CHUNKS_AHEAD: Final = 2
_LARGEST: Final = Limits().max_bytes
_TIMEOUT_S: Final = 60.0
_ARRAYS: Final = ("values", "uncertainty", "embedding")


@dataclass(frozen=True, slots=True)
class Classified:
    """What the model says of one file, or the status that says why it was not asked."""

    path: Path
    status: Status
    detail: str | None = None
    scores: dict[str, float] | None = None
    uncertainty: float | None = None
    image: ImageFacts | None = None
    model: ModelStamp | None = None


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those below the folders named. Raises ConfigurationError for what is not there."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ConfigurationError(f"{path}: no such file or folder")
        found += regular_files(path) if path.is_dir() else [path]
    return found


def classify(paths: Sequence[Path], classifier: Classifier, pool: Decoder, most: int) -> Iterator[Classified]:
    """Each file's scores in the order of `paths`, while the next files are being decoded.

    most: views in one request. Raises ModelUnavailable or ModelOverloaded where the server does not answer.
    """
    waiting: deque[list[tuple[Path, Future[Views]]]] = deque()
    rest = iter(paths)
    while chunk := list(islice(rest, FILES_AT_A_TIME)):
        waiting.append([(path, _decoding(path, pool)) for path in chunk])
        if len(waiting) > CHUNKS_AHEAD:
            yield from _scored(waiting.popleft(), classifier, most)
    while waiting:
        yield from _scored(waiting.popleft(), classifier, most)


def _decoding(path: Path, pool: Decoder) -> "Future[Views]":
    try:
        return pool.submit(_read(path))
    except ImageError as error:
        failed: Future[Views] = Future()
        failed.set_exception(error)
        return failed


def _read(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) <= _LARGEST:
            return path.read_bytes()
    except OSError as error:
        raise ImageError(Status.FETCH_FAILED, error.strerror or "cannot be read") from error
    raise ImageError(Status.TOO_LARGE, f"{size} bytes, at most {_LARGEST} are accepted")


def _scored(chunk: Sequence[tuple[Path, "Future[Views]"]], classifier: Classifier, most: int) -> Iterator[Classified]:
    found = [_views_or_error(future) for _, future in chunk]
    views = [each for each in found if isinstance(each, Views)]
    answers = iter(_answers(views, classifier, most))
    for (path, _), each in zip(chunk, found, strict=True):
        answer = next(answers) if isinstance(each, Views) else each
        if isinstance(answer, ImageError):
            yield Classified(path, answer.status, answer.detail)
        elif isinstance(each, Views):
            yield _classified(path, each, answer)


def _views_or_error(future: "Future[Views]") -> Views | ImageError:
    try:
        return future.result()
    except ImageError as error:
        return error


def _answers(views: Sequence[Views], classifier: Classifier, most: int) -> Sequence[Scores | ImageError]:
    """Per image the scores of all its views, cut from as few requests as possible."""
    if not views:
        return []
    pixels = np.concatenate([each.pixels for each in views])
    asked = [classifier.submit(pixels[start : start + most], _TIMEOUT_S) for start in range(0, len(pixels), most)]
    try:
        parts = [future.result() for future in asked]
    except ModelRejected as error:
        return [ImageError(Status.MODEL_REJECTED, str(error))] * len(views)
    ends = np.cumsum([len(each.pixels) for each in views]).tolist()
    whole = Scores(parts[0].spec, *(np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS))
    return [_rows(whole, end - len(each.pixels), end) for each, end in zip(views, ends, strict=True)]


def _rows(scores: Scores, start: int, end: int) -> Scores:
    return Scores(scores.spec, *(getattr(scores, name)[start:end] for name in _ARRAYS))


def _classified(path: Path, views: Views, answer: Scores) -> Classified:
    """An image is as bad as its worst view."""
    worst = answer.values.max(axis=0).clip(0.0, 1.0)
    scores = {label: round(value, 6) for label, value in zip(answer.spec.labels, worst.tolist(), strict=True)}
    uncertainty = round(float(answer.uncertainty.max()), 6)
    return Classified(path, Status.OK, None, scores, uncertainty, views.facts, answer.spec.stamp)
