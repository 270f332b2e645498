"""PolicySet: an immutable snapshot of every policy, and the decisions it makes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moderation.events import Decision, ImageEvent, ScoredEvent, Verdict
from moderation.labels import NO_LABELS, LabelCatalogue
from moderation.normal import normal
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.arrays import PolicyArrays
from moderation.policy.engine.batch import Batch
from moderation.policy.engine.encode import NOBODY, UNKNOWN_CLIENT, Encoded, EventWording, PolicyWording
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.judge import Judged, Judgement, judge
from moderation.policy.engine.routing import Concerned
from moderation.policy.engine.rules.kind import Prefilter, RuleKind
from moderation.policy.engine.rules.registry import RULES, RuleRegistry

_ALLOWED = Judgement(Verdict.ALLOW, ())
_UNKNOWN = Judgement(Verdict.REVIEW, (UNKNOWN_CLIENT,))


@dataclass(frozen=True, eq=False)
class PolicySet:
    """Every policy, live and shadow, compiled. Immutable: a change makes another snapshot."""

    policies: tuple[EffectivePolicy, ...]
    rules: RuleRegistry = RULES

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
        for part in (self._arrays, self._concerned, self._prefilter, self._kinds, self._wording, self.hash):
            del part
        return self

    def find_clients(self, event: ImageEvent | ScoredEvent) -> tuple[str, ...]:
        """The clients that an event concerns: each owes it exactly one live decision."""
        rows, unknown = self._concerned.by_event(event, normal(event.context))
        live = (self._clients_of_rows[row] for row in rows.tolist() if not self.policies[row].shadow)
        return (*live, *unknown)

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

    def address(self, policy: EffectivePolicy, event: ScoredEvent, now: datetime) -> Facts:
        """The event as one policy of this set judges it.

        An event that the policy does not decide is taken as if it named the policy's client and campaign.
        """
        facts = Facts(event, now, self.labels, self._concerned.with_campaigns)
        rows, _ = self._concerned.by_event(event, facts.normal)
        if self._rows[policy] in rows:
            return facts
        changes: dict[str, object] = {"clients": (policy.client,)}
        if policy.campaign:
            changes["context"] = event.context.model_copy(update={"campaign": policy.campaign})
        return Facts(event.model_copy(update=changes), now, self.labels, self._concerned.with_campaigns)

    def decide_by(self, policy: EffectivePolicy, facts: Facts) -> Decision:
        """The decision of one policy of this set on an event that was addressed to it: the one `decide` makes."""
        row = self._rows[policy]
        judged = Judged(row, policy.client, judge(policy, facts, self._kinds[row]))
        return EventWording(facts, name_family=self.rules.name_family).decision(self._wording[row], judged)

    def _judged(
        self, events: Sequence[ScoredEvent], now: datetime, redecision: bool
    ) -> Iterator[tuple[EventWording, Iterator[Judged]]]:
        labels, campaigns = self.labels, self._concerned.with_campaigns
        batch = Batch([Facts(event, now, labels, campaigns) for event in events], self._arrays)
        asked = self._prefilter(batch)
        for facts, asked_policies in zip(batch.facts, asked, strict=True):
            words = EventWording(facts, redecision=redecision, name_family=self.rules.name_family)
            yield words, self._judge_event(facts, asked_policies)

    def _judge_event(self, facts: Facts, asked: NDArray[np.bool_]) -> Iterator[Judged]:
        """Only pairs in which anything can fire are judged; for all others nothing fired."""
        rows, unknown = self._concerned.by_event(facts.event, facts.normal)
        for row, is_asked in zip(rows.tolist(), asked[rows].tolist(), strict=True):
            judgement = judge(self.policies[row], facts, self._kinds[row]) if is_asked else _ALLOWED
            yield Judged(row, self._clients_of_rows[row], judgement)
        for client in unknown:
            yield Judged(-1, client, _UNKNOWN)

    def _words(self, row: int) -> PolicyWording:
        return self._wording[row] if row >= 0 else NOBODY

    @cached_property
    def _rows(self) -> dict[EffectivePolicy, int]:
        return {policy: row for row, policy in enumerate(self.policies)}

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
    def _prefilter(self) -> Prefilter:
        return self.rules.prefilter(self._arrays)

    @cached_property
    def _kinds(self) -> tuple[tuple[RuleKind, ...], ...]:
        return tuple(self.rules.find_in_force(policy) for policy in self.policies)

    @cached_property
    def _wording(self) -> tuple[PolicyWording, ...]:
        return tuple(PolicyWording.of(policy) for policy in self.policies)


def find_decision(decisions: Iterable[Decision], policy: EffectivePolicy) -> Decision | None:
    """The decision that one policy made among all decisions on an event."""
    made = (d for d in decisions if d.policy and (d.policy.hash, d.shadow) == (policy.hash, policy.shadow))
    return next(made, None)
