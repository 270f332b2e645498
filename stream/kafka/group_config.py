"""How a member of a consumer group is set up, in librdkafka's keys."""

from typing import Any

from stream.settings import KafkaSettings


def member_entries(settings: KafkaSettings, group: str, instance: str | None) -> dict[str, Any]:
    """For a consumer that never looks up a position itself and reads committed records only."""
    return {
        "group.id": group,
        **({"group.instance.id": instance} if instance else {}),
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": int(settings.session_timeout_s * 1000),
        # One heartbeat to learn that the coordinator has moved, one for the new one: with librdkafka's
        # three seconds a short session was over before the second, and static members are then fenced.
        "heartbeat.interval.ms": min(3000, int(settings.session_timeout_s * 1000 / 6)),
        "max.poll.interval.ms": int(settings.max_poll_interval_s * 1000),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "fetch.queue.backoff.ms": 10,
        "fetch.wait.max.ms": 100,
        "allow.auto.create.topics": False,
        "queued.max.messages.kbytes": 32768,
        "topic.metadata.refresh.interval.ms": 10_000,
    }
