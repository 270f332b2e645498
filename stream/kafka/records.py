"""What is read and what is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Position = tuple[str, int]
"""A topic and a partition."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read. `timestamp_ms` is the record's own, milliseconds since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    timestamp_ms: int = 0

    @property
    def position(self) -> Position:
        return self.topic, self.partition


@dataclass(frozen=True, slots=True)
class Output:
    """A record to write."""

    topic: str
    key: bytes
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is committed beside an offset (`stream.kafka.positions`): how many partitions of the topic the group has
    begun, and the topic's id.
    """

    begun: int = 0
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """What a commit of offsets carries: proof of membership in the group, and each topic's claim."""

    proof: Any
    claims: Mapping[str, Claim]
