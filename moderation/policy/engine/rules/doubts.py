"""Doubts: a value that cannot be compared, where a list or rule of the client needs it.

No doubt arises where the value makes no difference: a list of another kind, a market whose thresholds would not
have fired either, a political section whose answer is the same whatever the category means. Expressions have
their doubts in `cel_rules`.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from moderation.events import Reason, Verdict
from moderation.policy.compile.effective import EffectivePolicy, political_threshold
from moderation.policy.engine.arrays import PolicyArrays
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.routing import RESTRICTS
from moderation.policy.engine.rules.kind import SEVERITY, Group, Prefilter, RuleKind
from moderation.policy.engine.rules.politics import find_answer
from moderation.policy.language.schema import Political


class Doubts(RuleKind):
    """A field of the event was sent and has no normal form. Nothing lifts the review."""

    prefixes = ("incomparable",)
    group = Group.GUARDS

    def list_rules(self, policy: EffectivePolicy) -> Iterable[str]:  # noqa: ARG002
        return ()

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        for field, problem in facts.problems.items():
            if needed := next(_needed_by(policy, facts, field), None):
                yield give_doubt(field, problem, needed)

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:  # noqa: ARG002
        return lambda batch: batch.column([bool(facts.problems) for facts in batch.facts], np.bool_)


def give_doubt(field: str, problem: str, needed: str) -> Reason:
    """The reason names field and value, and what would have needed them."""
    return Reason(rule=f"incomparable.{field}", verdict=Verdict.REVIEW, detail=f"{field}: {problem}; {needed} needs it")


def _needed_by(policy: EffectivePolicy, facts: Facts, field: str) -> Iterator[str]:
    """Names of what needs a field. An allow list is not among them: what it does not know it does not lift."""
    for named in policy.lists:
        if named.kind == field and named.verdict is not Verdict.ALLOW:
            yield named.rule
    key = RESTRICTS.get(field)
    if key and not facts.event.clients and getattr(policy.settings.applies_to, key):
        yield f"applies_to.{key}"
    if field == "campaign" and not policy.campaign and policy.client in facts.with_campaigns:
        yield "a policy for one campaign"
    if field == "country" and facts.examined:
        yield from _markets(policy, facts)
    if field in {"country", "cat"} and policy.settings.political:
        yield from _political(policy.settings.political, facts, field)


def _markets(policy: EffectivePolicy, facts: Facts) -> Iterator[str]:
    """Thresholds of markets that would have answered more severely than what is in force without a country."""
    scores, surface = facts.scores, facts.event.surface
    usual = _levels(policy, facts, None)
    for at, country in policy.limits:
        if country is None or at is not surface:
            continue
        for label, verdict in _levels(policy, facts, country).items():
            if SEVERITY[verdict] > SEVERITY[usual.get(label, Verdict.ALLOW)]:
                limit = policy.limits_at(surface, country)[label, verdict]
                yield f"{limit.rule} ({label} {scores[label]:.2f}, limit {limit.threshold:.2f})"


def _levels(policy: EffectivePolicy, facts: Facts, country: str | None) -> dict[str, Verdict]:
    """The most severe answer of every label's thresholds; blocks come first."""
    found: dict[str, Verdict] = {}
    for (label, verdict), limit in policy.limits_at(facts.event.surface, country).items():
        if facts.scores.get(label, -1.0) >= limit.threshold:
            found.setdefault(label, verdict)
    return found


def _political(political: Political, facts: Facts, field: str) -> Iterator[str]:
    """Whether the field could have a value that is answered more severely than none."""
    usual = _rank(political, facts, facts.country, facts.declared_political)
    countries = political.countries if field == "country" else ()
    for country in countries:
        if _rank(political, facts, country, facts.declared_political) > usual:
            yield f"political.countries.{country}"
    if field != "cat" or not facts.may_be_declared_political:
        return
    if _rank(political, facts, facts.country, declared=True) > usual:
        yield "political.declared"


def _rank(political: Political, facts: Facts, country: str | None, declared: bool) -> int:
    """How severe the section's answer to an image is, blackouts included."""
    score = facts.scores.get("political") if facts.examined else None
    if not declared and (score is None or score < political_threshold(political, country)):
        return SEVERITY[Verdict.ALLOW]
    answers = [find_answer(political, country, "declared" if declared else "undeclared")]
    for window in political.blackouts.values():
        if window.start <= facts.now <= window.end:
            answers += [window.verdict] if country in window.countries else []
            answers += [Verdict.REVIEW] if country is None else []
    return max(SEVERITY[answer] for answer in answers)
