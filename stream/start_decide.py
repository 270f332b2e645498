"""Puts the deciding worker together from settings."""

from datetime import datetime
from functools import partial
from typing import Final

import structlog

from moderation.errors import BrokerError
from moderation.policy import LivePolicies, PolicyEvent, PolicyEventKind, load
from stream import metrics
from stream.decide import DecideStage
from stream.kafka import Output, produce_all, start_group_at
from stream.running import prepare, run_stage
from stream.settings import Settings

log = structlog.get_logger()

_DECISIONS_IN_A_BATCH: Final = 8192


def run_decide(settings: Settings) -> None:
    """The deciding worker. Raises PolicyError if a policy file is wrong at the start."""
    prepare(settings)
    policies = LivePolicies(settings.policies, partial(_tell, settings))
    policies.start()
    try:
        clients = len(policies.current().clients)
        log.info("policies loaded", clients=clients, hash=policies.current().hash)
        settings = _with_batches_for(settings, clients)
        run_stage(settings, DecideStage(settings, policies.current))
    finally:
        policies.stop()


def run_replay(settings: Settings, since: datetime) -> None:
    """Decide again, by the policies as they are now, every event scored since then; ends when that is done.

    The group's name holds the policies' hash: a replay that was interrupted goes on where it was, one after
    another change of policy begins anew.
    """
    prepare(settings)
    policies = load(settings.policies)
    group = f"{settings.application}-replay-{policies.hash[:12]}-{since:%Y%m%dT%H%M%SZ}"
    start_group_at(settings.kafka, group, settings.topics.scores, int(since.timestamp() * 1000))
    settings = _with_batches_for(settings, len(policies.clients))
    run_stage(settings, DecideStage(settings, lambda: policies, redecision=True), group=group, stop_at_end=True)


def _with_batches_for(settings: Settings, clients: int) -> Settings:
    """A batch becomes events × clients decisions of some 1.5 KB: memory is bounded by these, not by events."""
    most = max(1, _DECISIONS_IN_A_BATCH // max(clients, 1))
    worker = settings.worker.model_copy(update={"batch": min(settings.worker.batch, most)})
    return settings.model_copy(update={"worker": worker})


def _tell(settings: Settings, event: PolicyEvent) -> None:
    """What happened to a policy: in the log, in the metrics, and on a topic where the client's people can see it."""
    told = event.model_dump(mode="json")
    if event.kind is PolicyEventKind.REFUSED:
        log.error("policy file refused; the last good one stays", **told)
        metrics.POLICY_ALARMS.labels(event.client or "").inc()
    elif event.kind is PolicyEventKind.REPAIRED:
        log.info("policy file right again; the alarm is over", **told)
    else:
        log.info("policy changed", **told)
    output = Output(settings.topics.policy_events, (event.client or "").encode(), event.model_dump_json().encode())
    try:
        produce_all(settings.kafka, [output])
    except BrokerError as error:
        log.warning("the policy event could not be published", error=str(error))
