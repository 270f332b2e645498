"""Lists of known things: entries that are compared exactly, and perceptual hashes that are near."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np

from moderation.events import Reason
from moderation.policy.compile.effective import EffectivePolicy, NamedList
from moderation.policy.engine.arrays import Mask, PolicyArrays
from moderation.policy.engine.batch import Batch
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.list_index import EntryIndex, HashIndex, match_entries, match_hash
from moderation.policy.engine.rules.kind import Allowance, Group, Prefilter, RuleKind, RuleRow, find_origin

_SEEN_RULE: Final = "lists.allow.content_sha256"


class _ListKind(RuleKind):
    """The index looks an event up once for all policies; without it a policy searches its own lists."""

    prefixes = ("lists",)
    group = Group.LISTS
    index: type[EntryIndex | HashIndex]
    match: Callable[[NamedList, Facts], str | None]

    @abstractmethod
    def select(self, policy: EffectivePolicy) -> Iterable[NamedList]:
        """The lists of this kind."""

    def is_in_force(self, policy: EffectivePolicy) -> bool:
        return any(True for _ in self.select(policy))

    def list_rules(self, policy: EffectivePolicy) -> Iterable[str]:
        return (named.rule for named in self.select(policy))

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        findings = facts.findings.get(self.name)
        hits = self._search(policy, facts) if findings is None else findings.get(policy, {})
        for named in self.select(policy) if hits else ():
            if (value := hits.get(named.rule)) is not None:
                yield Reason(rule=named.rule, verdict=named.verdict, detail=f"{named.kind} {value}")

    def _search(self, policy: EffectivePolicy, facts: Facts) -> dict[str, str]:
        found = ((named.rule, self.match(named, facts)) for named in self.select(policy))
        return {rule: value for rule, value in found if value is not None}

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:
        policies = arrays.policies
        index = type(self).index((row, named) for row, policy in enumerate(policies) for named in self.select(policy))

        def find(batch: Batch) -> Mask:
            listed = batch.no_pair()
            for number, facts in enumerate(batch.facts):
                hits = index.hits(facts)
                listed[number, list(hits)] = True
                facts.findings[self.name] = {policies[row]: found for row, found in hits.items()}
            return listed

        return find if self.find_in_force(arrays).any() else lambda _: np.zeros(len(policies), np.bool_)

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:  # noqa: ARG002
        for named in self.select(policy):
            size = count_entries(named)
            detail = f"no match ({size:,} {'entry' if size == 1 else 'entries'})"
            yield RuleRow(named.rule, named.verdict, detail=detail, origin=find_origin(policy, named.rule))


class EntryLists(_ListKind):
    """Block, review and allow lists of creatives, advertisers, domains, pages and content hashes."""

    index = EntryIndex
    match = staticmethod(match_entries)

    def select(self, policy: EffectivePolicy) -> Iterator[NamedList]:
        return (named for named in policy.lists if named.bank is None)

    def grant(self, reason: Reason) -> Allowance | None:
        return Allowance.SEEN if reason.rule == _SEEN_RULE else Allowance.TRUST


class PerceptualHashes(_ListKind):
    """Block and review lists of PDQ hashes. There is no allow list: collisions can be made."""

    index = HashIndex
    match = staticmethod(match_hash)

    def select(self, policy: EffectivePolicy) -> Iterator[NamedList]:
        return (named for named in policy.lists if named.bank is not None)


def count_entries(named: NamedList) -> int:
    """Entries of a list, in the policy and in its files; a hash bank already holds both."""
    if named.bank is not None:
        return len(named.bank)
    return len(named.entries) + sum(len(entries) for _, entries in named.sets)
