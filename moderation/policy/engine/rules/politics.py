"""Political advertising = score × declaration × country × date."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from moderation.events import Reason, Verdict
from moderation.policy.compile.effective import EffectivePolicy, political_threshold
from moderation.policy.engine.arrays import Mask, PolicyArrays
from moderation.policy.engine.batch import Batch
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.rules.kind import (
    SEVERITY,
    Allowance,
    Group,
    Prefilter,
    RuleKind,
    RuleRow,
    find_origin,
)
from moderation.policy.language.schema import NEVER, Blackout, Political

Kind = Literal["declared", "undeclared"]
KINDS: Final[tuple[Kind, ...]] = ("declared", "undeclared")
_DEFAULTS: Final = {"declared": Verdict.ALLOW, "undeclared": Verdict.REVIEW}


class _Measured(NamedTuple):
    """The score of `political` against its threshold in the event's country; no score, no measure."""

    score: float | None
    threshold: float
    facts: Facts

    @property
    def reached(self) -> bool:
        return self.score is not None and self.score >= self.threshold

    def as_reason(self) -> dict[str, Any]:
        return {"threshold": self.threshold, **self.facts.measure("political").fields} if self.reached else {}

    @property
    def origin(self) -> str:
        """`; political 0.93 from text`, where that does not go without saying."""
        words = self.facts.measure("political").origin if self.reached else ""
        return f"; political {self.score:.2f} {words}" if words else ""


def _measure(political: Political, facts: Facts) -> _Measured:
    score = facts.scores.get("political") if facts.examined else None
    return _Measured(score, political_threshold(political, facts.country), facts)


class _PoliticalKind(RuleKind):
    group = Group.POLITICAL

    def is_in_force(self, policy: EffectivePolicy) -> bool:
        return policy.settings.political is not None

    def prefilter(self, arrays: PolicyArrays) -> Prefilter:
        """An image may be political where it is declared, or scored as in the strictest country."""
        in_force = self.find_in_force(arrays)
        least = np.array([_find_least_threshold(policy) for policy in arrays.policies])

        def find(batch: Batch) -> Mask:
            declared = batch.column([facts.declared_political for facts in batch.facts], np.bool_)
            scores = [facts.scores.get("political", -np.inf) for facts in batch.facts]
            return in_force & (declared | (batch.column(scores, np.float64) >= least))

        return find if in_force.any() else lambda _: in_force


def _find_least_threshold(policy: EffectivePolicy) -> float:
    political = policy.settings.political
    if political is None:
        return NEVER
    return min(political_threshold(political, country) for country in (None, *political.countries))


class Blackouts(_PoliticalKind):
    """Windows in which political images get another answer, declared or not."""

    prefixes = ("political.blackouts",)

    def is_in_force(self, policy: EffectivePolicy) -> bool:
        return bool(policy.settings.political and policy.settings.political.blackouts)

    def list_rules(self, policy: EffectivePolicy) -> Iterable[str]:
        return (f"political.blackouts.{name}" for name in _find_blackouts(policy))

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        if not (political := policy.settings.political):
            return
        measured = _measure(political, facts)
        if not (measured.reached or facts.declared_political):
            return
        for name, window in political.blackouts.items():
            if answer := _answer_blackout(window, facts):
                verdict, detail = answer
                rule = f"political.blackouts.{name}"
                yield Reason(rule=rule, verdict=verdict, detail=detail, **measured.as_reason())

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:
        for name, window in _find_blackouts(policy).items():
            path = f"political.blackouts.{name}"
            inside = _answer_blackout(window, facts)
            verdict = inside[0] if inside else window.verdict
            where = f"{', '.join(window.countries)}, {window.dates}"
            detail = f"{where}: {'not political' if inside else 'not here, or not now'}"
            yield RuleRow(path, verdict, detail=detail, origin=find_origin(policy, path))


def _find_blackouts(policy: EffectivePolicy) -> dict[str, Blackout]:
    return policy.settings.political.blackouts if policy.settings.political else {}


def _answer_blackout(window: Blackout, facts: Facts) -> tuple[Verdict, str] | None:
    """What a political image gets in this window; None outside of it."""
    if not window.start <= facts.now <= window.end:
        return None
    dates = window.dates
    if facts.country in window.countries:
        return window.verdict, f"no political images in {facts.country} from {dates}"
    if facts.country is None:
        places = ", ".join(window.countries)
        return Verdict.REVIEW, f"the country is unknown, and {places} has a blackout from {dates}"
    return None


class PoliticalAnswers(_PoliticalKind):
    """The answer to political images by declaration and country."""

    prefixes = ("political",)

    def list_rules(self, policy: EffectivePolicy) -> Iterator[str]:
        if political := policy.settings.political:
            written = [political, *political.countries.values()]
            yield from (f"political.{kind}" for kind in KINDS if any(getattr(each, kind) for each in written))

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        if not (political := policy.settings.political):
            return
        measured = _measure(political, facts)
        if facts.declared_political:
            answer = find_answer(political, facts.country, "declared")
            yield _give_reason("declared", answer, "declared as political", None, measured)
        elif measured.reached:
            answer = find_answer(political, facts.country, "undeclared")
            passing = _say_what_passes(political, facts, measured, answer)
            yield _give_reason("undeclared", answer, "nobody declared it political", passing, measured)

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:
        if not (political := policy.settings.political):
            return
        score, threshold, _ = _measure(political, facts)
        for kind in KINDS:
            answer = find_answer(political, facts.country, kind)
            origin = find_origin(policy, f"political.countries.{facts.country}.{kind}", f"political.{kind}")
            row = RuleRow(f"political.{kind}", answer, detail="not declared", origin=origin)
            if kind == "declared":
                yield row
            elif threshold == NEVER:
                yield replace(row, detail="only declarations count")
            else:
                yield replace(row, label="political", score=score, threshold=threshold, detail=None)

    def grant(self, reason: Reason) -> Allowance | None:  # noqa: ARG002
        return Allowance.DECLARED


def _give_reason(kind: Kind, answer: Verdict, detail: str, passing: str | None, measured: _Measured) -> Reason:
    rule = f"political.{kind}"
    with_origin = detail + measured.origin
    return Reason(rule=rule, verdict=answer, would_pass=passing, detail=with_origin, **measured.as_reason())


def _say_what_passes(political: Political, facts: Facts, measured: _Measured, answer: Verdict) -> str:
    """A lower score would pass; a declaration too, where its answer is milder."""
    declared = find_answer(political, facts.country, "declared")
    milder = SEVERITY[declared] < SEVERITY[answer]
    return f"political < {measured.threshold:.2f}" + (", or declared" if milder else "")


def find_answer(political: Political, country: str | None, kind: Kind) -> Verdict:
    """What the section says of a declared or an undeclared political image in a country."""
    local = political.countries.get(country or "")
    answer: Verdict | None = getattr(local, kind) if local else None
    return answer or getattr(political, kind) or _DEFAULTS[kind]
