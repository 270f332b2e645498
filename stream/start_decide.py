"""Assembles the deciding worker from settings."""

from datetime import UTC, datetime
from typing import Final, NamedTuple

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


class Replayed(NamedTuple):
    """One run of a replay: how many scores it read, and whether its group had never run before."""

    records: int
    is_new: bool


def run_replay(settings: Settings, since: datetime) -> Replayed:
    """Decide again, by the present policies, every event scored since then, then end.

    An interrupted replay resumes where it stopped, see `replay_group`.
    """
    prepare(settings)
    policies = load(settings.policies, settings.labels())
    group = replay_group(settings.application, policies.hash, since)
    is_new = start_group_at(settings.kafka, group, settings.topics.scores, int(since.timestamp() * 1000))
    settings = _with_batches_for(settings, len(policies.clients))
    stage = DecideStage(settings, lambda: policies, redecision=True)
    return Replayed(run_stage(settings, stage, group=group, stop_at_end=True), is_new)


def replay_group(application: str, policies_hash: str, since: datetime) -> str:
    """The consumer group of a replay: one for each instant and each state of the policies.

    The instant is written in UTC: 14:22+01:00 and 13:22Z are one replay, 14:22+01:00 and 14:22Z are two.
    """
    return f"{application}-replay-{policies_hash[:12]}-{since.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"


def _with_batches_for(settings: Settings, clients: int) -> Settings:
    """A batch becomes events × clients decisions of some 1.5 KB: memory is bounded by these, not by events."""
    most = max(1, _DECISIONS_IN_A_BATCH // max(clients, 1))
    worker = settings.worker.model_copy(update={"batch": min(settings.worker.batch, most)})
    return settings.model_copy(update={"worker": worker})
