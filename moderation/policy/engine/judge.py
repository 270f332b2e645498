"""One client's verdict on one event: every rule that fires, and which of them decides.

Precedence, stated in docs/policies.md and tested:

1. Every rule is asked; the most severe answer wins: block over review over allow.
2. An allow list, or a rule that answers allow, lifts reviews that came from thresholds or uncertainty.
   The allow list of content hashes also lifts blocks that came from thresholds: somebody looked at those bytes.
3. Nothing lifts what a block or review list, a guard (error, missing label, expiry), a rule or the political
   section said.
4. Among equally severe reasons the order is: guards, lists, rules, political, thresholds, uncertainty, audit.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from moderation.events import Reason, Verdict
from moderation.labels import top_label
from moderation.policy.compile.effective import EffectivePolicy, Limit, NamedList, political_threshold
from moderation.policy.engine.facts import Facts
from moderation.policy.language.expressions import ExpressionError
from moderation.policy.language.schema import NEVER, Blackout, Political

SEVERITY: Final = {Verdict.ALLOW: 0, Verdict.REVIEW: 1, Verdict.BLOCK: 2}


class Hit(NamedTuple):
    """An entry of a list that matched: which list, and the value that it matched."""

    named: NamedList
    value: str


class Fired(NamedTuple):
    """A rule that fired. `lifted_by` names the allowances that may lift it."""

    reason: Reason
    liftable: str = ""


class Judgement(NamedTuple):
    """The verdict and its reasons, the deciding one first."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    audit_sample: bool = False


class Judged(NamedTuple):
    """One pair of an event and a policy; `row` is the policy's, -1 where the client is unknown."""

    row: int
    client: str
    judgement: Judgement


def judge(policy: EffectivePolicy, facts: Facts, hits: Iterable[Hit], *, sampled: bool = False) -> Judgement:
    """Ask every rule of a policy. Never raises for an event's content."""
    fired = [
        *_guards(policy, facts),
        *_listed(hits),
        *_ruled(policy, facts),
        *_political(policy, facts),
        *(_scored(policy, facts) if facts.examined else ()),
    ]
    judgement = settle(fired)
    return _sampled(policy, judgement) if sampled else judgement


def settle(fired: Iterable[Fired]) -> Judgement:
    """Lift what allowances lift, then let the most severe decide."""
    allowances: list[Fired] = []
    demands: list[Fired] = []
    for rule in fired:
        (allowances if rule.reason.verdict is Verdict.ALLOW else demands).append(rule)
    lifts = frozenset().union(*(_LIFTS.get(allowance.liftable, _NOTHING) for allowance in allowances))
    standing = [d.reason for d in demands if (d.liftable, d.reason.verdict) not in lifts]
    lifted = [_lifted(d.reason) for d in demands if (d.liftable, d.reason.verdict) in lifts]
    standing.sort(key=lambda reason: -SEVERITY[reason.verdict])
    allowed = [allowance.reason for allowance in allowances]
    if standing:
        return Judgement(standing[0].verdict, (*standing, *lifted, *allowed))
    return Judgement(Verdict.ALLOW, (*allowed, *lifted))


_SCORE, _POLITICAL_SCORE = "score", "political_score"
_NOTHING: Final[frozenset[tuple[str, Verdict]]] = frozenset()
_LIFTS: Final = {
    "trust": frozenset({(_SCORE, Verdict.REVIEW), (_POLITICAL_SCORE, Verdict.REVIEW)}),
    "seen": frozenset({(s, v) for s in (_SCORE, _POLITICAL_SCORE) for v in (Verdict.REVIEW, Verdict.BLOCK)}),
    "declared": frozenset({(_POLITICAL_SCORE, Verdict.REVIEW)}),
}
"""What an allowance lifts: trust in a name, an image somebody has seen, a political declaration."""


def _lifted(reason: Reason) -> Reason:
    return reason.model_copy(update={"detail": "lifted by an allowance"})


def _guards(policy: EffectivePolicy, facts: Facts) -> Iterator[Fired]:
    """Not examined, not scored, not valid: never an allow by accident."""
    settings, event = policy.settings, facts.event
    if not facts.examined:
        detail = event.detail or "the image could not be examined"
        yield _fired(f"on_error.{event.status.value}", settings.on_error or Verdict.REVIEW, detail=detail)
    else:
        for label in missing_labels(policy, facts):
            answer = settings.on_missing_label or Verdict.REVIEW
            yield _fired("on_missing_label", answer, label=label, detail=f"the model did not score {label}")
    if expiry := _expiry(settings.valid_from, settings.valid_until, facts.now):
        yield _fired("on_expired.policy", settings.on_expired or Verdict.REVIEW, detail=expiry)
    days = settings.max_score_age_days
    if days and facts.examined and facts.now - event.scored_at > timedelta(days=days):
        detail = f"scored {event.scored_at:%Y-%m-%d}, more than {days} days ago"
        yield _fired("on_expired.scores", settings.on_expired or Verdict.REVIEW, detail=detail)


def missing_labels(policy: EffectivePolicy, facts: Facts) -> list[str]:
    """Labels that the policy names for this surface and country and the model did not score."""
    named = policy.named_labels(facts.event.surface, facts.country)
    return [label for label in named if label not in facts.event.scores]


def _expiry(start: datetime | None, end: datetime | None, now: datetime) -> str:
    if start and now < start:
        return f"the policy is valid from {start:%Y-%m-%d}"
    return f"the policy was valid until {end:%Y-%m-%d}" if end and now > end else ""


def _listed(hits: Iterable[Hit]) -> Iterator[Fired]:
    for named, value in sorted(hits, key=lambda hit: -SEVERITY[hit.named.verdict]):
        allowance = "" if named.verdict is not Verdict.ALLOW else _allowance(named.kind)
        yield _fired(named.rule, named.verdict, detail=f"{named.kind} {value}", liftable=allowance)


def _allowance(kind: str) -> str:
    return "seen" if kind == "content_sha256" else "trust"


def _ruled(policy: EffectivePolicy, facts: Facts) -> Iterator[Fired]:
    for name, expression in policy.expressions.items():
        rule = policy.settings.rules[name]
        if expression.reads_scores and not facts.examined:
            continue
        try:
            fires = expression.fires(facts.expression_context)
        except ExpressionError as error:
            answer = _never_allow(policy.settings.on_error)
            yield _fired(f"on_error.rules.{name}", answer, detail=f"the expression erred: {error}")
            continue
        if fires:
            liftable = "trust" if rule.verdict is Verdict.ALLOW else ""
            yield _fired(f"rules.{name}", rule.verdict, detail=rule.detail or rule.when, liftable=liftable)


def _never_allow(answer: Verdict | None) -> Verdict:
    return Verdict.BLOCK if answer is Verdict.BLOCK else Verdict.REVIEW


def _political(policy: EffectivePolicy, facts: Facts) -> Iterator[Fired]:
    if not (political := policy.settings.political):
        return
    threshold = political_threshold(political, facts.country)
    score = facts.event.scores.get("political") if facts.examined else None
    by_score = score is not None and score >= threshold
    if not (by_score or facts.declared_political):
        return
    measured = {"label": "political", "score": score, "threshold": threshold} if by_score else {}
    for name, window in political.blackouts.items():
        yield from _blackout(name, window, facts, measured)
    kind = "declared" if facts.declared_political else "undeclared"
    answer = _political_answer(political, facts.country, kind)
    detail = "declared as political" if kind == "declared" else "nobody declared it political"
    passing = None
    if kind == "undeclared":
        milder = _rank(_political_answer(political, facts.country, "declared")) < _rank(answer)
        passing = f"political < {threshold:.2f}" + (", or declared" if milder else "")
    reason = Reason(rule=f"political.{kind}", verdict=answer, would_pass=passing, detail=detail, **measured)
    yield Fired(reason, "declared" if answer is Verdict.ALLOW else "")


def _rank(verdict: Verdict) -> int:
    return tuple(Verdict).index(verdict)


def _political_answer(political: Political, country: str | None, kind: str) -> Verdict:
    local = political.countries.get(country or "")
    answer: Verdict | None = getattr(local, kind) if local else None
    default = Verdict.ALLOW if kind == "declared" else Verdict.REVIEW
    return answer or getattr(political, kind) or default


def _blackout(name: str, window: Blackout, facts: Facts, measured: Mapping[str, object]) -> Iterator[Fired]:
    if not window.start <= facts.now <= window.end:
        return
    dates = f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}"
    if facts.country in window.countries:
        detail = f"no political images in {facts.country} from {dates}"
        yield _fired(f"political.blackouts.{name}", window.verdict, detail=detail, measured=measured)
    elif facts.country is None:
        detail = f"the country is unknown, and {', '.join(window.countries)} has a blackout from {dates}"
        yield _fired(f"political.blackouts.{name}", Verdict.REVIEW, detail=detail, measured=measured)


def _scored(policy: EffectivePolicy, facts: Facts) -> Iterator[Fired]:
    scores = facts.event.scores
    for (label, verdict), limit in policy.limits_at(facts.event.surface, facts.country).items():
        score = scores.get(label)
        if score is not None and score >= limit.threshold:
            yield _over(label, verdict, score, limit, facts)
    yield from _uncertain(policy, facts)


def _over(label: str, verdict: Verdict, score: float, limit: Limit, facts: Facts) -> Fired:
    """Made once per event and threshold: clients on one tier share their reasons."""
    key = (limit.rule, limit.threshold)
    if key not in facts.reasons:
        facts.reasons[key] = Reason(
            rule=limit.rule,
            verdict=verdict,
            label=label,
            score=score,
            threshold=limit.threshold,
            would_pass=f"{label} < {shown(limit.threshold)}",
        )
    return Fired(facts.reasons[key], _POLITICAL_SCORE if top_label(label) == "political" else _SCORE)


def shown(threshold: float) -> str:
    """Two decimals, or as many as were written."""
    return f"{threshold:.2f}" if round(threshold, 2) == threshold else repr(threshold)


def _uncertain(policy: EffectivePolicy, facts: Facts) -> Iterator[Fired]:
    threshold, uncertainty = policy.settings.uncertainty, facts.event.uncertainty
    if threshold is None or threshold == NEVER:
        return
    answer = policy.settings.on_uncertain or Verdict.REVIEW
    if uncertainty is None:
        yield _fired("on_uncertain", answer, detail="the model reported no uncertainty")
    elif uncertainty >= threshold:
        reason = Reason(
            rule="on_uncertain",
            verdict=answer,
            score=uncertainty,
            threshold=threshold,
            would_pass=f"uncertainty < {shown(threshold)}",
            detail="the image is unlike what the model was trained on",
        )
        yield Fired(reason, _SCORE)


def _sampled(policy: EffectivePolicy, judgement: Judgement) -> Judgement:
    audit = policy.settings.audit
    if judgement.verdict is not Verdict.ALLOW or not audit or audit.answer == "mark":
        return judgement._replace(audit_sample=True)
    drawn = Reason(rule="audit.sample", verdict=Verdict.REVIEW, detail=f"drawn for audit, {audit.share:.4g} of images")
    return Judgement(Verdict.REVIEW, (drawn, *judgement.reasons), audit_sample=True)


def _fired(
    rule: str,
    verdict: Verdict,
    *,
    label: str | None = None,
    detail: str | None = None,
    liftable: str = "",
    measured: Mapping[str, object] | None = None,
) -> Fired:
    return Fired(Reason(rule=rule, verdict=verdict, detail=detail, **{"label": label, **(measured or {})}), liftable)
