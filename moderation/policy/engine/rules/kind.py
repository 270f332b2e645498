"""The contract of a kind of rules: when it fires, when it may fire, its names, its description."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

import numpy as np

from moderation.events import Reason, Verdict
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.arrays import Mask, PolicyArrays
from moderation.policy.engine.batch import Batch
from moderation.policy.engine.facts import Facts


class Allowance(StrEnum):
    """What a rule that answers allow may lift; docs/policies.md has the table."""

    TRUST = "trust"
    """In a name, or by a rule of the client: lifts reviews by score."""
    SEEN = "seen"
    """A person has seen exactly this image: lifts reviews and blocks by score."""
    DECLARED = "declared"
    """Political advertising that was declared: lifts reviews by political scores."""


class Group(StrEnum):
    """What reports add up by: from a person's entries to a model's scores."""

    LISTS = "lists"
    RULES = "rules"
    POLITICAL = "political"
    SCORES = "scores"
    GUARDS = "guards"

    @property
    def is_written(self) -> bool:
        """Whether a person decided the answer rather than a model or a guard."""
        return self in {Group.LISTS, Group.RULES, Group.POLITICAL}


SEVERITY: Final = {Verdict.ALLOW: 0, Verdict.REVIEW: 1, Verdict.BLOCK: 2}
NO_ALLOWANCE: Final[frozenset[Allowance]] = frozenset()

Prefilter = Callable[[Batch], Mask]
"""A batch of B events → the pairs with P policies that must be judged: a mask that broadcasts to `[B,P]`."""


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule as `adjudicate policy explain` shows it.

    margin: how far the score is above the threshold; below zero, how far it is from firing.
    origin: file and line where the rule was written, through which tier.
    """

    rule: str
    verdict: Verdict | None
    fired: bool = False
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


class RuleKind(ABC):
    """One kind of rules. It has no state: one instance serves every policy.

    The pre-filter must ask about every pair in which `fire` gives a reason. Too many pairs cost time; one too
    few is an image allowed in silence. So the default asks about every event of its policies.
    """

    prefixes: ClassVar[tuple[str, ...]]
    """The first words of its rules' names, e.g. `political.blackouts`."""
    family: ClassVar[str | None] = None
    """The row of `adtech_data/rules.tsv` for its rules; None where its prefixes have rows themselves."""
    group: ClassVar[Group] = Group.RULES
    """The row of a backtest in which its decisions count."""
    only_where_allowed: ClassVar[bool] = False
    """It fires only where all other rules together would allow, and then decides."""

    @property
    def name(self) -> str:
        return type(self).__name__

    @abstractmethod
    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterable[Reason]:
        """The reasons it gives, in order. Never raises for an event's content."""

    @abstractmethod
    def list_rules(self, policy: EffectivePolicy) -> Iterable[str]:
        """The stable names of the rules that cases of this policy should make fire."""

    def is_in_force(self, policy: EffectivePolicy) -> bool:  # noqa: ARG002
        """Whether the policy has any such rule; where it has none, `fire` is not asked."""
        return True

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:
        """Prepare, once for all policies, to say which events may fire."""
        in_force = self.find_in_force(arrays)
        return lambda _: in_force

    def find_in_force(self, arrays: PolicyArrays) -> Mask:
        """`[P] bool`: policies that have such a rule."""
        return np.array([self.is_in_force(policy) for policy in arrays.policies], np.bool_)

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterable[RuleRow]:  # noqa: ARG002
        """Every rule that could have fired on this event, as it reads where it did not."""
        return [RuleRow(rule, None, origin=find_origin(policy, rule)) for rule in self.list_rules(policy)]

    def find_group(self, rule: str) -> Group:  # noqa: ARG002
        """The group of one of its rules."""
        return self.group

    def grant(self, reason: Reason) -> Allowance | None:  # noqa: ARG002
        """What one of its reasons that answers allow may lift."""
        return None

    def lifted_by(self, reason: Reason) -> frozenset[Allowance]:  # noqa: ARG002
        """The allowances that lift one of its reasons."""
        return NO_ALLOWANCE


def find_origin(policy: EffectivePolicy, *rules: str) -> str | None:
    """Where the first of these paths was written; the last may be written in part."""
    for rule in rules:
        if leaf := policy.leaves.get(tuple(rule.split("."))):
            return str(leaf.origin)
    origin = policy.written_in(rules[-1])
    return None if origin is None else str(origin)


def format_threshold(threshold: float) -> str:
    """Two decimals, or as many as were written."""
    return f"{threshold:.2f}" if round(threshold, 2) == threshold else repr(threshold)
