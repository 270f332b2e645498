"""Verdicts compared with truth: events of each kind, and their impressions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from moderation.events import Decision, Verdict
from moderation.policy.engine.rules.kind import SEVERITY, Group
from moderation.policy.engine.rules.registry import RuleRegistry
from moderation.policy.tools.heaviest import Weight, total
from moderation.policy.tools.proportions import Share

VERDICTS: Final = tuple(verdict.value for verdict in Verdict)
TRUTHS: Final = ("unsafe", "safe", "unknown")
NOTHING_FIRED: Final = "nothing fired"
SOURCES: Final = (*(group.value for group in Group), NOTHING_FIRED)
"""What decides: the groups of rules, or no rule."""


@dataclass(slots=True)
class Outcome:
    """Decisions against truth: (verdict, unsafe | safe | unknown) → events and impressions."""

    weights: dict[tuple[str, str], Weight] = field(
        default_factory=lambda: {(verdict, truth): Weight() for verdict in VERDICTS for truth in TRUTHS}
    )

    def add(self, verdict: Verdict, unsafe: bool | None, impressions: int | None = None) -> None:
        self.weights[verdict.value, truth_word(unsafe)].add(impressions)

    def events(self, verdict: str, truth: str) -> int:
        return self.weights[verdict, truth].events

    def impressions(self, verdict: str, truth: str) -> int:
        return self.weights[verdict, truth].impressions

    @property
    def whole(self) -> Weight:
        return total(self.weights.values())

    def _share(self, verdicts: Sequence[str], truths: Sequence[str]) -> Share:
        part = sum(self.events(v, t) for v in verdicts for t in truths)
        return Share(part, sum(self.events(v, t) for v in VERDICTS for t in truths))

    @property
    def block_precision(self) -> Share:
        """Of what was blocked and is known, the share that is unsafe."""
        hit = self.events("block", "unsafe")
        return Share(hit, hit + self.events("block", "safe"))

    @property
    def block_recall(self) -> Share:
        """Of what is unsafe, the share that was blocked."""
        return self._share(["block"], ["unsafe"])

    @property
    def kept_away(self) -> Share:
        """Of what is unsafe, the share that was blocked or sent to review."""
        return self._share(["block", "review"], ["unsafe"])

    @property
    def safe_blocked(self) -> Share:
        """Of what is safe, the share that was blocked."""
        return self._share(["block"], ["safe"])

    @property
    def review_load(self) -> Share:
        """Of everything, the share that people must look at."""
        return self._share(["review"], TRUTHS)

    def by_impressions(self, name: str) -> float | None:
        """One of the shares above, of impressions instead of events; None where nothing is known."""
        verdicts, truths = _PARTS[name]
        of = ("block",) if name == "block_precision" else VERDICTS
        of_truths = ("unsafe", "safe") if name == "block_precision" else truths
        part = sum(self.impressions(v, t) for v in verdicts for t in truths)
        whole = sum(self.impressions(v, t) for v in of for t in of_truths)
        return part / whole if whole else None

    def as_json(self) -> dict[str, Any]:
        return {
            "counts": [
                {"verdict": verdict, "truth": truth, **self.weights[verdict, truth].as_json()}
                for verdict in VERDICTS
                for truth in TRUTHS
            ],
            **{name: {**getattr(self, name).as_json(), "of_impressions": self.by_impressions(name)} for name in _PARTS},
        }


_PARTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "block_precision": (("block",), ("unsafe",)),
    "block_recall": (("block",), ("unsafe",)),
    "kept_away": (("block", "review"), ("unsafe",)),
    "safe_blocked": (("block",), ("safe",)),
    "review_load": (("review",), TRUTHS),
}


def truth_word(unsafe: bool | None) -> str:
    return {True: "unsafe", False: "safe", None: "unknown"}[unsafe]


def find_source(rule: str | None, rules: RuleRegistry) -> str:
    """What decides: the group of the deciding rule, or `nothing fired`."""
    return NOTHING_FIRED if rule is None else rules.find_group(rule).value


def find_verdict_of_scores(decision: Decision, rules: RuleRegistry) -> Verdict:
    """The verdict by thresholds and uncertainty alone, without lists, rules and allowances."""
    by_scores = (reason.verdict for reason in decision.reasons if rules.find_group(reason.rule) is Group.SCORES)
    return max(by_scores, key=SEVERITY.__getitem__, default=Verdict.ALLOW)
