"""Why one client's policy answers what it answers: every rule it looked at, with the margin."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from moderation.events import Decision, Reason, ScoredEvent, Status, Verdict
from moderation.policy.compile.effective import EffectivePolicy, NamedList
from moderation.policy.engine.policy_set import PolicySet
from moderation.policy.language.schema import alpha2
from moderation.policy.tools.backtest import put_to


@dataclass(frozen=True, slots=True)
class Looked:
    """One rule that was looked at.

    margin: how far the score is above the threshold; below zero, how far it is from firing.
    origin: file and line where the rule was written, through which tier.
    """

    rule: str
    verdict: Verdict | None
    fired: bool
    label: str | None = None
    score: float | None = None
    threshold: float | None = None
    detail: str | None = None
    origin: str | None = None

    @property
    def margin(self) -> float | None:
        if self.score is None or self.threshold is None:
            return None
        return self.score - self.threshold

    def as_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "verdict": self.verdict.value if self.verdict else None,
            "fired": self.fired,
            "label": self.label,
            "score": self.score,
            "threshold": self.threshold,
            "margin": self.margin,
            "detail": self.detail,
            "origin": self.origin,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, and every rule behind it in the order: what fired first, then the nearest to firing."""

    event: ScoredEvent
    policy: EffectivePolicy
    decision: Decision | None
    looked: tuple[Looked, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "event_id": self.event.event_id,
            "policy": self.policy.key,
            "policy_hash": self.policy.hash,
            "verdict": self.decision.verdict.value if self.decision else None,
            "decision": self.decision.model_dump(mode="json") if self.decision else None,
            "rules": [looked.as_json() for looked in self.looked],
        }


def explain(policy: EffectivePolicy, event: ScoredEvent, now: datetime) -> Explanation:
    """Decide the event by this policy, whichever clients it names, and lay every rule beside the decision."""
    asked = put_to(policy, event)
    decisions = PolicySet((policy,)).decide([asked], now)[0]
    mine = (d for d in decisions if d.policy and d.policy.hash == policy.hash and d.shadow == policy.shadow)
    decision = next(mine, None)
    looked = sorted(_looked(policy, event, decision), key=_by_interest)
    return Explanation(asked, policy, decision, tuple(looked))


def _looked(policy: EffectivePolicy, event: ScoredEvent, decision: Decision | None) -> Iterator[Looked]:
    reasons = {reason.rule: reason for reason in decision.reasons} if decision else {}
    quiet = [*_thresholds(policy, event), *_others(policy, event)]
    for looked in quiet:
        if looked.rule not in reasons:
            yield looked if looked.origin else replace(looked, origin=_written_in(policy, looked.rule))
    origins = {looked.rule: looked.origin for looked in quiet}
    for reason in decision.reasons if decision else ():
        yield _fired(reason, origins.get(reason.rule) or _written_in(policy, reason.rule))


def _written_in(policy: EffectivePolicy, rule: str) -> str | None:
    origin = policy.written_in(rule)
    return None if origin is None else str(origin)


def _fired(reason: Reason, origin: str | None) -> Looked:
    detail = reason.detail or (f"would pass: {reason.would_pass}" if reason.would_pass else None)
    return Looked(reason.rule, reason.verdict, True, reason.label, reason.score, reason.threshold, detail, origin)


def _thresholds(policy: EffectivePolicy, event: ScoredEvent) -> Iterator[Looked]:
    for (label, verdict), limit in policy.limits_at(event.surface, alpha2(event.context.country)).items():
        score = event.scores.get(label)
        detail = None if score is not None else "not scored"
        yield Looked(limit.rule, verdict, False, label, score, limit.threshold, detail, str(limit.origin))


def _others(policy: EffectivePolicy, event: ScoredEvent) -> Iterator[Looked]:
    for named in policy.lists:
        size = len(named.entries) + sum(len(entries) for _, entries in named.sets)
        yield Looked(
            named.rule, named.verdict, False, detail=f"no match ({size:,} {'entry' if size == 1 else 'entries'})"
        )
    for name, rule in policy.settings.rules.items():
        unasked = event.status is not Status.OK and policy.expressions[name].reads_scores
        yield Looked(f"rules.{name}", rule.verdict, False, detail="not asked: no scores" if unasked else rule.when)
    if policy.settings.uncertainty is not None:
        answer = policy.settings.on_uncertain or Verdict.REVIEW
        yield Looked("on_uncertain", answer, False, None, event.uncertainty, policy.settings.uncertainty)
    if political := policy.settings.political:
        score = event.scores.get("political")
        yield Looked("political.undeclared", political.undeclared, False, "political", score, political.threshold)


def _size(named: NamedList) -> int:
    """Entries of a list; those of a hash bank include the ones written in the policy."""
    if named.bank is not None:
        return len(named.bank)
    return len(named.entries) + sum(len(entries) for _, entries in named.sets)


def _by_interest(looked: Looked) -> tuple[bool, float, str]:
    """What fired stays in the decision's order; then by how near the rule is to firing."""
    if looked.fired:
        return False, 0.0, ""
    return True, -looked.margin if looked.margin is not None else 2.0, looked.rule
