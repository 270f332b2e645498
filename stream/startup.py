"""Checks before a worker starts: every topic that it reads or writes exists."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from moderation.errors import ConfigurationError
from stream import metrics
from stream.errors import BrokerError
from stream.kafka import TopicProbe
from stream.setting_mistakes import variable_of
from stream.settings import Settings

log = structlog.get_logger()

SCORE_TOPICS: Final = ("creatives", "pages", "scores", "rejects")
DECIDE_TOPICS: Final = ("scores", "allow", "review", "block", "shadow", "rejects", "policy_events")
"""By their names in `topics`, inputs first."""

_BROKERS_WITHIN_S: Final = 300.0
_KNOWN_WITHIN_S: Final = 5.0
"""A topic just made is not known to every broker at once."""


def await_topics(settings: Settings, stage: str, names: Sequence[str]) -> None:
    """Wait for the brokers, then for each topic, briefly.

    Raises ConfigurationError where a topic is missing, and BrokerError where no broker answers for five minutes.
    """
    probe = TopicProbe(settings.kafka)
    topics = {name: getattr(settings.topics, name) for name in names}
    missing = _find_missing(probe, topics, stage)
    deadline = time.monotonic() + _KNOWN_WITHIN_S
    while missing and time.monotonic() < deadline:
        time.sleep(0.5)
        missing = _find_missing(probe, topics, stage)
    if missing:
        raise ConfigurationError(_explain(missing, settings))


def _find_missing(probe: TopicProbe, topics: dict[str, str], stage: str) -> dict[str, str]:
    missing = _patiently(lambda: set(probe.find_missing(topics.values())), stage)
    return {name: topic for name, topic in topics.items() if topic in missing}


def _patiently(ask: Callable[[], set[str]], stage: str) -> set[str]:
    deadline, is_logged = time.monotonic() + _BROKERS_WITHIN_S, False
    while True:
        try:
            return ask()
        except BrokerError as error:
            if time.monotonic() > deadline:
                raise
            if not is_logged:
                log.warning("waiting for the brokers", error=str(error), for_s=_BROKERS_WITHIN_S)
            metrics.WAITING.labels(stage).set(1)
            is_logged = True
            time.sleep(0.2)


def _explain(missing: dict[str, str], settings: Settings) -> str:
    brokers = settings.kafka.bootstrap_servers
    lines = [
        f"topics.{name} ({variable_of(('topics', name))}) is {topic!r}: the brokers at {brokers} have no such topic; "
        "create it, or name the right one"
        for name, topic in missing.items()
    ]
    return "\n  ".join(lines)
