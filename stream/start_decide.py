"""Puts the deciding worker together from settings."""

from datetime import datetime
from typing import Final

import structlog

from moderation.policy import LivePolicies, load
from stream.decide import DecideStage
from stream.kafka import start_group_at
from stream.policy_news import PolicyNews
from stream.running import prepare, run_stage
from stream.settings import Settings
from stream.startup import DECIDE_TOPICS, await_topics

log = structlog.get_logger()

_DECISIONS_IN_A_BATCH: Final = 8192


def run_decide(settings: Settings) -> None:
    """The deciding worker. Raises PolicyError if a policy file is wrong at the start."""
    prepare(settings)
    news = PolicyNews(settings)
    policies = LivePolicies(settings.policies, news.tell, settings.labels())
    policies.start()
    try:
        await_topics(settings, DecideStage.name, DECIDE_TOPICS)
        clients = len(policies.current().clients)
        log.info("policies loaded", clients=clients, hash=policies.current().hash)
        settings = _with_batches_for(settings, clients)
        run_stage(settings, DecideStage(settings, policies.current))
    finally:
        policies.stop()
        news.close()


def run_replay(settings: Settings, since: datetime) -> None:
    """Decide again, by the policies as they are now, every event scored since then; ends when that is done.

    The group's name holds the policies' hash: a replay that was interrupted goes on where it was, one after
    another change of policy begins anew.
    """
    prepare(settings)
    policies = load(settings.policies, settings.labels())
    group = f"{settings.application}-replay-{policies.hash[:12]}-{since:%Y%m%dT%H%M%SZ}"
    start_group_at(settings.kafka, group, settings.topics.scores, int(since.timestamp() * 1000))
    settings = _with_batches_for(settings, len(policies.clients))
    run_stage(settings, DecideStage(settings, lambda: policies, redecision=True), group=group, stop_at_end=True)


def _with_batches_for(settings: Settings, clients: int) -> Settings:
    """A batch becomes events × clients decisions of some 1.5 KB: memory is bounded by these, not by events."""
    most = max(1, _DECISIONS_IN_A_BATCH // max(clients, 1))
    worker = settings.worker.model_copy(update={"batch": min(settings.worker.batch, most)})
    return settings.model_copy(update={"worker": worker})
