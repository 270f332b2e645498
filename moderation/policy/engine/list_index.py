"""An inverted index of all lists of all policies: from the values of an event to the policies that list them.

The cost of a look-up grows with the event's values, not with the number of clients. Entries in policies share one
dictionary; a list file is one sorted array, asked once however many policies name it. `match_entries` and
`match_hash` ask one list alone, and answer the same.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from moderation.events import Verdict
from moderation.policy.compile.effective import NamedList
from moderation.policy.compile.lists import DigestSet, HashBank, probes
from moderation.policy.engine.facts import Facts

Owner = tuple[int, NamedList]
"""The row of a policy, and one of its lists."""
Hits = dict[str, str]
"""The lists of one policy that match an event: the list's rule → the value that matched."""


class EntryIndex:
    """Lists whose entries are compared exactly."""

    def __init__(self, owners: Iterable[Owner]) -> None:
        self._inline: dict[str, dict[str, list[Owner]]] = {}
        self._sets: dict[str, dict[int, tuple[DigestSet, list[Owner]]]] = {}
        for owner in owners:
            self._add(owner)
        self._kinds = tuple(dict.fromkeys((*self._inline, *self._sets)))

    def _add(self, owner: Owner) -> None:
        _, named = owner
        inline = self._inline.setdefault(named.kind, {})
        for entry in named.entries:
            inline.setdefault(entry, []).append(owner)
        for _, digests in named.sets:
            shared = self._sets.setdefault(named.kind, {})
            shared.setdefault(id(digests), (digests, []))[1].append(owner)

    def hits(self, facts: Facts) -> dict[int, Hits]:
        """Rows of policies with the lists that match the event."""
        found: dict[int, Hits] = {}
        for kind in self._kinds:
            for (row, named), value in self._find(kind, facts):
                found.setdefault(row, {})[named.rule] = value
        return found

    def _find(self, kind: str, facts: Facts) -> Iterator[tuple[Owner, str]]:
        values = probes(kind, facts.normal, facts.event.content_sha256)
        matches: dict[tuple[int, Verdict], tuple[Owner, str, set[int]]] = {}
        for index, candidates in enumerate(values):
            for owner, entry in self._find_owners(kind, candidates):
                row, named = owner
                matches.setdefault((row, named.verdict), (owner, entry, set()))[2].add(index)
        for owner, entry, indices in matches.values():
            if _is_match(owner[1], len(indices), len(values)):
                yield owner, entry

    def _find_owners(self, kind: str, candidates: tuple[str, ...]) -> list[tuple[Owner, str]]:
        """The policies that list one value, by the most specific entry first."""
        inline, sets = self._inline.get(kind, {}), self._sets.get(kind, {}).values()
        owners: list[tuple[Owner, str]] = []
        for entry in candidates:
            owners += [(owner, entry) for owner in inline.get(entry, ())]
            owners += [(owner, entry) for digests, listed in sets if entry in digests for owner in listed]
        return owners


class HashIndex:
    """Lists of perceptual hashes: all banks behind one another, asked at once."""

    def __init__(self, owners: Iterable[Owner]) -> None:
        banks = [(named.bank, (row, named)) for row, named in owners if named.bank is not None]
        self._bank = HashBank.joined(bank for bank, _ in banks) if banks else None
        self._owners = [owner for _, owner in banks]
        self._ends = np.cumsum([len(bank) for bank, _ in banks])

    def hits(self, facts: Facts) -> dict[int, Hits]:
        """Rows of policies with the lists that match the event."""
        found: dict[int, Hits] = {}
        perceptual_hash = facts.event.perceptual_hash
        if self._bank is None or not perceptual_hash:
            return found
        near = np.searchsorted(self._ends, self._bank.near(perceptual_hash), side="right")
        for owner in np.unique(near).tolist():
            row, named = self._owners[owner]
            found.setdefault(row, {})[named.rule] = perceptual_hash
        return found


def match_entries(named: NamedList, facts: Facts) -> str | None:
    """The entry of one list that matches an event."""
    values = probes(named.kind, facts.normal, facts.event.content_sha256)
    matches = [next((entry for entry in candidates if _holds(named, entry)), None) for candidates in values]
    found = [entry for entry in matches if entry is not None]
    return found[0] if _is_match(named, len(found), len(values)) else None


def match_hash(named: NamedList, facts: Facts) -> str | None:
    """The event's perceptual hash, if one list has a near one."""
    perceptual_hash = facts.event.perceptual_hash
    if named.bank is None or not perceptual_hash or not len(named.bank.near(perceptual_hash)):
        return None
    return perceptual_hash


def _holds(named: NamedList, entry: str) -> bool:
    return entry in named.entries or any(entry in digests for _, digests in named.sets)


def _is_match(named: NamedList, known: int, values: int) -> bool:
    """An allow list of advertisers must know every advertiser of a creative; any other list needs one."""
    return known == values > 0 if named.verdict is Verdict.ALLOW else known > 0
