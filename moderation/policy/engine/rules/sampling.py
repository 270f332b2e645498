"""The audit sample: what would be allowed goes to a person, where the client wants that."""

from collections.abc import Iterable, Iterator

import numpy as np

from moderation.events import Reason, Verdict
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.arrays import Mask, PolicyArrays
from moderation.policy.engine.audit import AuditSample, is_drawn
from moderation.policy.engine.batch import Batch
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.rules.kind import Group, Prefilter, RuleKind, RuleRow, find_origin


class AuditReview(RuleKind):
    """Images drawn for audit. The mark on a decision is set by `judge`; this sends them to review too.

    Not in the coverage of cases: a case cannot choose a content hash that a share of 1% draws.
    """

    prefixes = ("audit",)
    group = Group.GUARDS
    only_where_allowed = True

    def is_in_force(self, policy: EffectivePolicy) -> bool:
        return policy.settings.audit is not None

    def list_rules(self, policy: EffectivePolicy) -> Iterable[str]:  # noqa: ARG002
        return ()

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        audit = policy.settings.audit
        if audit and audit.answer == "review" and is_drawn(policy, facts):
            detail = f"drawn for audit, {audit.share:.4g} of images"
            yield Reason(rule="audit.sample", verdict=Verdict.REVIEW, detail=detail)

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:
        """Every drawn pair, with the answer `mark` too: its decision carries the mark."""
        sample = AuditSample(arrays.policies)

        def find(batch: Batch) -> Mask:
            drawn = batch.no_pair()
            for number, facts in enumerate(batch.facts):
                drawn[number] = sample.drawn(facts.event)
                facts.drawn = frozenset(arrays.policies[row] for row in np.flatnonzero(drawn[number]))
            return drawn

        return find if sample.any else lambda _: np.zeros(len(arrays.policies), np.bool_)

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:  # noqa: ARG002
        audit = policy.settings.audit
        if audit and audit.answer == "review":
            detail = f"{audit.share:.4g} of images, where nothing else fires"
            yield RuleRow("audit.sample", Verdict.REVIEW, detail=detail, origin=find_origin(policy, "audit.share"))
