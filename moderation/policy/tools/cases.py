"""Cases beside a policy: `acme.yaml` is tested by `acme.cases.yaml`, and a policy without cases fails.

A case gives what a scored event would say and what the policy must answer. Labels that a case does not give
are *not scored*; `other: 0.01` in `scores` scores all the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from moderation.documents.mistakes import Mistake
from moderation.events import AdContext, Decision, Evidence, ModelStamp, ScoredEvent, Status, Surface
from moderation.evidence.contract import IMAGE
from moderation.evidence.joining import join_scores
from moderation.labels import LabelCatalogue
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.policy_set import find_decision
from moderation.policy.engine.rules.registry import RULES, RuleRegistry
from moderation.policy.tools.case_file import OTHER, STARTER, Case, Expected, Given, cases_path, read_cases
from moderation.policy.tools.diff import NONE, Decides

MODEL: Final = ModelStamp(name="cases", version="0", preprocessing="cases")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: what was wrong (nothing, if it passed), and the decision it got."""

    name: str
    file: str
    line: int
    problems: tuple[str, ...]
    decision: Decision | None

    @property
    def passed(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class PolicyResult:
    """The cases of one policy, and which of its rules they made fire."""

    policy: str
    file: str
    cases_file: str
    rules: tuple[str, ...]
    results: list[CaseResult] = field(default_factory=list)
    mistakes: tuple[Mistake, ...] = ()
    fired: set[str] = field(default_factory=set)

    @property
    def passed(self) -> bool:
        return bool(self.results) and not self.mistakes and all(result.passed for result in self.results)

    @property
    def uncovered(self) -> list[str]:
        return [rule for rule in self.rules if rule not in self.fired]

    @property
    def coverage(self) -> float:
        return 1 - len(self.uncovered) / len(self.rules) if self.rules else 1.0

    def as_json(self) -> dict[str, Any]:
        return {
            "policy": self.policy,
            "file": self.file,
            "cases_file": self.cases_file,
            "passed": self.passed,
            "mistakes": [mistake.as_json() for mistake in self.mistakes],
            "cases": [
                {"name": r.name, "line": r.line, "passed": r.passed, "problems": list(r.problems)} for r in self.results
            ],
            "coverage": {"share": self.coverage, "rules": len(self.rules), "uncovered": self.uncovered},
        }


def run_cases(
    policies: Decides,
    policy: EffectivePolicy,
    now: datetime,
    path: Path | None = None,
    rules: RuleRegistry = RULES,
) -> PolicyResult:
    """Run the cases beside one policy. Never raises for the content of the file: see `mistakes`.

    now:  when cases are decided that do not say.
    path: the cases, where they are not beside the policy.
    rules: the kinds of rules whose coverage counts.
    """
    path = path or cases_path(Path(policy.file))
    result = PolicyResult(policy.key, policy.file, str(path), rules.list_rules(policy))
    if not path.exists():
        problem = f"{policy.key} has no cases"
        result.mistakes = (Mistake(str(path), 0, 0, "", problem, "at least one case", STARTER),)
        return result
    source, cases = read_cases(path, policy.labels)
    result.mistakes = tuple(source.mistakes)
    for number, case in enumerate(cases.cases if cases else ()):
        line = source.place(("cases", number)).line
        result.results.append(
            _run(policies, policy, cases.defaults if cases else Given(), case, (str(path), line, now), result.fired)
        )
    return result


def _run(
    policies: Decides,
    policy: EffectivePolicy,
    defaults: Given,
    case: Case,
    at: tuple[str, int, datetime],
    fired: set[str],
) -> CaseResult:
    file, line, now = at
    decided_at = case.now or defaults.now or now
    event = scored_event(policy, defaults, case, decided_at)
    decision = find_decision(policies.decide([event], decided_at)[0], policy)
    fired |= {reason.rule for reason in decision.reasons} if decision else set()
    scored = join_scores(policy.labels, event.evidence).scores
    missing = [label for label in policy.labels.names if label not in scored]
    return CaseResult(case.name, file, line, tuple(_problems(case.expect, decision, missing)), decision)


def scored_event(policy: EffectivePolicy, defaults: Given, case: Case, decided_at: datetime) -> ScoredEvent:
    """The event that a case describes: its own values over the defaults, the policy's client where none is named."""
    context = {**_written(defaults.context), **_written(case.context)}
    if policy.campaign:
        context.setdefault("campaign", policy.campaign)
    clients = next((c for c in (case.clients, defaults.clients) if c is not None), (policy.client,))
    status = case.status or defaults.status or Status.OK
    scores = _scores({**defaults.scores, **case.scores}, policy.labels.names)
    uncertainty = _either(case.uncertainty, defaults.uncertainty)
    return ScoredEvent(
        event_id=case.name,
        surface=case.surface or defaults.surface or Surface.CREATIVE,
        clients=clients,
        context=AdContext.model_validate(context),
        status=status,
        evidence=_evidence(scores, uncertainty, policy.labels) if status is Status.OK else (),
        content_sha256=case.content_sha256 or defaults.content_sha256,
        perceptual_hash=case.perceptual_hash or defaults.perceptual_hash,
        image=case.image or defaults.image,
        scored_at=case.scored_at or defaults.scored_at or decided_at,
    )


def _written(context: AdContext) -> dict[str, Any]:
    return context.model_dump(exclude_unset=True)


def _either(first: float | None, second: float | None) -> float:
    """An uncertainty that a case omits is none, so other cases need not give one."""
    return first if first is not None else second if second is not None else 0.0


def _scores(given: Mapping[str, float | None], labels: Iterable[str]) -> dict[str, float]:
    other = given.get(OTHER)
    every = dict.fromkeys(labels, other) | {label: s for label, s in given.items() if label != OTHER}
    return {label: score for label, score in every.items() if score is not None}


def _evidence(scores: Mapping[str, float], uncertainty: float, labels: LabelCatalogue) -> tuple[Evidence, ...]:
    """Each score from the source that the catalogue trusts most: what joins them is not what a case is about."""
    by_source: dict[str, dict[str, float]] = {IMAGE: {}}
    for label, score in scores.items():
        by_source.setdefault(labels.by_name[label].sources[0], {})[label] = score
    return tuple(
        Evidence(source=source, stamp=MODEL, status=Status.OK, scores=each, uncertainty=uncertainty)
        for source, each in by_source.items()
    )


def _problems(expected: Expected, decision: Decision | None, missing: Sequence[str]) -> Iterable[str]:
    got = decision.verdict.value if decision else NONE
    rules = [reason.rule for reason in decision.reasons] if decision else []
    if got != expected.verdict:
        yield f"verdict: expected {expected.verdict}, got {got}{_because(decision)}"
    if expected.rule and expected.rule != (rules[0] if rules else None):
        yield f"rule: expected {expected.rule}, got {rules[0] if rules else 'no rule'}"
    for rule in expected.also:
        if rule not in rules:
            yield f"also: expected {rule} to fire; fired: {', '.join(rules) or 'nothing'}"
    if expected.audit_sample is not None and decision and decision.audit_sample != expected.audit_sample:
        yield f"audit_sample: expected {expected.audit_sample}, got {decision.audit_sample}"
    if "on_missing_label" in rules and expected.rule != "on_missing_label":
        yield f"labels that a case does not give are not scored ({', '.join(missing)}): add `other: 0.01` to its scores"


def _because(decision: Decision | None) -> str:
    if not decision or not decision.reasons:
        return ""
    first = decision.reasons[0]
    passing = f"; would pass: {first.would_pass}" if first.would_pass else ""
    return f" by {first.rule}{passing}"


def all_passed(results: Sequence[PolicyResult]) -> bool:
    """Whether there were cases, and all of them passed."""
    return bool(results) and all(result.passed for result in results)
