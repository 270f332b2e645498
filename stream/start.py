"""Puts the two workers together from settings and runs them until they are told to stop."""

import os
import signal
import sys
from datetime import datetime
from functools import partial
from types import FrameType
from typing import Final

import structlog

from moderation.classifier import TritonAddress, TritonClassifier
from moderation.errors import BrokerError, ConfigurationError
from moderation.images import PREPROCESSING, Limits
from moderation.policy import LivePolicies, PolicyEvent, PolicyEventKind, load
from stream import metrics
from stream.cache import RedisPoisonList, ScoreCache
from stream.decide import DecideStage
from stream.decode.poison import FilePoisonList, NoPoison, PoisonList
from stream.decode.pool import DecodePool
from stream.fetch import Fetcher, FetchLimits
from stream.kafka import Output, produce_all, start_group_at
from stream.logs import configure_logs
from stream.patience import PatientModel
from stream.score import ScoreStage
from stream.settings import Settings, TritonSettings
from stream.worker import Stage, Worker

log = structlog.get_logger()

_DECISIONS_IN_A_BATCH: Final = 8192


def run_score(settings: Settings) -> None:
    """The scoring worker. Waits for the model before it consumes anything."""
    _prepare(settings)
    model = PatientModel(TritonClassifier(triton_address(settings.triton)), settings.triton)
    spec = model.spec()
    log.info("model found", **spec.stamp.model_dump(), labels=spec.labels, size=spec.size)
    stage = ScoreStage(
        settings,
        model,
        decode_pool(settings, spec.size),
        ScoreCache(settings.cache, settings.redis),
        _fetcher(settings),
    )
    _run(settings, stage)


def run_decide(settings: Settings) -> None:
    """The deciding worker. Raises PolicyError if a policy file is wrong at the start."""
    _prepare(settings)
    policies = LivePolicies(settings.policies, partial(_tell, settings))
    policies.start()
    try:
        clients = len(policies.current().clients)
        log.info("policies loaded", clients=clients, hash=policies.current().hash)
        settings = _with_batches_for(settings, clients)
        _run(settings, DecideStage(settings, policies.current))
    finally:
        policies.stop()


def run_replay(settings: Settings, since: datetime) -> None:
    """Decide again, by the policies as they are now, every event scored since then; ends when that is done.

    The group's name holds the policies' hash: a replay that was interrupted goes on where it was, one after
    another change of policy begins anew.
    """
    _prepare(settings)
    policies = load(settings.policies)
    group = f"{settings.application}-replay-{policies.hash[:12]}-{since:%Y%m%dT%H%M%SZ}"
    start_group_at(settings.kafka, group, settings.topics.scores, int(since.timestamp() * 1000))
    settings = _with_batches_for(settings, len(policies.clients))
    _run(settings, DecideStage(settings, lambda: policies, redecision=True), group=group, stop_at_end=True)


def _with_batches_for(settings: Settings, clients: int) -> Settings:
    """A batch becomes events × clients decisions of some 1.5 KB: memory is bounded by these, not by events."""
    most = max(1, _DECISIONS_IN_A_BATCH // max(clients, 1))
    worker = settings.worker.model_copy(update={"batch": min(settings.worker.batch, most)})
    return settings.model_copy(update={"worker": worker})


def _prepare(settings: Settings) -> None:
    configure_logs(settings.log_level)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    metrics.serve_metrics(settings.worker)


def _run(settings: Settings, stage: Stage, *, group: str | None = None, stop_at_end: bool = False) -> None:
    worker = Worker(settings, stage, group=group, stop_at_end=stop_at_end)

    def stop(number: int, _: FrameType | None) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    metrics.start_watchdog(worker.progress, settings.worker.stall_after_s)
    try:
        worker.run()
    finally:
        stage.close()


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


def _fetcher(settings: Settings) -> Fetcher | None:
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
        )
    )


def _tell(settings: Settings, event: PolicyEvent) -> None:
    """What happened to a policy: in the log, in the metrics, and on a topic where the client's people can see it."""
    told = event.model_dump(mode="json")
    if event.kind is PolicyEventKind.REFUSED:
        log.error("policy file refused; the last good one stays", **told)
        metrics.POLICY_ALARMS.labels(event.client or "").inc()
    else:
        log.info("policy changed", **told)
    output = Output(settings.topics.policy_events, (event.client or "").encode(), event.model_dump_json().encode())
    try:
        produce_all(settings.kafka, [output])
    except BrokerError as error:
        log.warning("the policy event could not be published", error=str(error))
