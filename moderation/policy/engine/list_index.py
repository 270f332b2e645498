"""All lists of all policies turned round: from what an event carries to the policies that list it.

A look-up costs what the event carries, not how many clients there are. Entries written in policies share one
dictionary; a list file is one sorted array, asked once however many policies name it.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from moderation.events import AdContext, ScoredEvent, Verdict
from moderation.policy.compile.effective import EffectivePolicy, NamedList
from moderation.policy.compile.lists import DigestSet, HashBank, probes
from moderation.policy.engine.judge import Hit

Owner = tuple[int, NamedList]
Hits = dict[int, list[Hit]]


class ListIndex:
    def __init__(self, policies: Sequence[EffectivePolicy]) -> None:
        self._inline: dict[str, dict[str, list[Owner]]] = {}
        self._sets: dict[str, dict[int, tuple[DigestSet, list[Owner]]]] = {}
        banks: list[tuple[HashBank, Owner]] = []
        for row, policy in enumerate(policies):
            for named in policy.lists:
                if named.bank is not None:
                    banks.append((named.bank, (row, named)))
                else:
                    self._add(named, (row, named))
        self._bank = HashBank.joined(bank for bank, _ in banks) if banks else None
        self._bank_owners = [owner for _, owner in banks]
        self._bank_ends = np.cumsum([len(bank) for bank, _ in banks])

    def hits(self, event: ScoredEvent) -> Hits:
        """Rows of policies with the lists that match the event."""
        found: Hits = defaultdict(list)
        for kind in self._inline.keys() | self._sets.keys():
            self._find(kind, event.context, event.content_sha256, found)
        if self._bank is not None and event.perceptual_hash:
            self._find_near(self._bank, event.perceptual_hash, found)
        return found

    def _add(self, named: NamedList, owner: Owner) -> None:
        inline = self._inline.setdefault(named.kind, {})
        for entry in named.entries:
            inline.setdefault(entry, []).append(owner)
        for _, digests in named.sets:
            shared = self._sets.setdefault(named.kind, {})
            shared.setdefault(id(digests), (digests, []))[1].append(owner)

    def _find(self, kind: str, context: AdContext, sha256: str | None, found: Hits) -> None:
        """An allow list of advertisers must know every advertiser of a creative; any other list needs one."""
        values = probes(kind, context, sha256)
        matched: dict[int, list[tuple[NamedList, set[int], str]]] = {}
        for index, value in enumerate(values):
            for (row, named), entry in self._owners(kind, value):
                _remember(matched.setdefault(row, []), named, index, entry)
        for row, lists in matched.items():
            for named, indices, entry in lists:
                if named.verdict is not Verdict.ALLOW or len(indices) == len(values):
                    found[row].append(Hit(named, entry))

    def _owners(self, kind: str, candidates: tuple[str, ...]) -> list[tuple[Owner, str]]:
        inline, sets = self._inline.get(kind, {}), self._sets.get(kind, {}).values()
        owners = [(owner, entry) for entry in candidates for owner in inline.get(entry, ())]
        for digests, listed in sets:
            entry = next((entry for entry in candidates if entry in digests), None)
            owners += [(owner, entry) for owner in listed] if entry is not None else []
        return owners

    def _find_near(self, bank: HashBank, perceptual_hash: str, found: Hits) -> None:
        near = np.searchsorted(self._bank_ends, bank.near(perceptual_hash), side="right")
        for owner in np.unique(near).tolist():
            row, named = self._bank_owners[owner]
            found[row].append(Hit(named, perceptual_hash))


def _remember(lists: list[tuple[NamedList, set[int], str]], named: NamedList, index: int, entry: str) -> None:
    for known, indices, _ in lists:
        if known is named:
            indices.add(index)
            return
    lists.append((named, {index}, entry))
