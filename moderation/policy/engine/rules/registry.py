"""Every kind of rules, in the order in which equally severe reasons are given.

Judging, the pre-filter, `explain`, the coverage of cases and the ad-tech terms ask this registry and nothing
else. To add a kind, add it to `RULES`; docs/changing.md says what else belongs to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from moderation.adtech import find_family
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.arrays import Mask, PolicyArrays
from moderation.policy.engine.batch import Batch
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.rules.cel_rules import CelRules
from moderation.policy.engine.rules.doubts import Doubts
from moderation.policy.engine.rules.entry_lists import EntryLists, PerceptualHashes
from moderation.policy.engine.rules.guards import FailedSources, MissingLabels, NotExamined, PolicyDates, ScoreAge
from moderation.policy.engine.rules.kind import Group, Prefilter, RuleKind, RuleRow
from moderation.policy.engine.rules.politics import Blackouts, PoliticalAnswers
from moderation.policy.engine.rules.sampling import AuditReview
from moderation.policy.engine.rules.scores import Thresholds, Uncertainty


@dataclass(frozen=True)
class RuleRegistry:
    """The kinds of rules that an engine knows."""

    kinds: tuple[RuleKind, ...]

    def __post_init__(self) -> None:
        """Refuse a kind that ad-tech terms would read as if it were any other."""
        for kind in self.kinds:
            for prefix in kind.prefixes:
                if find_family(kind.family or prefix) is None:
                    raise ValueError(f"{kind.name}: adtech_data/rules.tsv has no row for '{kind.family or prefix}'")

    def find_in_force(self, policy: EffectivePolicy) -> tuple[RuleKind, ...]:
        """The kinds of which a policy has any rule."""
        return tuple(kind for kind in self.kinds if kind.is_in_force(policy))

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:
        """Prepare, once for all policies, to say which pairs of a batch must be judged: `[B,P] bool`."""
        prefilters = [kind.prefilter(arrays) for kind in self.kinds]

        def find(batch: Batch) -> Mask:
            asked = batch.no_pair()
            for prefilter in prefilters:
                asked |= prefilter(batch)
            return asked

        return find

    def list_rules(self, policy: EffectivePolicy) -> tuple[str, ...]:
        """The stable name of every rule that cases of this policy should make fire."""
        return tuple(dict.fromkeys(rule for kind in self.kinds for rule in kind.list_rules(policy)))

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:
        """Every rule that could have fired on an event, as it reads where it did not."""
        for kind in self.kinds:
            yield from kind.describe(policy, facts)

    def name_family(self, rule: str) -> str:
        """The name under which the ad-tech table knows a rule."""
        kind = self._find_kind(rule)
        return kind.family or rule if kind else rule

    def find_group(self, rule: str) -> Group:
        """The group in which reports count a rule. A rule of no kind, as `unknown_client`, is a guard."""
        kind = self._find_kind(rule)
        return kind.find_group(rule) if kind else Group.GUARDS

    def _find_kind(self, rule: str) -> RuleKind | None:
        """The kind with the longest prefix of a rule's name."""
        prefix = rule
        while prefix and prefix not in self._owners:
            prefix = prefix.rpartition(".")[0]
        return self._owners.get(prefix)

    @cached_property
    def _owners(self) -> dict[str, RuleKind]:
        """By prefix, the first kind that has it."""
        return {prefix: kind for kind in reversed(self.kinds) for prefix in kind.prefixes}


RULES: Final = RuleRegistry(
    (
        NotExamined(),
        FailedSources(),
        MissingLabels(),
        PolicyDates(),
        ScoreAge(),
        Doubts(),
        EntryLists(),
        PerceptualHashes(),
        CelRules(),
        Blackouts(),
        PoliticalAnswers(),
        Thresholds(),
        Uncertainty(),
        AuditReview(),
    )
)
