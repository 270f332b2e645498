"""What follows from the scores: thresholds, and an uncertainty that is too high."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from moderation.events import Reason, Surface, Verdict
from moderation.labels import top_label
from moderation.policy.compile.effective import EffectivePolicy, Limit
from moderation.policy.engine.arrays import Mask, PolicyArrays
from moderation.policy.engine.batch import Batch
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.rules.kind import (
    NO_ALLOWANCE,
    Allowance,
    Group,
    Prefilter,
    RuleKind,
    RuleRow,
    find_origin,
    format_threshold,
)
from moderation.policy.language.schema import NEVER

_LIFTED: Final = {
    Verdict.REVIEW: frozenset({Allowance.TRUST, Allowance.SEEN}),
    Verdict.BLOCK: frozenset({Allowance.SEEN}),
}
_POLITICAL_LIFTED: Final = {**_LIFTED, Verdict.REVIEW: frozenset(Allowance)}


class Thresholds(RuleKind):
    """A label's score is at or above its threshold on this surface and in this country."""

    prefixes = ("thresholds", "markets")
    group = Group.SCORES

    def list_rules(self, policy: EffectivePolicy) -> Iterator[str]:
        surfaces = policy.settings.applies_to.surfaces or tuple(Surface)
        for (surface, _), limits in policy.limits.items():
            yield from (limit.rule for limit in limits.values() if surface in surfaces)

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        if not facts.examined:
            return
        scores = facts.scores
        for (label, verdict), limit in policy.limits_at(facts.event.surface, facts.country).items():
            score = scores.get(label)
            if score is not None and score >= limit.threshold:
                yield _share_reason(label, verdict, limit, facts)

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:  # noqa: ARG002
        return _find_reached

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:
        for (label, verdict), limit in policy.limits_at(facts.event.surface, facts.country).items():
            score = facts.scores.get(label)
            detail = "not scored" if score is None else facts.measure(label).origin or None
            row = RuleRow(limit.rule, verdict, False, label, score, limit.threshold, detail, str(limit.origin))
            yield row

    def lifted_by(self, reason: Reason) -> frozenset[Allowance]:
        lifted = _POLITICAL_LIFTED if top_label(reason.label or "") == "political" else _LIFTED
        return lifted.get(reason.verdict, NO_ALLOWANCE)


def _find_reached(batch: Batch) -> Mask:
    reached = batch.no_pair()
    for thresholds, indices in batch.places:
        reached[indices] = thresholds.fired(batch.ranks[indices])
    return reached


def _share_reason(label: str, verdict: Verdict, limit: Limit, facts: Facts) -> Reason:
    """Made once per event and threshold: clients on one tier share their reasons."""
    key = (limit.rule, limit.threshold)
    if key not in facts.reasons:
        measure = facts.measure(label)
        facts.reasons[key] = Reason(
            rule=limit.rule,
            verdict=verdict,
            threshold=limit.threshold,
            would_pass=f"{label} < {format_threshold(limit.threshold)}",
            detail=measure.origin or None,
            **measure.fields,
        )
    return facts.reasons[key]


class Uncertainty(RuleKind):
    """The image is unlike what the model was trained on, or the model did not say how unlike."""

    prefixes = ("on_uncertain",)
    group = Group.SCORES

    def is_in_force(self, policy: EffectivePolicy) -> bool:
        return policy.settings.uncertainty not in {None, NEVER}

    def list_rules(self, policy: EffectivePolicy) -> Iterable[str]:
        return ("on_uncertain",) if self.is_in_force(policy) else ()

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        threshold, uncertainty = policy.settings.uncertainty, facts.event.uncertainty
        if threshold is None or threshold == NEVER or not facts.examined:
            return
        answer = policy.settings.on_uncertain or Verdict.REVIEW
        if uncertainty is None:
            yield Reason(rule="on_uncertain", verdict=answer, detail="the model reported no uncertainty")
        elif uncertainty >= threshold:
            yield Reason(
                rule="on_uncertain",
                verdict=answer,
                score=uncertainty,
                threshold=threshold,
                would_pass=f"uncertainty < {format_threshold(threshold)}",
                detail="the image is unlike what the model was trained on",
            )

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:
        in_force = self.find_in_force(arrays)
        limits = np.array([policy.settings.uncertainty or 0.0 for policy in arrays.policies])

        def find(batch: Batch) -> Mask:
            reported = (facts.event.uncertainty for facts in batch.facts)
            values = [np.inf if uncertainty is None else uncertainty for uncertainty in reported]
            return in_force & (batch.column(values, np.float64) >= limits)

        return find if in_force.any() else lambda _: in_force

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:
        if self.is_in_force(policy):
            answer, threshold = policy.settings.on_uncertain or Verdict.REVIEW, policy.settings.uncertainty
            origin = find_origin(policy, "on_uncertain", "uncertainty")
            yield RuleRow("on_uncertain", answer, score=facts.event.uncertainty, threshold=threshold, origin=origin)

    def lifted_by(self, reason: Reason) -> frozenset[Allowance]:
        """Only a measured uncertainty is a score. No allowance lifts one that was not reported."""
        return NO_ALLOWANCE if reason.score is None else _LIFTED.get(reason.verdict, NO_ALLOWANCE)
