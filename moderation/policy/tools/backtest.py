"""A policy over recorded scores whose truth is known: what it catches, what it costs, what would be better."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from moderation.errors import ConfigurationError
from moderation.events import Decision, ScoredEvent, Status, Verdict
from moderation.labels import top_label
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.policy_set import PolicySet
from moderation.policy.engine.rules.kind import Group
from moderation.policy.engine.rules.registry import RuleRegistry
from moderation.policy.tools.heaviest import Heaviest, Weight
from moderation.policy.tools.outcomes import (
    NOTHING_FIRED,
    SOURCES,
    Outcome,
    find_source,
    find_verdict_of_scores,
    truth_word,
)
from moderation.policy.tools.proportions import Point, ScoreCounts
from moderation.policy.tools.showcase import Shown, creative_of, show
from moderation.policy.tools.truth_table import Truth, Truths

GRID: Final = tuple(step / 20 for step in range(1, 20))
EXAMPLES: Final = 24
"""How many creatives of each kind of mistake a report shows."""
SAFE_BLOCKED: Final = "safe, but blocked by scores"
SAFE_LISTED: Final = "safe, but blocked by a list or a rule"
UNSAFE_ALLOWED: Final = "unsafe, but allowed"
UNSAFE_LISTED: Final = "unsafe, but allowed by a list or a rule"
PROMISES: Final = (0.001, 0.005, 0.01, 0.02, 0.05)
"""Shares of safe images that a threshold may hit, for the table of suggestions."""


@dataclass(slots=True)
class Mistaken:
    """One creative that is decided against its truth: a safe one blocked, or an unsafe one allowed."""

    shown: Shown
    verdict: str
    rule: str
    would_pass: str | None
    labels: Sequence[str]
    weight: Weight = field(default_factory=Weight)

    def as_json(self) -> dict[str, Any]:
        says = {"verdict": self.verdict, "rule": self.rule, "would_pass": self.would_pass, "labels": list(self.labels)}
        return {**self.shown.as_json(), **says, **self.weight.as_json()}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold that keeps a promise: "at most this share of safe images is hit".

    seen:   the lowest threshold that kept it on these images.
    proven: the lowest whose 95% interval keeps it too; None where there are too few images to prove it.
    """

    at_most: float
    seen: Point | None
    proven: Point | None


@dataclass(slots=True)
class Backtest:
    """The whole result for one client.

    outcome:   of the decisions as they are.
    by_source: the same, by what decided: a list gives no information on the model.
    by_scores: of thresholds and uncertainty alone, on examined images.
    wrong:     creatives decided against their truth, by kind.
    """

    client: str
    names: Sequence[str]
    events: int = 0
    matched: int = 0
    truths: int = 0
    without_impressions: int = 0
    unread_columns: Sequence[str] = ()
    outcome: Outcome = field(default_factory=Outcome)
    by_source: dict[str, Outcome] = field(default_factory=lambda: {source: Outcome() for source in SOURCES})
    by_scores: Outcome = field(default_factory=Outcome)
    wrong: dict[str, Heaviest[str, Mistaken]] = field(
        default_factory=lambda: {
            kind: Heaviest() for kind in (SAFE_BLOCKED, UNSAFE_ALLOWED, SAFE_LISTED, UNSAFE_LISTED)
        }
    )
    labels: dict[str, ScoreCounts] = field(default_factory=dict)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    cuts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    promises: Sequence[float] = PROMISES

    def curve(self, label: str) -> list[Point]:
        """Points on the grid, and at the thresholds that the policy has today."""
        today = (cut for cut in self.cuts.get(label, {}).values() if 0 <= cut <= 1)
        return self.labels[label].curve(sorted({*GRID, *today}))

    def suggestions(self, label: str) -> list[Suggestion]:
        counts = self.labels[label]
        return [
            Suggestion(share, counts.lowest_threshold(share), counts.lowest_threshold(share, proven=True))
            for share in self.promises
        ]

    @property
    def known_labels(self) -> list[str]:
        """Labels with at least one image that has them and one that does not, in the catalogue's order."""
        return [
            label
            for label in self.names
            if (counts := self.labels.get(label)) and counts.with_label.any() and counts.without.any()
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "client": self.client,
            "events": self.events,
            "matched": self.matched,
            "truths": self.truths,
            "events_without_impressions": self.without_impressions,
            "unread_columns": list(self.unread_columns),
            "outcome": self.outcome.as_json(),
            "by_scores": self.by_scores.as_json(),
            "by_source": {name: each.as_json()["counts"] for name, each in self.by_source.items() if each.whole.events},
            "wrong": {kind: [one.as_json() for one in each.ranked(EXAMPLES)] for kind, each in self.wrong.items()},
            "rules": {rule: dict(sorted(counts.items())) for rule, counts in sorted(self.rules.items())},
            "labels": {label: self._label_json(label) for label in self.known_labels},
        }

    def _label_json(self, label: str) -> dict[str, Any]:
        return {
            "with_label": int(self.labels[label].with_label.sum()),
            "without": int(self.labels[label].without.sum()),
            "cuts": {k: v if v <= 1 else "never" for k, v in self.cuts.get(label, {}).items()},
            "curve": [point_json(point) for point in self.curve(label)],
            "suggestions": [
                {"at_most": s.at_most, "seen": point_json(s.seen), "proven": point_json(s.proven)}
                for s in self.suggestions(label)
            ],
        }


def point_json(point: Point | None) -> dict[str, Any] | None:
    if point is None:
        return None
    shares = ("precision", "recall", "safe_hit", "load")
    return {"threshold": point.threshold, **{name: getattr(point, name).as_json() for name in shares}}


def backtest(  # noqa: PLR0913 - policies, recordings and what to compare them with
    policies: PolicySet,
    policy: EffectivePolicy,
    events: Iterable[ScoredEvent],
    truths: Truths,
    now: datetime,
    *,
    cuts: Mapping[str, Mapping[str, float]] | None = None,
    promises: Sequence[float] = PROMISES,
) -> Backtest:
    """Decide recorded events by one policy of a set, whichever clients they name, and compare with the truth.

    cuts: the policy's thresholds today, label → {review, block}, to be marked in tables and plots.
    Raises ConfigurationError where no event has a known truth.
    """
    result = Backtest(
        policy.key,
        policy.labels.names,
        truths=len(truths.by_key),
        unread_columns=truths.unread_notes,
        cuts=cuts or {},
        promises=promises,
    )
    for each in events:
        facts = policies.address(policy, each, now)
        truth = truths.of(each)
        result.events += 1
        result.matched += truth is not None
        result.without_impressions += each.context.impressions is None
        _count_scores(result, facts.scores, truth)
        _count_decision(result, facts.event, policies.decide_by(policy, facts), truth, policies.rules)
    if not result.matched:
        raise ConfigurationError(
            f"none of {result.events:,} events has its {truths.key} among {result.truths:,} labelled images"
        )
    return result


def _count_scores(result: Backtest, scores: Mapping[str, float], truth: Truth | None) -> None:
    for label, score in scores.items():
        known = truth.labels.get(label) if truth else None
        if known is None and truth and truth.labels.get(top_label(label)) is False:
            known = False  # a picture without violence shows no weapon as one
        if label not in result.labels:
            result.labels[label] = ScoreCounts()
        result.labels[label].add(score, known)


def _count_decision(
    result: Backtest, event: ScoredEvent, decision: Decision, truth: Truth | None, rules: RuleRegistry
) -> None:
    unsafe, impressions = truth.unsafe if truth else None, event.context.impressions
    source = find_source(decision.reasons[0].rule if decision.reasons else None, rules)
    result.outcome.add(decision.verdict, unsafe, impressions)
    result.by_source[source].add(decision.verdict, unsafe, impressions)
    if event.status is Status.OK:
        result.by_scores.add(find_verdict_of_scores(decision, rules), unsafe, impressions)
    for reason in decision.reasons:
        result.rules.setdefault(reason.rule, Counter())[truth_word(unsafe)] += 1
    if kind := _find_mistake(decision.verdict, unsafe, source):
        wrong = result.wrong[kind].get(creative_of(event), lambda: _mistaken(event, decision, truth))
        wrong.weight.add(impressions)


def _find_mistake(verdict: Verdict, unsafe: bool | None, source: str) -> str | None:
    """Which mistake a decision is, if it is one: the model's, or of what a person wrote down."""
    is_written = source != NOTHING_FIRED and Group(source).is_written
    if verdict is Verdict.BLOCK and unsafe is False:
        return SAFE_LISTED if is_written else SAFE_BLOCKED
    if verdict is Verdict.ALLOW and unsafe is True:
        return UNSAFE_LISTED if is_written else UNSAFE_ALLOWED
    return None


def _mistaken(event: ScoredEvent, decision: Decision, truth: Truth | None) -> Mistaken:
    first = decision.reasons[0] if decision.reasons else None
    return Mistaken(
        shown=show(event, decision.scores),
        verdict=decision.verdict.value,
        rule=first.rule if first else "nothing fired",
        would_pass=first.would_pass if first else None,
        labels=truth.held if truth else (),
    )
