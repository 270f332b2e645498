"""A policy over recorded scores whose truth is known: what it catches, what it costs, what would be better."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from moderation.errors import ConfigurationError
from moderation.events import Decision, ScoredEvent, Verdict
from moderation.labels import top_label
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.policy_set import PolicySet, find_decision
from moderation.policy.tools.proportions import Point, ScoreCounts, Share
from moderation.policy.tools.recorded import Truth, Truths, batches

GRID: Final = tuple(step / 20 for step in range(1, 20))
PROMISES: Final = (0.001, 0.005, 0.01, 0.02, 0.05)
"""Shares of safe images that a threshold may hit, for the table of suggestions."""


@dataclass(slots=True)
class Outcome:
    """Decisions against truth: (verdict, unsafe | safe | unknown) → events."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, verdict: Verdict, unsafe: bool | None) -> None:
        self.counts[verdict.value, {True: "unsafe", False: "safe", None: "unknown"}[unsafe]] += 1

    def _share(self, verdicts: Sequence[str], truths: Sequence[str], of: Sequence[str]) -> Share:
        part = sum(self.counts[v, t] for v in verdicts for t in truths)
        return Share(part, sum(n for (v, t), n in self.counts.items() if t in truths and v in of))

    @property
    def block_precision(self) -> Share:
        """Of what was blocked and is known, the share that is unsafe."""
        hit = self.counts["block", "unsafe"]
        return Share(hit, hit + self.counts["block", "safe"])

    @property
    def block_recall(self) -> Share:
        """Of what is unsafe, the share that was blocked."""
        return self._share(["block"], ["unsafe"], _VERDICTS)

    @property
    def kept_away(self) -> Share:
        """Of what is unsafe, the share that was blocked or sent to review."""
        return self._share(["block", "review"], ["unsafe"], _VERDICTS)

    @property
    def safe_blocked(self) -> Share:
        """Of what is safe, the share that was blocked."""
        return self._share(["block"], ["safe"], _VERDICTS)

    @property
    def review_load(self) -> Share:
        """Of everything, the share that people must look at."""
        return self._share(["review"], ["unsafe", "safe", "unknown"], _VERDICTS)

    def as_json(self) -> dict[str, Any]:
        shares = ("block_precision", "block_recall", "kept_away", "safe_blocked", "review_load")
        return {
            "counts": [
                {"verdict": verdict, "truth": truth, "events": self.counts[verdict, truth]}
                for verdict in _VERDICTS
                for truth in ("unsafe", "safe", "unknown")
            ],
            **{name: getattr(self, name).as_json() for name in shares},
        }


_VERDICTS: Final = tuple(verdict.value for verdict in Verdict)


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
    """The whole result for one client."""

    client: str
    names: Sequence[str]
    events: int = 0
    matched: int = 0
    truths: int = 0
    outcome: Outcome = field(default_factory=Outcome)
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
            "outcome": self.outcome.as_json(),
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


def backtest(
    policy: EffectivePolicy,
    events: Iterable[ScoredEvent],
    truths: Truths,
    now: datetime,
    *,
    cuts: Mapping[str, Mapping[str, float]] | None = None,
    promises: Sequence[float] = PROMISES,
) -> Backtest:
    """Decide recorded events by one policy, whichever clients they name, and hold the decisions against the truth.

    cuts: the policy's thresholds today, label → {review, block}, to be marked in tables and plots.
    Raises ConfigurationError where no event has a known truth.
    """
    policies = PolicySet((policy,))
    result = Backtest(policy.key, policy.labels.names, truths=len(truths.by_key), cuts=cuts or {}, promises=promises)
    for batch in batches(put_to(policy, event) for event in events):
        for event, decisions in zip(batch, policies.decide(batch, now), strict=True):
            truth = truths.of(event)
            result.events += 1
            result.matched += truth is not None
            _count_scores(result, event, truth)
            _count_decision(result, policy, decisions, truth)
    if not result.matched:
        raise ConfigurationError(
            f"none of {result.events:,} events has its {truths.key} among {result.truths:,} labelled images"
        )
    return result


def put_to(policy: EffectivePolicy, event: ScoredEvent) -> ScoredEvent:
    """The event as if it named this client and campaign."""
    changes: dict[str, object] = {"clients": (policy.client,)}
    if policy.campaign:
        changes["context"] = event.context.model_copy(update={"campaign": policy.campaign})
    return event.model_copy(update=changes)


def _count_scores(result: Backtest, event: ScoredEvent, truth: Truth | None) -> None:
    for label, score in event.scores.items():
        known = truth.labels.get(label) if truth else None
        if known is None and truth and truth.labels.get(top_label(label)) is False:
            known = False  # a picture without violence shows no weapon as one
        if label not in result.labels:
            result.labels[label] = ScoreCounts()
        result.labels[label].add(score, known)


def _count_decision(
    result: Backtest, policy: EffectivePolicy, decisions: Iterable[Decision], truth: Truth | None
) -> None:
    if (decision := find_decision(decisions, policy)) is None:
        return
    unsafe = truth.unsafe if truth else None
    result.outcome.add(decision.verdict, unsafe)
    word = {True: "unsafe", False: "safe", None: "unknown"}[unsafe]
    for reason in decision.reasons:
        result.rules.setdefault(reason.rule, Counter())[word] += 1
