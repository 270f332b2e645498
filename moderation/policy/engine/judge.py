"""One client's verdict on one event: every rule that fires, and which of them decides.

Precedence, stated in docs/policies.md and tested:

1. Every rule is asked; the most severe answer wins: block over review over allow.
2. An allow list, or a rule that answers allow, lifts reviews that came from thresholds or a measured uncertainty.
   The allow list of content hashes also lifts blocks that came from either: a person has seen those bytes.
3. Nothing lifts what a block or review list, a guard (error, missing label, expiry), a rule or the political
   section answered.
4. Among equally severe reasons the order is: guards, doubts, lists, rules, political, thresholds, uncertainty, audit.

The kinds in `rules` define which rules exist, what they grant and what lifts them.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from moderation.events import Reason, Verdict
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.audit import is_drawn
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.rules.kind import SEVERITY, RuleKind


class Fired(NamedTuple):
    """A rule that fired: the reason it gives, and its kind."""

    kind: RuleKind
    reason: Reason


class Judgement(NamedTuple):
    """The verdict and its reasons, the deciding one first."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    audit_sample: bool = False


class Judged(NamedTuple):
    """One pair of an event and a policy; `row` is the policy's, -1 where the client is unknown."""

    row: int
    client: str
    judgement: Judgement


def judge(policy: EffectivePolicy, facts: Facts, kinds: Sequence[RuleKind]) -> Judgement:
    """Ask every rule of a policy. Never raises for an event's content."""
    judgement = settle(Fired(kind, reason) for kind in kinds for reason in kind.fire(policy, facts))
    return judgement._replace(audit_sample=True) if is_drawn(policy, facts) else judgement


def settle(fired: Iterable[Fired]) -> Judgement:
    """Lift what allowances lift, then let the most severe decide."""
    allowances: list[Fired] = []
    demands: list[Fired] = []
    spare: list[Reason] = []
    for each in fired:
        if each.kind.only_where_allowed:
            spare.append(each.reason)
        else:
            (allowances if each.reason.verdict is Verdict.ALLOW else demands).append(each)
    judgement = _weigh(demands, allowances)
    if judgement.verdict is not Verdict.ALLOW or not spare:
        return judgement
    most_severe = max(spare, key=_rank_severity).verdict
    return Judgement(most_severe, (*spare, *judgement.reasons))


def _weigh(demands: Sequence[Fired], allowances: Sequence[Fired]) -> Judgement:
    granted = {each.kind.grant(each.reason) for each in allowances}
    standing, lifted = [], []
    for kind, reason in demands:
        if granted and not kind.lifted_by(reason).isdisjoint(granted):
            lifted.append(reason.model_copy(update={"detail": "lifted by an allowance"}))
        else:
            standing.append(reason)
    allowed = [each.reason for each in allowances]
    if not standing:
        return Judgement(Verdict.ALLOW, (*allowed, *lifted))
    standing.sort(key=_rank_severity, reverse=True)
    return Judgement(standing[0].verdict, (*standing, *lifted, *allowed))


def _rank_severity(reason: Reason) -> int:
    return SEVERITY[reason.verdict]
