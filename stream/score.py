"""The first stage: image events → scored events, each image scored once.

The way of a batch, top to bottom in `ScoreStage._score`: parse → fetch → hash → known already? → decode
what is left → one request to the model → scores. Every event comes out with a status; what cannot be
parsed goes to the rejects.
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from moderation.classifier import ModelSpec
from moderation.errors import EventError, ImageError, ModelError, ModelRejected
from moderation.events import ScoredEvent, Status
from moderation.images import Views
from stream import metrics
from stream.cache import KnownScores, ScoreCache, cache_key
from stream.kafka import Output, Record
from stream.parse import Incoming, parse_image_event
from stream.patience import PatientModel
from stream.rejects import reject_output
from stream.settings import Settings
from stream.view_scores import ImageScores, score_images
from stream.worker import Outputs


class Decoder(Protocol):
    """Bytes → views; the future raises ImageError. `stream.decode.DecodePool` is the real one."""

    def submit(self, data: bytes, sha256: str | None = None) -> "Future[Views]": ...
    def close(self) -> None: ...


class Fetcher(Protocol):
    """URL → bytes; the future raises ImageError. `stream.fetch.Fetcher` is the real one."""

    def submit(self, url: str) -> "Future[bytes]": ...
    def close(self) -> None: ...


@dataclass(slots=True)
class _Item:
    """One record on its way through a batch: ended by `reject` or `failure`, answered by `known`, or under way."""

    record: Record
    incoming: Incoming | None = None
    reject: EventError | None = None
    fetched: "Future[bytes] | None" = None
    sha256: str | None = None
    data: bytes = b""
    failure: ImageError | None = None
    known: KnownScores | None = None
    cached: bool = False


class ScoreStage:
    """A `stream.worker.Stage`. Owns the model, decoder, cache and fetcher it is given."""

    name = "score"

    def __init__(
        self, settings: Settings, model: PatientModel, decoder: Decoder, cache: ScoreCache, fetcher: Fetcher | None
    ) -> None:
        self.topics: tuple[str, ...] = (settings.topics.creatives, settings.topics.pages)
        self._settings = settings
        self._cache = cache
        self._decoder = decoder
        self._fetcher = fetcher
        self._model = model
        self._threads = ThreadPoolExecutor(settings.worker.in_flight, thread_name_prefix="score")

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        return self._threads.submit(self._score, records)

    def is_ready(self) -> bool:
        return not self._model.is_away()

    def close(self) -> None:
        # First what the threads wait for: each of their batches may hold minutes of decoding.
        for part in (self._model, self._decoder, self._fetcher):
            if part is not None:
                part.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._cache.close()

    def _score(self, records: Sequence[Record]) -> Outputs:
        items = [self._parse(record) for record in records]
        for item in items:
            self._start_fetch(item)
        for item in items:
            self._take_bytes(item)
        present = [item for item in items if item.sha256 is not None and item.failure is None]
        if present:
            self._score_present(present)
        return [[self._output(item)] for item in items]

    # -- bytes ----------------------------------------------------------------------------------

    def _parse(self, record: Record) -> _Item:
        try:
            return _Item(record, incoming=parse_image_event(record))
        except EventError as error:
            return _Item(record, reject=error)

    def _start_fetch(self, item: _Item) -> None:
        url = item.incoming and item.incoming.event.image and item.incoming.event.image.url
        if not url:
            return
        if self._fetcher is None:
            item.failure = ImageError(Status.FETCH_FORBIDDEN, "fetching by URL is switched off (fetch.enabled)")
        else:
            item.fetched = self._fetcher.submit(url)

    def _take_bytes(self, item: _Item) -> None:
        if item.incoming is None or item.failure is not None:
            return
        try:
            item.data = self._bytes(item)
            item.sha256 = hashlib.sha256(item.data).hexdigest()
        except ImageError as error:
            _settle([item], failure=error)

    def _bytes(self, item: _Item) -> bytes:
        assert item.incoming is not None  # noqa: S101 - narrows the type
        if item.fetched is not None:
            return item.fetched.result()
        image = item.incoming.event.image
        if image is not None and image.file is not None:
            return _read_below(self._settings.images.root, image.file, self._settings.images.max_bytes)
        data = item.incoming.data or b""
        if len(data) > self._settings.images.max_bytes:
            raise ImageError(Status.TOO_LARGE, f"{len(data)} bytes; at most {self._settings.images.max_bytes}")
        return data

    # -- scores ---------------------------------------------------------------------------------

    def _score_present(self, items: list[_Item]) -> None:
        try:
            self._recall(items)
        except ModelError as error:
            _settle(items, failure=_as_image_error(error))
            return
        self._examine([item for item in items if item.known is None])

    def _recall(self, items: list[_Item]) -> None:
        """Look up what the model now served has scored before."""
        spec: ModelSpec = self._model.spec()
        keys = {item.sha256: cache_key(str(item.sha256), spec.stamp) for item in items}
        found = self._cache.get(keys.values())
        for item in items:
            item.known = found.get(keys[item.sha256])
            item.cached = item.known is not None

    def _examine(self, items: list[_Item]) -> None:
        """Decode and score; identical images in the batch once."""
        groups: dict[str, list[_Item]] = {}
        for item in items:
            groups.setdefault(str(item.sha256), []).append(item)
        decoding = {sha256: self._decoder.submit(group[0].data, sha256) for sha256, group in groups.items()}
        decoded: dict[str, Views] = {}
        for sha256, future in decoding.items():
            try:
                decoded[sha256] = future.result()
            except ImageError as error:
                _settle(groups[sha256], failure=error)
        self._cache.put({known.key: known for known in self._classify(decoded, groups)})

    def _classify(self, decoded: dict[str, Views], groups: dict[str, list[_Item]]) -> list[KnownScores]:
        if not decoded:
            return []
        try:
            answers = score_images(list(decoded.values()), self._model.score)
        except ModelError as error:
            for sha256 in decoded:
                _settle(groups[sha256], failure=_as_image_error(error))
            return []
        fresh = []
        for (sha256, views), answer in zip(decoded.items(), answers, strict=True):
            if isinstance(answer, ImageError):
                _settle(groups[sha256], failure=answer)
                continue
            known = _known_scores(sha256, views, answer)
            _settle(groups[sha256], known=known)
            fresh.append(known)
        return fresh

    # -- results --------------------------------------------------------------------------------

    def _output(self, item: _Item) -> Output:
        topics = self._settings.topics
        if item.incoming is None:
            error = item.reject or EventError("unparsed", "the event was not parsed")
            metrics.REJECTS.labels(self.name, error.reason).inc()
            return reject_output(topics.rejects, item.record, stage=self.name, reason=error.reason, detail=error.detail)
        scored = _scored_event(item, item.incoming)
        metrics.STATUSES.labels(scored.status.value).inc()
        return Output(topics.scores, scored.event_id.encode(), scored.model_dump_json().encode())


def _settle(items: Iterable[_Item], *, known: KnownScores | None = None, failure: ImageError | None = None) -> None:
    if failure is not None:
        # Its frames hold the batch, and the batch holds it: megabytes would wait for the garbage collector.
        failure.__traceback__ = None
    for item in items:
        item.known, item.failure = known, failure


def _scored_event(item: _Item, incoming: Incoming) -> ScoredEvent:
    event, known, failure = incoming.event, item.known, item.failure
    return ScoredEvent(
        event_id=event.event_id,
        surface=event.surface,
        clients=event.clients,
        context=event.context,
        occurred_at=event.occurred_at,
        status=failure.status if failure else Status.OK,
        detail=failure.detail if failure else None,
        content_sha256=item.sha256,
        perceptual_hash=known.perceptual_hash if known else None,
        image=known.image if known else None,
        scores=known.scores if known else {},
        uncertainty=known.uncertainty if known else None,
        model=known.model if known else None,
        cached=item.cached,
        scored_at=datetime.now(UTC),
    )


def _known_scores(sha256: str, views: Views, answer: ImageScores) -> KnownScores:
    return KnownScores(
        key=cache_key(sha256, answer.spec.stamp),
        model=answer.spec.stamp,
        scores=answer.scores,
        uncertainty=answer.uncertainty,
        image=views.facts,
        perceptual_hash=views.perceptual_hash,
    )


def _as_image_error(error: ModelError) -> ImageError:
    status = Status.MODEL_REJECTED if isinstance(error, ModelRejected) else Status.MODEL_UNAVAILABLE
    return ImageError(status, str(error))


def _read_below(root: Path | None, name: str, most: int) -> bytes:
    if root is None:
        raise ImageError(Status.FETCH_FORBIDDEN, "events may not name files (images.root is not set)")
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root.resolve()):
            raise ImageError(Status.FETCH_FORBIDDEN, "the file lies outside images.root")
        if not path.is_file():
            raise ImageError(Status.FETCH_FAILED, "cannot read the file: it is not a regular file")
        if path.stat().st_size > most:
            raise ImageError(Status.TOO_LARGE, f"{path.stat().st_size} bytes; at most {most}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ImageError(Status.FETCH_FAILED, f"cannot read the file: {type(error).__name__}") from error
