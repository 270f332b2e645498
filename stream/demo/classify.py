"""Scores of image files from the model: decode, batch over files, ask Triton; the highest view counts."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from moderation.classifier import Classifier
from moderation.errors import ConfigurationError, ImageError, ModelRejected
from moderation.events import ImageFacts, ModelStamp, Status
from moderation.evidence.view_scores import ImageScores, request_scores, score_images
from moderation.images import Limits, Views
from stream.demo.outgoing import regular_files
from stream.score import Decoder

FILES_AT_A_TIME: Final = 16
CHUNKS_AHEAD: Final = 2
_LARGEST: Final = Limits().max_bytes
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Classified:
    """The scores of one file, or the status that explains why there are none."""

    path: Path
    status: Status
    detail: str | None = None
    scores: dict[str, float] | None = None
    uncertainty: float | None = None
    image: ImageFacts | None = None
    model: ModelStamp | None = None


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those below the folders named. Raises ConfigurationError for what holds none."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ConfigurationError(f"{path}: no such file or folder")
        named = list(regular_files(path)) if path.is_dir() else [path]
        if not named:
            raise ConfigurationError(f"{path} holds no files: name files, or folders that hold some")
        found += named
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
    answers = iter(_answers([each for each in found if isinstance(each, Views)], classifier, most))
    for (path, _), each in zip(chunk, found, strict=True):
        yield _classified(path, each, next(answers)) if isinstance(each, Views) else _failed(path, each)


def _views_or_error(future: "Future[Views]") -> Views | ImageError:
    try:
        return future.result()
    except ImageError as error:
        return error


def _answers(views: Sequence[Views], classifier: Classifier, most: int) -> Sequence[ImageScores | ImageError]:
    if not views:
        return []
    try:
        return score_images(views, lambda pixels: request_scores(classifier, pixels, most, _TIMEOUT_S))
    except ModelRejected as error:
        return [ImageError(Status.MODEL_REJECTED, str(error))] * len(views)


def _classified(path: Path, views: Views, answer: ImageScores | ImageError) -> Classified:
    if isinstance(answer, ImageError):
        return _failed(path, answer)
    return Classified(path, Status.OK, None, answer.scores, answer.uncertainty, views.facts, answer.spec.stamp)


def _failed(path: Path, error: ImageError) -> Classified:
    return Classified(path, error.status, error.detail)
