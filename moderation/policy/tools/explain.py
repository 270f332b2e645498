"""Why one client's policy answers what it answers: every rule it looked at, with the margin."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moderation.events import Decision, Reason, ScoredEvent
from moderation.evidence.joining import Origin
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.policy_set import PolicySet
from moderation.policy.engine.rules.kind import RuleRow, find_origin


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, and every rule behind it in the order: what fired first, then the nearest to firing."""

    event: ScoredEvent
    policy: EffectivePolicy
    decision: Decision
    rows: tuple[RuleRow, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "event_id": self.event.event_id,
            "policy": self.policy.key,
            "policy_hash": self.policy.hash,
            "verdict": self.decision.verdict.value,
            "decision": self.decision.model_dump(mode="json"),
            "rules": [row.as_json() for row in self.rows],
        }


def explain(policies: PolicySet, policy: EffectivePolicy, event: ScoredEvent, now: datetime) -> Explanation:
    """Decide the event by one policy of a set, whichever clients it names, and lay every rule beside the decision."""
    facts = policies.address(policy, event, now)
    decision = policies.decide_by(policy, facts)
    described = list(policies.rules.describe(policy, facts))
    rows = sorted(_merge(policy, decision, described), key=_by_interest)
    return Explanation(facts.event, policy, decision, tuple(rows))


def _merge(policy: EffectivePolicy, decision: Decision, described: Sequence[RuleRow]) -> Iterator[RuleRow]:
    """What fired, as the decision says it, and the rules that did not."""
    fired = {reason.rule for reason in decision.reasons}
    yield from (row for row in described if row.rule not in fired)
    origins = {row.rule: row.origin for row in described}
    for reason in decision.reasons:
        yield _show_reason(reason, origins.get(reason.rule) or find_origin(policy, reason.rule))


def _show_reason(reason: Reason, origin: str | None) -> RuleRow:
    passing = f"would pass: {reason.would_pass}" if reason.would_pass else None
    detail = f"{reason.detail}; {passing}" if passing and _is_origin(reason) else reason.detail or passing
    return RuleRow(reason.rule, reason.verdict, True, reason.label, reason.score, reason.threshold, detail, origin)


def _is_origin(reason: Reason) -> bool:
    """Whether the detail only says where the score came from."""
    return bool(reason.source) and reason.detail == Origin(str(reason.source), reason.part).words()


def _by_interest(row: RuleRow) -> tuple[bool, float, str]:
    """What fired stays in the decision's order; then by how near the rule is to firing."""
    if row.fired:
        return False, 0.0, ""
    return True, -row.margin if row.margin is not None else 2.0, row.rule
