"""One decision in ad-tech terms: AdCOM Audit, OpenRTB loss code, cat/cattax/attr, catswithsuitability.

The tables are data under `moderation/adtech_data/`, each row with its source; docs/adtech.md gives the sources
and the reasons of the mapping. A creative is described in the Ad Product Taxonomy 2.0 (cattax 8), a page
in the Content Taxonomy 3.0 (cattax 7).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from moderation.adtech_data import rows
from moderation.events import AdContext, AdtechTerms, Reason, Status, Suitability, Surface, Verdict
from moderation.evidence.joining import Origin
from moderation.labels import LabelCatalogue, LabelTerms
from moderation.normal import categories

PENDING, PRE_APPROVED, APPROVED, DENIED = 1, 2, 3, 4
"""AdCOM 1.0, List: Audit Status Codes (the ones a single decision can reach)."""
CATTAX: Final = {Surface.CREATIVE: 8, Surface.PAGE: 7}
"""AdCOM 1.0, List: Category Taxonomies: Ad Product Taxonomy 2.0 and Content Taxonomy 3.0."""
NOT_ALLOWED: Final = (Verdict.REVIEW, Verdict.BLOCK)
_NO_CONTEXT: Final = AdContext()
LOSS_NO_DATA, LOSS_PENDING, LOSS_DENIED = 10, 201, 202
"""OpenRTB 3.0, List: Loss Reason Codes (the ones that do not come from a table)."""


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """How a family of rules reads (a row of `rules.tsv`).

    complete: whether such a rule ends the audit. One that fired for lack of knowledge does not.
    """

    complete: bool
    loss: int | None


def terms(  # noqa: PLR0913 - all that the words depend on
    verdict: Verdict,
    reasons: Sequence[Reason],
    surface: Surface,
    status: Status,
    context: AdContext = _NO_CONTEXT,
    *,
    labels: LabelCatalogue,
    audit_sample: bool = False,
    name_family: Callable[[str], str] = str,
) -> AdtechTerms:
    """The decision in terms for an exchange or a bidder.

    reasons:     every rule that fired, the deciding one first.
    labels:      the catalogue that says what each label reads as.
    name_family: a rule's name → the name under which `rules.tsv` knows it.

    Cost is a dictionary look-up once a combination of verdict, rules and labels was seen; only the feedback is
    written anew.
    """
    fired = tuple((name_family(r.rule), r.label, r.verdict) for r in reasons)
    base = _terms(labels, verdict, fired, surface, status is Status.OK, audit_sample)
    changes: dict[str, object] = {}
    if fired:
        changes["audit_feedback"] = tuple(_feedback(r) for r in reasons if r.verdict in NOT_ALLOWED)
    if context.cat and context.cattax == base.cattax:
        changes["cat"] = _distinct((*categories(context.cat), *base.cat))
    return base.model_copy(update=changes) if changes else base


@lru_cache(maxsize=16384)
def _terms(
    labels: LabelCatalogue,
    verdict: Verdict,
    fired: tuple[tuple[str, str | None, Verdict], ...],
    surface: Surface,
    examined: bool,
    sampled: bool,
) -> AdtechTerms:
    described = [
        (labels.terms(surface, label), v)
        for rule, label, v in fired
        if label is not None and v in NOT_ALLOWED and _rule(rule).complete
    ]
    deciding = fired[0] if fired else ("", None, verdict)
    seen = labels.terms(surface, deciding[1] or "")
    return AdtechTerms(
        audit_status=_audit_status(verdict, _rule(deciding[0]), examined, sampled),
        loss_code=_loss_code(verdict, deciding[0], seen.loss) if surface is Surface.CREATIVE else None,
        cattax=CATTAX[surface],
        cat=_distinct(cat for found, _ in described for cat in found.cat),
        attr=tuple(sorted({attr for found, _ in described for attr in found.attr})),
        catswithsuitability=_suitability(described, verdict) if surface is Surface.PAGE else (),
    )


def _audit_status(verdict: Verdict, rule: RuleTerms, examined: bool, sampled: bool) -> int:
    if verdict is Verdict.ALLOW:
        return APPROVED if examined and rule.complete and not sampled else PRE_APPROVED
    return DENIED if verdict is Verdict.BLOCK and rule.complete else PENDING


def _loss_code(verdict: Verdict, rule: str, by_label: int | None) -> int | None:
    if verdict is Verdict.ALLOW:
        return None
    family = _rule(rule)
    if not family.complete or verdict is Verdict.REVIEW:
        return family.loss if family.loss == LOSS_NO_DATA else LOSS_PENDING
    return family.loss or by_label or LOSS_DENIED


def _suitability(described: Iterable[tuple[LabelTerms, Verdict]], decided: Verdict) -> tuple[Suitability, ...]:
    """Each category once, at its worst level; a level is claimed only for a block."""
    worst: dict[str, str | None] = {}
    for found, verdict in described:
        level = found.risk if verdict is decided is Verdict.BLOCK else None
        for cat in found.cat:
            levels = [known for known in (worst.get(cat), level) if known]
            worst[cat] = min(levels, default=None)
    return tuple(Suitability(category=cat, suitability=level) for cat, level in worst.items())


def _feedback(reason: Reason) -> str:
    measured = "" if reason.score is None else f" {reason.score:.2f}{_origin(reason)}"
    limit = "" if reason.threshold is None else f", limit {reason.threshold:.2f}"
    passing = f"; would pass: {reason.would_pass}" if reason.would_pass else ""
    about = f"{reason.label}{measured}{limit}" if reason.label else (reason.detail or reason.verdict.value)
    return f"{reason.rule}: {about}{passing}"


def _origin(reason: Reason) -> str:
    words = Origin(reason.source, reason.part).words() if reason.source else ""
    return f" {words}" if words else ""


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


@cache
def rule_table() -> dict[str, RuleTerms]:
    """Rule family → terms, from `rules.tsv`."""
    return {
        row["rule"]: RuleTerms(row["complete"] == "yes", int(row["loss"]) if row["loss"] else None)
        for row in rows("rules")
    }


@lru_cache(maxsize=16384)
def _rule(rule: str) -> RuleTerms:
    family = find_family(rule)
    return RuleTerms(complete=True, loss=None) if family is None else rule_table()[family]


def find_family(rule: str) -> str | None:
    """The longest row of `rules.tsv` that the rule's dotted name starts with."""
    family = rule
    while family and family not in rule_table():
        family = family.rpartition(".")[0]
    return family or None
