"""PolicySet: an immutable snapshot of every policy, and the decisions it makes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moderation.events import Decision, ScoredEvent, Verdict
from moderation.labels import NO_LABELS, LabelCatalogue
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.arrays import PolicyArrays, score_matrix
from moderation.policy.engine.audit import AuditSample
from moderation.policy.engine.encode import NOBODY, UNKNOWN_CLIENT, Encoded, EventWording, PolicyWording
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.judge import Judged, Judgement, judge
from moderation.policy.engine.list_index import ListIndex
from moderation.policy.engine.routing import Concerned

_ALLOWED = Judgement(Verdict.ALLOW, ())
_UNKNOWN = Judgement(Verdict.REVIEW, (UNKNOWN_CLIENT,))


@dataclass(frozen=True, eq=False)
class PolicySet:
    """Every policy, live and shadow, compiled. Immutable: a change makes another snapshot."""

    policies: tuple[EffectivePolicy, ...]

    @cached_property
    def clients(self) -> tuple[str, ...]:
        """Clients with a live policy, in order."""
        return self._concerned.clients

    @property
    def labels(self) -> LabelCatalogue:
        """The catalogue that the policies were read with."""
        return self.policies[0].labels if self.policies else NO_LABELS

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) over the hashes of all policies."""
        return hashlib.sha256("".join(sorted(p.hash for p in self.policies)).encode()).hexdigest()

    def policy(self, client: str, campaign: str | None = None) -> EffectivePolicy | None:
        """The live policy of a client, or of one of its campaigns."""
        found = (p for p in self.policies if not p.shadow and (p.client, p.campaign) == (client, campaign))
        return next(found, None)

    def prepared(self) -> "PolicySet":
        """Itself, compiled now rather than at the first decision."""
        for part in (self._arrays, self._concerned, self._lists, self._audit, self._wording, self.hash):
            del part
        return self

    def decide(self, events: Sequence[ScoredEvent], now: datetime, *, redecision: bool = False) -> list[list[Decision]]:
        """Per event: one live decision for every client concerned, then the shadow decisions.

        `now` (with a time zone) is the clock for dates and blackouts. Never raises for an event's content.
        """
        return [
            [words.decision(self._words(judged.row), judged) for judged in pairs]
            for words, pairs in self._judged(events, now, redecision)
        ]

    def decide_encoded(
        self, events: Sequence[ScoredEvent], now: datetime, *, redecision: bool = False
    ) -> list[list[Encoded]]:
        """As `decide`, with every decision already written as JSON."""
        return [
            [words.encoded(self._words(judged.row), judged) for judged in pairs]
            for words, pairs in self._judged(events, now, redecision)
        ]

    def _judged(
        self, events: Sequence[ScoredEvent], now: datetime, redecision: bool
    ) -> Iterator[tuple[EventWording, Iterator[Judged]]]:
        scores = score_matrix(events, self.labels.names)
        every = [Facts(event, now) for event in events]
        fired = self._fired(every, scores)
        expired = self._arrays.out_of_date(now)
        for index, facts in enumerate(every):
            pairs = self._judge_event(facts, fired[index] | expired)
            yield EventWording(facts.event, now, self.labels, redecision=redecision), pairs

    def _fired(self, facts: Sequence[Facts], scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """`[B,P]`: pairs in which a threshold fired or a named label is missing."""
        ranks = self._arrays.ranks(scores)
        fired = np.zeros((len(facts), len(self.policies)), np.bool_)
        places: dict[tuple[str, str | None], list[int]] = {}
        for index, each in enumerate(facts):
            places.setdefault((each.event.surface, each.country), []).append(index)
        for indices in places.values():
            first = facts[indices[0]]
            thresholds = self._arrays.at(first.event.surface, first.country)
            fired[indices] = thresholds.fired(ranks[indices])
            for index in indices:
                fired[index] |= thresholds.missing(~np.isnan(scores[index]))
        return fired

    def _judge_event(self, facts: Facts, fired: NDArray[np.bool_]) -> Iterator[Judged]:
        """Only pairs in which anything can fire are judged; for all others nothing fired."""
        rows, unknown = self._concerned.by_event(facts.event, facts.country)
        hits = self._lists.hits(facts.event)
        sampled = self._audit.drawn(facts.event)
        needs = fired | sampled
        needs |= self._arrays.attention(facts.event, facts.declared_political, facts.now)
        needs[list(hits)] = True
        if not facts.examined:
            needs[:] = True
        for row, look in zip(rows.tolist(), needs[rows].tolist(), strict=True):
            judgement = _ALLOWED
            if look:
                judgement = judge(self.policies[row], facts, hits.get(row, ()), sampled=bool(sampled[row]))
            yield Judged(row, self._clients_of_rows[row], judgement)
        for client in unknown:
            yield Judged(-1, client, _UNKNOWN)

    def _words(self, row: int) -> PolicyWording:
        return self._wording[row] if row >= 0 else NOBODY

    @cached_property
    def _clients_of_rows(self) -> tuple[str, ...]:
        return tuple(policy.client for policy in self.policies)

    @cached_property
    def _arrays(self) -> PolicyArrays:
        return PolicyArrays(self.policies, self.labels.names)

    @cached_property
    def _concerned(self) -> Concerned:
        return Concerned(self.policies)

    @cached_property
    def _lists(self) -> ListIndex:
        return ListIndex(self.policies)

    @cached_property
    def _audit(self) -> AuditSample:
        return AuditSample(self.policies)

    @cached_property
    def _wording(self) -> tuple[PolicyWording, ...]:
        return tuple(PolicyWording.of(policy) for policy in self.policies)
