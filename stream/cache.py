"""Caches by content hash: evidence, in the process first and then in Redis, and images that kill their decoder.
The only import of redis.

A key is the image's sha256 with the source's name and stamp, so an answer of another source, model or
preprocessing is never found. A stored value names its own key and is checked against it. Only real answers
are kept, never errors. A Redis that is away, slow or wrong is a miss.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog
from cachetools import LRUCache
from pydantic import BaseModel, ConfigDict, ValidationError
from redis import Redis, RedisError

from moderation.events import Evidence, ImageFacts, Pdq, Status
from moderation.evidence.source import evidence_key
from stream import metrics
from stream.decode.poison import POISONED
from stream.settings import CacheSettings, RedisSettings

log = structlog.get_logger()

_QUIET_S: Final = 1.0
"""Pause after a failure of Redis. Each try would cost a timeout."""


class KnownEvidence(BaseModel):
    """The evidence of one source on an image, with the facts from decoding it."""

    model_config = ConfigDict(frozen=True)

    key: str
    evidence: Evidence
    image: ImageFacts
    perceptual_hash: Pdq


class EvidenceCache:
    """Safe from many threads. Never raises for Redis."""

    def __init__(self, cache: CacheSettings, redis: RedisSettings) -> None:
        self._known: LRUCache[str, KnownEvidence] = LRUCache(max(cache.entries, 1))
        self._on = cache.entries > 0
        self._lock = threading.Lock()
        self._shelf = _Shelf(redis) if self._on else _Shelf(RedisSettings())

    def get(self, keys: Iterable[str]) -> dict[str, KnownEvidence]:
        """What is known of `keys`."""
        wanted = list(dict.fromkeys(keys))
        with self._lock:
            found = {key: known for key in wanted if self._on and (known := self._known.get(key)) is not None}
        metrics.CACHE.labels("process").inc(len(found))
        absent = [key for key in wanted if key not in found]
        stored = {key: _checked(key, value) for key, value in self._shelf.find(absent).items()}
        from_redis = {key: known for key, known in stored.items() if known is not None}
        metrics.CACHE.labels("redis").inc(len(from_redis))
        metrics.CACHE.labels("miss").inc(len(absent) - len(from_redis))
        self._keep(from_redis)
        return found | from_redis

    def put(self, known: Mapping[str, KnownEvidence]) -> None:
        if known and self._on:
            self._keep(known)
            self._shelf.leave({key: value.model_dump_json() for key, value in known.items()})

    def close(self) -> None:
        self._shelf.close()

    def _keep(self, known: Mapping[str, KnownEvidence]) -> None:
        with self._lock:
            self._known.update(known)


class _Shelf:
    """Redis as a store. One that is away, slow or not configured is empty."""

    def __init__(self, settings: RedisSettings) -> None:
        self._redis = _connect(settings)
        self._ttl_s = settings.ttl_s
        self._quiet_until = 0.0

    def find(self, keys: Sequence[str]) -> dict[str, bytes]:
        if self._redis is None or not keys or time.monotonic() < self._quiet_until:
            return {}
        try:
            values: object = self._redis.mget(keys)
        except RedisError as error:
            self._be_quiet(error)
            return {}
        answered = values if isinstance(values, list) and len(values) == len(keys) else []
        return {key: value for key, value in zip(keys, answered, strict=False) if isinstance(value, bytes)}

    def leave(self, values: Mapping[str, str]) -> None:
        if self._redis is None or time.monotonic() < self._quiet_until:
            return
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for key, value in values.items():
                    pipeline.set(key, value, ex=self._ttl_s)
                pipeline.execute()
        except RedisError as error:
            self._be_quiet(error)

    def close(self) -> None:
        if self._redis is not None:
            self._redis.close()

    def _be_quiet(self, error: RedisError) -> None:
        self._quiet_until = time.monotonic() + _QUIET_S
        log.warning("redis does not answer; going on without it", error=type(error).__name__)


def _connect(settings: RedisSettings) -> Redis | None:
    if settings.url is None:
        return None
    return Redis.from_url(
        settings.url.get_secret_value(),
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
        retry=None,
    )


def _checked(key: str, value: bytes) -> KnownEvidence | None:
    try:
        known = KnownEvidence.model_validate_json(value)
    except ValidationError:
        log.warning("redis has a value that cannot be read; ignored", key=key)
        return None
    if not key == known.key == _own_key(known.evidence, key.rpartition(":")[2]):
        log.warning("redis has a value under the wrong key; ignored", key=key)
        return None
    return known


def _own_key(evidence: Evidence, sha256: str) -> str | None:
    return evidence_key(evidence.source, evidence.stamp, sha256) if evidence.stamp else None


class RedisPoisonList:
    """A `stream.decode.PoisonList` that all workers share and that outlives them."""

    def __init__(self, redis: RedisSettings, preprocessing: str) -> None:
        self._shelf = _Shelf(redis)
        self._preprocessing = preprocessing

    def seen(self, sha256: str) -> Status | None:
        key = self._key(sha256)
        value = self._shelf.find([key]).get(key)
        return None if value is None else _POISONED.get(value)

    def add(self, sha256: str, status: Status) -> None:
        self._shelf.leave({self._key(sha256): status.value})

    def _key(self, sha256: str) -> str:
        # Another preprocessing version may bring a decoder that survives.
        return f"adjudicate:poison:{self._preprocessing}:{sha256}"


_POISONED: Final = {status.value.encode(): status for status in POISONED}
"""Refuse any other word: it would make an image count as examined, or invent a status."""
