"""Guards: not examined, not scored, out of date. Unknown facts never lead to an allow by accident."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import numpy as np

from moderation.events import Reason, Verdict
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.arrays import Mask, PolicyArrays
from moderation.policy.engine.batch import Batch
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.rules.kind import Group, Prefilter, RuleKind, RuleRow, find_origin

_DAY_S = 86_400.0


class _Guard(RuleKind):
    """Every policy has them, written or not, so they do not count in the coverage of its cases."""

    group = Group.GUARDS

    def list_rules(self, policy: EffectivePolicy) -> Iterable[str]:  # noqa: ARG002
        return ()


class NotExamined(_Guard):
    """The image could not be examined: any status but OK."""

    prefixes = ("on_error",)

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        if facts.examined:
            return
        detail = facts.event.detail or "the image could not be examined"
        answer = policy.settings.on_error or Verdict.REVIEW
        yield Reason(rule=f"on_error.{facts.event.status.value}", verdict=answer, detail=detail)

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:  # noqa: ARG002
        return lambda batch: ~batch.examined


class FailedSources(_Guard):
    """A label that the policy names, or that one of its rules reads, has no score because a source failed.

    An error and no missing label: else a second, living source would soften a client's answer to an outage. A rule
    that asks first whether a label was scored would say nothing.
    """

    prefixes = ("on_error",)

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        if not facts.examined or not facts.failed_sources:
            return
        labels = (*_find_missing(policy, facts), *_find_unread(policy, facts))
        found = (facts.find_failed_source(label) for label in labels)
        for failed in {each.source: each for each in found if each}.values():
            answer = policy.settings.on_error or Verdict.REVIEW
            detail = f"{failed.source}: {failed.detail or 'no answer'}"
            yield Reason(rule=f"on_error.{failed.status.value}", verdict=answer, detail=detail)

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:
        has_rules = np.array([bool(policy.expressions) for policy in arrays.policies], np.bool_)

        def find(batch: Batch) -> Mask:
            failed = batch.column([bool(facts.failed_sources) for facts in batch.facts], np.bool_)
            asked: Mask = batch.missing | (failed & has_rules)
            return asked

        return find


class MissingLabels(_Guard):
    """Nothing scored a label that the policy names for this surface and country, and no source failed."""

    prefixes = ("on_missing_label",)

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        if not facts.examined:
            return
        for label in _find_missing(policy, facts):
            if facts.find_failed_source(label) is None:
                answer = policy.settings.on_missing_label or Verdict.REVIEW
                yield Reason(rule="on_missing_label", verdict=answer, label=label, detail=f"nothing scored {label}")

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:  # noqa: ARG002
        return lambda batch: batch.missing


def _find_missing(policy: EffectivePolicy, facts: Facts) -> list[str]:
    named = policy.named_labels(facts.event.surface, facts.country)
    return [label for label in named if label not in facts.scores]


def _find_unread(policy: EffectivePolicy, facts: Facts) -> list[str]:
    """Labels without a score that a rule of the policy reads; one that names none may read any."""
    reading = [each for each in policy.expressions.values() if each.reads(("scores",))]
    read = {label for each in reading for label in each.labels or facts.labels.names} - facts.labels.announced_names
    return [label for label in facts.labels.names if label in read and label not in facts.scores]


class PolicyDates(_Guard):
    """The policy is outside the dates it is valid in."""

    prefixes = ("on_expired.policy",)

    def is_in_force(self, policy: EffectivePolicy) -> bool:
        return bool(policy.settings.valid_from or policy.settings.valid_until)

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        settings = policy.settings
        if detail := _find_expiry(settings.valid_from, settings.valid_until, facts.now):
            answer = settings.on_expired or Verdict.REVIEW
            yield Reason(rule="on_expired.policy", verdict=answer, detail=detail)

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:
        settings = [policy.settings for policy in arrays.policies]
        start = np.array([s.valid_from.timestamp() if s.valid_from else -np.inf for s in settings])
        end = np.array([s.valid_until.timestamp() if s.valid_until else np.inf for s in settings])

        def find(batch: Batch) -> Mask:
            now = batch.column([facts.now.timestamp() for facts in batch.facts], np.float64)
            return (now < start) | (now > end)

        return find

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:  # noqa: ARG002
        settings = policy.settings
        dates = [(settings.valid_from, "from"), (settings.valid_until, "until")]
        detail = " ".join(f"{word} {moment:%Y-%m-%d}" for moment, word in dates if moment)
        if detail:
            origin = find_origin(policy, "valid_until", "valid_from")
            yield RuleRow("on_expired.policy", settings.on_expired or Verdict.REVIEW, detail=detail, origin=origin)


def _find_expiry(start: datetime | None, end: datetime | None, now: datetime) -> str:
    if start and now < start:
        return f"the policy is valid from {start:%Y-%m-%d}"
    return f"the policy was valid until {end:%Y-%m-%d}" if end and now > end else ""


class ScoreAge(_Guard):
    """The scores are older than the policy accepts."""

    prefixes = ("on_expired.scores",)

    def is_in_force(self, policy: EffectivePolicy) -> bool:
        return policy.settings.max_score_age_days is not None

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        days, scored_at = policy.settings.max_score_age_days, facts.event.scored_at
        if days and facts.examined and facts.now - scored_at > timedelta(days=days):
            detail = f"scored {scored_at:%Y-%m-%d}, more than {days} days ago"
            answer = policy.settings.on_expired or Verdict.REVIEW
            yield Reason(rule="on_expired.scores", verdict=answer, detail=detail)

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:
        days = (policy.settings.max_score_age_days for policy in arrays.policies)
        most_s = np.array([np.inf if each is None else each * _DAY_S for each in days])

        def find(batch: Batch) -> Mask:
            ages = [(facts.now - facts.event.scored_at).total_seconds() for facts in batch.facts]
            old: Mask = batch.column(ages, np.float64) > most_s
            return old

        return find

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:  # noqa: ARG002
        if days := policy.settings.max_score_age_days:
            answer = policy.settings.on_expired or Verdict.REVIEW
            origin = find_origin(policy, "max_score_age_days")
            yield RuleRow("on_expired.scores", answer, detail=f"scores at most {days} days old", origin=origin)
