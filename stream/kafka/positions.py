"""Positions of a group in its partitions. A position is established or waited for, never guessed.

A group begins a topic once: the owner of partition 0 commits the first offset of every partition in one
transaction, and other members wait for it. Each committed offset carries a claim, the number of the topic's
partitions that the group has begun. So a partition without an offset is

- new to the group, where no partition of its topic has an offset: the owner of partition 0 begins them all;
- added later, where its number is not below the claim: its owner begins it;
- lost in every other case: `PositionLost` names it.

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


@dataclass(frozen=True, slots=True)
class Committed:
    """What the brokers hold for one partition: the next offset to read, if any, and the claim beside it."""

    offset: int | None
    claim: int = 0


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


def plan_topic(group: str, topic: str, owned: Set[int], found: Mapping[int, Committed | None]) -> Plan:
    """Decide for the `owned` partitions; `found` has every partition of the topic, None where not established.

    Partitions in neither `starts` nor `begins` have to be asked for again. Raises PositionLost.
    """
    known = {number: each for number, each in found.items() if each is not None}
    claim = max((each.claim for each in known.values()), default=0)
    starts = {number: offset for number in owned & known.keys() if (offset := known[number].offset) is not None}
    begins: set[int] = set()
    if len(known) == len(found):
        begins = _partitions_to_begin(owned, known, claim)
    lacking = {number for number in owned & known.keys() - starts.keys() - begins if number < claim}
    if lacking or (claim == 0 and len(known) == len(found) and _is_partial(owned, known)):
        raise PositionLost(_lost(group, topic, lacking or owned & known.keys() - starts.keys()))
    return Plan(starts, begins, max(claim, _unbroken(known, begins)))


def _partitions_to_begin(owned: Set[int], known: Mapping[int, Committed], claim: int) -> set[int]:
    if claim:
        return {number for number in owned if number >= claim and known[number].offset is None}
    is_new = all(each.offset is None for each in known.values())
    return set(known) if is_new and 0 in owned else set()


def _is_partial(owned: Set[int], known: Mapping[int, Committed]) -> bool:
    """Some partitions have offsets, an owned one has none, and no claim says which were begun."""
    has_offsets = any(each.offset is not None for each in known.values())
    return has_offsets and any(known[number].offset is None for number in owned)


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


def metadata_of(claim: int) -> str:
    """The claim as it is committed beside an offset. Other keys may join it."""
    return json.dumps({_CLAIM: claim})


def claim_in(metadata: str | None) -> int:
    """The claim beside a committed offset; 0 where another program committed it."""
    try:
        value = json.loads(metadata or "{}").get(_CLAIM, 0)
    except (ValueError, AttributeError):
        return 0
    return value if isinstance(value, int) else 0
