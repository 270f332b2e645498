"""What the brokers hold: records, transactions, and a group with its offsets, as Apache Kafka 4.1 keeps them."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException

from stream.kafka import Position
from stream.kafka.positions import committed_with
from tests.simulation.schedule import Schedule

SESSION_S = 6.0
TRANSACTION_S = 8.0
MARKER_LAG = 0.15
"""Chance per turn that the markers of an ended transaction reach the group's log. They are written late."""


def kafka_error(code: int, *, fatal: bool = False, abort: bool = False) -> KafkaException:
    return KafkaException(KafkaError(code, "simulated", fatal=fatal, txn_requires_abort=abort))


class Held(NamedTuple):
    """A committed offset with its metadata."""

    offset: int
    metadata: str


class Proof(NamedTuple):
    """A member's group metadata."""

    generation: int
    member_id: str
    instance: str


@dataclass
class Transactional:
    """The coordinator's state of one transactional id."""

    epoch: int = 0
    is_open: bool = False
    opened_at: float = 0.0
    outputs: list[str] = field(default_factory=list)
    offsets: dict[Position, Held] = field(default_factory=dict)
    ending: str = ""
    """"commit" or "abort" while markers are on their way."""


class Cluster:
    def __init__(self, schedule: Schedule, topics: dict[str, int]) -> None:
        self.schedule = schedule
        self.logs: dict[Position, list[str]] = {(t, p): [] for t, count in topics.items() for p in range(count)}
        self.visible: Counter[str] = Counter()
        self.deleted: Counter[str] = Counter()
        """What was in topics that were deleted."""
        self._recreations: Counter[str] = Counter()
        self.committed: dict[Position, Held] = {}
        self.transactions: defaultdict[str, Transactional] = defaultdict(Transactional)
        self.group = Group(self)
        self.are_healthy = False
        """Nothing fails any more, so that everything must come to its end."""

    def append(self, position: Position) -> None:
        log = self.logs[position]
        log.append(f"{self.topic_id(position[0])}/{position[1]}/{len(log)}")

    def topic_id(self, topic: str) -> str:
        return f"{topic}.{self._recreations[topic]}"

    def recreate(self, topic: str) -> None:
        """Delete a topic and make it anew. Its offsets go too, unless a transaction still holds them."""
        self._recreations[topic] += 1
        for number in self.partitions(topic):
            self.deleted.update(self.logs[topic, number])
            self.logs[topic, number] = []
            self.committed.pop((topic, number), None)
        self.schedule.note(f"{topic} is made anew")

    def partitions(self, topic: str) -> list[int]:
        return sorted(number for name, number in self.logs if name == topic)

    def turn(self) -> None:
        """What brokers do by themselves."""
        for transactional in self.transactions.values():
            is_old = transactional.is_open and self.schedule.now - transactional.opened_at > TRANSACTION_S
            if is_old and not transactional.ending:
                transactional.epoch += 1
                self.end(transactional, "abort")
            if transactional.ending and self.schedule.chance(MARKER_LAG):
                self._mark(transactional)
        self.group.expire()

    def end(self, transactional: Transactional, how: str) -> None:
        """Decided, and visible to readers; the group's log gets its marker later."""
        transactional.ending = how
        if how == "commit":
            self.visible.update(transactional.outputs)

    def _mark(self, transactional: Transactional) -> None:
        if transactional.ending == "commit":
            self.committed.update(transactional.offsets)
            self.schedule.note(f"offsets {_shown(transactional.offsets)} stand")
        transactional.ending, transactional.is_open = "", False
        transactional.outputs, transactional.offsets = [], {}

    def is_unstable(self, position: Position) -> bool:
        return any(position in each.offsets for each in self.transactions.values())

    def lag(self) -> int:
        return sum(len(log) - self._position(place) for place, log in self.logs.items())

    def _position(self, place: Position) -> int:
        held = self.committed.get(place, Held(0, ""))
        is_stale = committed_with(*held).is_stale(self.topic_id(place[0]))
        return 0 if is_stale else held.offset


def _shown(offsets: dict[Position, Held]) -> str:
    return ", ".join(f"{topic}/{number}:{held.offset}" for (topic, number), held in sorted(offsets.items()))


Claim = tuple[int, set[Position]]
"""What a member calls its own as it joins, and the generation it has that from."""


@dataclass
class Member:
    instance: str
    member_id: str
    sync: Callable[[set[Position], int], None]
    claim: Claim
    assigned: set[Position] = field(default_factory=set)
    has_joined: bool = False
    seen: float = 0.0


class Group:
    """A classic group of static members, dealt out cooperatively."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.generation = 0
        self.is_rebalancing = False
        self.members: dict[str, Member] = {}
        self._ids = 0

    def join(self, instance: str, member_id: str, claim: Claim, sync: Callable[[set[Position], int], None]) -> str:
        """A member's (re)join. Returns its id; the assignment comes by `sync`."""
        now, known = self._cluster.schedule.now, self.members.get(instance)
        if known is not None and known.member_id == member_id:
            known.claim, known.seen = (claim[0], set(claim[1])), now
            self._joined(known)
            return member_id
        self._ids += 1
        member = Member(instance, f"{instance}-{self._ids}", sync, (claim[0], set(claim[1])), seen=now)
        self.members[instance] = member
        if known is not None and not self.is_rebalancing:
            # A static member that comes back gets what it had, and the generation goes on.
            member.assigned = known.assigned
            sync(set(member.assigned), self.generation)
        else:
            self._joined(member)
        return member.member_id

    def leave(self, instance: str, member_id: str) -> None:
        if self.is_member(instance, member_id):
            del self.members[instance]
            self.rebalance()

    def orphans(self) -> set[Position]:
        """What no member has, unless it is on its way."""
        assigned = {place for member in self.members.values() for place in member.assigned}
        return set() if self.is_rebalancing else self._cluster.logs.keys() - assigned

    def is_member(self, instance: str, member_id: str) -> bool:
        return instance in self.members and self.members[instance].member_id == member_id

    def must_join(self, instance: str) -> bool:
        return self.is_rebalancing and instance in self.members and not self.members[instance].has_joined

    def heartbeat(self, instance: str) -> None:
        self.members[instance].seen = self._cluster.schedule.now

    def expire(self) -> None:
        gone = [each for each in self.members.values() if self._cluster.schedule.now - each.seen > SESSION_S]
        for member in gone:
            del self.members[member.instance]
            self._cluster.schedule.note(f"{member.member_id} expelled")
        if gone:
            self.rebalance()
        if self.is_rebalancing:
            self._complete()

    def rebalance(self) -> None:
        """Every member has to join again."""
        if not self.is_rebalancing:
            self.is_rebalancing = True
            for member in self.members.values():
                member.has_joined = False

    def check(self, proof: Proof) -> None:
        """As the coordinator checks a commit of offsets in a transaction. Raises KafkaException."""
        if not proof.member_id:
            return  # Brokers believe a proof that says nothing.
        if proof.instance not in self.members:
            raise kafka_error(KafkaError.UNKNOWN_MEMBER_ID, abort=True)
        if not self.is_member(proof.instance, proof.member_id):
            raise kafka_error(KafkaError.FENCED_INSTANCE_ID, abort=True)
        if proof.generation != self.generation:
            raise kafka_error(KafkaError.ILLEGAL_GENERATION, abort=True)

    def _joined(self, member: Member) -> None:
        self.rebalance()
        member.has_joined = True
        self._complete()

    def _complete(self) -> None:
        if not self.members or not all(member.has_joined for member in self.members.values()):
            return
        self.is_rebalancing = False
        self.generation += 1
        owned = {name: self._owned(member) for name, member in self.members.items()}
        target = self._deal_out(owned)
        for name, member in self.members.items():
            others = {place for other, places in owned.items() if other != name for place in places}
            member.assigned = target[name] - others
            member.has_joined = False
        for member in list(self.members.values()):
            member.sync(set(member.assigned), self.generation)

    def _owned(self, member: Member) -> set[Position]:
        """Its claims, but for what another claims from a generation as late or later."""
        generation, places = member.claim
        rivals = [each.claim for each in self.members.values() if each is not member]
        return {place for place in places if not any(place in theirs and late >= generation for late, theirs in rivals)}

    def _deal_out(self, owned: dict[str, set[Position]]) -> dict[str, set[Position]]:
        """Balanced, and as it was where that is possible."""
        names = sorted(self.members)
        most = -(-len(self._cluster.logs) // len(names))
        target: dict[str, set[Position]] = {name: set() for name in names}
        free = set(self._cluster.logs)
        for name in names:
            for place in sorted(owned[name] & free)[:most]:
                target[name].add(place)
                free.discard(place)
        for place in sorted(free):
            target[min(names, key=lambda name: (len(target[name]), name))].add(place)
        return target
