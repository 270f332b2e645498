"""Assembles the scoring worker from settings."""

import os

import structlog

from moderation.classifier import TritonAddress, TritonClassifier
from moderation.errors import ConfigurationError
from moderation.evidence.image_model import ImageModel
from moderation.images import PREPROCESSING, Limits
from stream.cache import EvidenceCache, RedisPoisonList
from stream.decode.poison import FilePoisonList, NoPoison, PoisonList
from stream.decode.pool import DecodePool
from stream.fetch import Fetcher, FetchLimits
from stream.fetch.names import Resolve
from stream.patience import PatientModel
from stream.running import prepare, run_stage
from stream.score import ScoreStage
from stream.settings import Settings, TritonSettings
from stream.startup import SCORE_TOPICS, await_topics

log = structlog.get_logger()


def run_score(settings: Settings) -> None:
    """The scoring worker. Waits for the brokers and for the model before it consumes anything."""
    prepare(settings)
    await_topics(settings, ScoreStage.name, SCORE_TOPICS)
    model = PatientModel(TritonClassifier(triton_address(settings.triton)), settings.triton)
    spec = model.spec()
    log.info("model found", **spec.stamp.model_dump(), labels=spec.labels, size=spec.size)
    stage = ScoreStage(
        settings,
        [ImageModel(model)],
        decode_pool(settings, spec.size),
        EvidenceCache(settings.cache, settings.redis),
        make_fetcher(settings),
    )
    run_stage(settings, stage)


def triton_address(triton: TritonSettings) -> TritonAddress:
    return TritonAddress(
        triton.url, triton.model, triton.version, triton.tls_ca, triton.tls_certificate, triton.tls_key
    )


def decode_pool(settings: Settings, size: int) -> DecodePool:
    images = settings.images
    return DecodePool(
        workers=images.decode_workers or os.cpu_count() or 1,
        size=size,
        # How many views count changes the scores that the cache knows an image by, so it is no setting.
        limits=Limits(
            max_bytes=images.max_bytes,
            max_pixels=images.max_pixels,
            max_total_pixels=images.max_total_pixels,
            max_frames=images.max_frames,
        ),
        timeout_s=images.decode_timeout_s,
        memory_bytes=images.decode_memory_bytes,
        poison=_poison_list(settings),
    )


def _poison_list(settings: Settings) -> PoisonList:
    file = settings.images.poison_list
    try:
        if file is not None:
            return FilePoisonList(file)
    except OSError as error:
        raise ConfigurationError(f"images.poison_list {file}: {error.strerror}; name a writable file") from error
    return RedisPoisonList(settings.redis, PREPROCESSING) if settings.redis.url else NoPoison()


def make_fetcher(settings: Settings, *, resolve: Resolve | None = None) -> Fetcher | None:
    """The fetcher of these settings; none where fetching is off. `resolve` is the system's unless a test gives one."""
    fetch = settings.fetch
    if not fetch.enabled:
        return None
    return Fetcher(
        FetchLimits(
            schemes=fetch.schemes,
            ports=fetch.ports,
            timeout_s=fetch.timeout_s,
            max_redirects=fetch.max_redirects,
            max_bytes=settings.images.max_bytes,
        ),
        resolve=resolve,
        allowed_networks=fetch.allow_networks,
    )
