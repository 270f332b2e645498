"""Positions of a group in its partitions. A position is established or waited for, never guessed.

A group begins a topic once: the owner of partition 0 commits the first offset of every partition in one
transaction, and other members wait for it. Each committed offset carries a claim, the number of the topic's
partitions that the group has begun. So a partition without an offset is

- new to the group, where no partition of its topic has an offset: the owner of partition 0 begins them all;
- added later, where its number is not below the claim: its owner begins it;
- lost in every other case: `PositionLost` names it.

The claim also has the topic's id. An offset with another id belongs to a topic that was deleted; it counts as
none. Where others have begun the new topic, the partition's owner begins it.

An answer counts only if the brokers call it stable. librdkafka's own look-up is not used: where the assignment
changes while it waits for an open transaction, it takes "not stable yet" for "no offset" and starts at
`auto.offset.reset` (docs/decisions/0074).
"""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from stream.errors import PositionLost

_CLAIM: Final = "begun"
_TOPIC: Final = "topic"


@dataclass(frozen=True, slots=True)
class Committed:
    """What the brokers hold for one partition: the next offset to read, if any, and the claim beside it.

    topic_id: of the topic that the offset belongs to; "" where the commit does not say, as a tool's does not.
    """

    offset: int | None
    claim: int = 0
    topic_id: str = ""

    def is_stale(self, topic_id: str) -> bool:
        """Whether it belongs to another topic than the one with this id."""
        return self.offset is not None and bool(self.topic_id and topic_id) and self.topic_id != topic_id


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows for one topic.

    starts: the committed offsets of partitions that can be read on.
    begins: partitions to begin now, some of which another member may own.
    claim:  what to say with the next offset committed.
    """

    starts: dict[int, int] = field(default_factory=dict)
    begins: set[int] = field(default_factory=set)
    claim: int = 0


def plan_topic(
    group: str, topic: str, owned: Set[int], found: Mapping[int, Committed | None], topic_id: str = ""
) -> Plan:
    """Decide for the `owned` partitions; `found` has every partition of the topic, None where not established.

    topic_id: of the topic that is there now. Partitions in neither `starts` nor `begins` have to be asked for
    again. Raises PositionLost.
    """
    stale = {number for number, each in found.items() if each is not None and each.is_stale(topic_id)}
    known = {number: Committed(None) if number in stale else each for number, each in found.items() if each is not None}
    is_complete = len(known) == len(found)
    claim = max((each.claim for each in known.values()), default=0)
    starts = {number: offset for number in owned & known.keys() if (offset := known[number].offset) is not None}
    begins = _partitions_to_begin(owned, known, claim, stale) if is_complete else set()
    open_ones = owned & known.keys() - starts.keys() - begins - stale
    lacking = {number for number in open_ones if number < claim}
    if lacking or (claim == 0 and is_complete and open_ones and _has_offsets(known)):
        raise PositionLost(_lost(group, topic, lacking or open_ones))
    return Plan(starts, begins, max(claim, _unbroken(known, begins)))


def _partitions_to_begin(owned: Set[int], known: Mapping[int, Committed], claim: int, stale: Set[int]) -> set[int]:
    if claim:
        return {number for number in owned if known[number].offset is None and (number >= claim or number in stale)}
    if not _has_offsets(known):
        return set(known) if 0 in owned else set()
    return set(owned & stale)


def _has_offsets(known: Mapping[int, Committed]) -> bool:
    return any(each.offset is not None for each in known.values())


def _unbroken(known: Mapping[int, Committed], begins: Set[int]) -> int:
    """How many partitions, from 0 on, have an offset or get one now."""
    number = 0
    while number in begins or (number in known and known[number].offset is not None):
        number += 1
    return number


def _lost(group: str, topic: str, partitions: Set[int]) -> str:
    names = ", ".join(f"{topic}/{number}" for number in sorted(partitions))
    return (
        f"group {group} has read topic {topic} before, but the brokers hold no offset of it for {names}; where to go "
        f"on cannot be known. {remedy(group, topic)}"
    )


def remedy(group: str, topic: str) -> str:
    return (
        f"Stop the workers of this group, set the offset with `kafka-consumer-groups --group {group} --topic "
        f"{topic}:PARTITION --reset-offsets … --execute`, then start them; docs/reliability.md, Positions, tells which"
    )


def metadata_of(claim: int, topic_id: str = "") -> str:
    """The claim as it is committed beside an offset. Other keys may join it."""
    return json.dumps({_CLAIM: claim} | ({_TOPIC: topic_id} if topic_id else {}))


def committed_with(offset: int | None, metadata: str | None) -> Committed:
    """A committed offset and what its metadata claims: nothing where another program committed it."""
    try:
        value = json.loads(metadata or "{}")
        claim, topic_id = value.get(_CLAIM, 0), value.get(_TOPIC, "")
    except (ValueError, AttributeError):
        return Committed(offset)
    return Committed(offset, claim if isinstance(claim, int) else 0, topic_id if isinstance(topic_id, str) else "")
