"""The first stage: image events → scored events, each image examined once by each source of evidence.

Steps of a batch, in the order of `ScoreStage._score`: parse → fetch → hash → recall known evidence → decode what
a source still lacks → each source examines it → evidence. Every event gets a status. A record that cannot be
parsed becomes a reject.
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from moderation.errors import EventError, ImageError, ModelError
from moderation.events import Evidence, ImageFacts, ModelStamp, ScoredEvent, Status
from moderation.evidence.contract import overall_status
from moderation.evidence.source import EvidenceSource, evidence_key, failed_evidence
from moderation.images import Views
from stream import metrics
from stream.cache import EvidenceCache, KnownEvidence
from stream.kafka import Output, Record
from stream.parse import Incoming, parse_image_event
from stream.rejects import reject_output
from stream.settings import Settings
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
    """One record of a batch: ended by `reject` or `failure`, answered by `evidence`, or in work."""

    record: Record
    incoming: Incoming | None = None
    reject: EventError | None = None
    fetched: "Future[bytes] | None" = None
    sha256: str = ""
    data: bytes = b""
    failure: ImageError | None = None
    evidence: dict[str, Evidence] = field(default_factory=dict)
    image: ImageFacts | None = None
    perceptual_hash: str | None = None


Lacking = dict[str, dict[str, list[_Item]]]
"""Source → sha256 → the items that wait for its evidence."""


class ScoreStage:
    """A `stream.worker.Stage`. Owns the sources, decoder, cache and fetcher it is given."""

    name = "score"

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[EvidenceSource],
        decoder: Decoder,
        cache: EvidenceCache,
        fetcher: Fetcher | None,
    ) -> None:
        self.topics: tuple[str, ...] = (settings.topics.creatives, settings.topics.pages)
        self._settings = settings
        self._cache = cache
        self._decoder = decoder
        self._fetcher = fetcher
        self._sources = {source.name: source for source in sources}
        self._threads = ThreadPoolExecutor(settings.worker.in_flight, thread_name_prefix="score")

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        return self._threads.submit(self._score, records)

    def is_ready(self) -> bool:
        return not any(source.is_away() for source in self._sources.values())

    def close(self) -> None:
        # First the parts that the threads wait for: each of their batches may have minutes of decoding left.
        for part in (*self._sources.values(), self._decoder, self._fetcher):
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
        present = [item for item in items if item.sha256 and item.failure is None]
        if present:
            self._examine(self._recall(present))
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
            _fail([item], error)

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

    # -- evidence -------------------------------------------------------------------------------

    def _recall(self, items: list[_Item]) -> Lacking:
        """Give every item its known evidence. Returns what each source must still examine."""
        lacking: Lacking = {}
        for name, source in self._sources.items():
            try:
                stamp = source.stamp()
            except ModelError as error:
                _answer(items, failed_evidence(name, error))
                continue
            keys = {item.sha256: evidence_key(name, stamp, item.sha256) for item in items}
            found = self._cache.get(keys.values())
            for item in items:
                if known := found.get(keys[item.sha256]):
                    _remember(item, known)
                else:
                    lacking.setdefault(name, {}).setdefault(item.sha256, []).append(item)
        return lacking

    def _examine(self, lacking: Lacking) -> None:
        """Decode once each image that any source lacks, and let each source examine what it lacks."""
        decoded = self._decode(lacking)
        for name, waiting in lacking.items():
            ready = [sha256 for sha256 in waiting if sha256 in decoded]
            answers = self._sources[name].examine([decoded[sha256] for sha256 in ready]) if ready else []
            fresh = []
            for sha256, evidence in zip(ready, answers, strict=True):
                _answer(waiting[sha256], evidence, decoded[sha256])
                if evidence.stamp is not None and evidence.status is Status.OK:
                    fresh.append(_known(evidence, evidence.stamp, sha256, decoded[sha256]))
            self._cache.put({known.key: known for known in fresh})

    def _decode(self, lacking: Lacking) -> dict[str, Views]:
        """Identical images in the batch once. What cannot be decoded has failed, but for what is known of it."""
        groups: dict[str, dict[int, _Item]] = {}
        for waiting in lacking.values():
            for sha256, items in waiting.items():
                groups.setdefault(sha256, {}).update((id(item), item) for item in items)
        pending = {sha: self._decoder.submit(next(iter(group.values())).data, sha) for sha, group in groups.items()}
        decoded: dict[str, Views] = {}
        for sha256, future in pending.items():
            try:
                decoded[sha256] = future.result()
            except ImageError as error:
                _fail(groups[sha256].values(), error)
        return decoded

    # -- results --------------------------------------------------------------------------------

    def _output(self, item: _Item) -> Output:
        topics = self._settings.topics
        if item.incoming is None:
            error = item.reject or EventError("unparsed", "the event was not parsed")
            metrics.REJECTS.labels(self.name, error.reason).inc()
            return reject_output(topics.rejects, item.record, stage=self.name, reason=error.reason, detail=error.detail)
        scored = _scored_event(item, item.incoming, self._sources)
        metrics.STATUSES.labels(scored.status.value).inc()
        return Output(topics.scores, scored.event_id.encode(), scored.model_dump_json().encode())


def _fail(items: Iterable[_Item], error: ImageError) -> None:
    # Its frames hold the batch, and the batch holds it: megabytes would wait for the garbage collector.
    error.__traceback__ = None
    for item in items:
        item.failure = error


def _answer(items: Iterable[_Item], evidence: Evidence, views: Views | None = None) -> None:
    for item in items:
        item.evidence[evidence.source] = evidence
        if views is not None:
            item.image, item.perceptual_hash = views.facts, views.perceptual_hash


def _remember(item: _Item, known: KnownEvidence) -> None:
    item.evidence[known.evidence.source] = known.evidence.model_copy(update={"cached": True})
    item.image, item.perceptual_hash = known.image, known.perceptual_hash


def _known(evidence: Evidence, stamp: ModelStamp, sha256: str, views: Views) -> KnownEvidence:
    return KnownEvidence(
        key=evidence_key(evidence.source, stamp, sha256),
        evidence=evidence,
        image=views.facts,
        perceptual_hash=views.perceptual_hash,
    )


def _scored_event(item: _Item, incoming: Incoming, sources: Iterable[str]) -> ScoredEvent:
    event = incoming.event
    evidence = _evidence(item, sources)
    status = item.failure.status if item.failure and not evidence else overall_status(evidence)
    detail = item.failure.detail if item.failure and not evidence else evidence[0].detail
    return ScoredEvent(
        event_id=event.event_id,
        surface=event.surface,
        clients=event.clients,
        context=event.context,
        occurred_at=event.occurred_at,
        status=status,
        detail=detail if status is not Status.OK else None,
        content_sha256=item.sha256 or None,
        perceptual_hash=item.perceptual_hash,
        image=item.image,
        evidence=evidence,
        scored_at=datetime.now(UTC),
    )


def _evidence(item: _Item, sources: Iterable[str]) -> tuple[Evidence, ...]:
    """In the order of the sources. None where the image could not be decoded and nothing was known of it; where
    one source's answer was known, the others' say why they have none."""
    if item.failure is None:
        return tuple(item.evidence[name] for name in sources)
    if not any(each.status is Status.OK for each in item.evidence.values()):
        return ()
    failed = {"status": item.failure.status, "detail": item.failure.detail}
    return tuple(item.evidence.get(name) or Evidence(source=name, **failed) for name in sources)


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
