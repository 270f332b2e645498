"""One scored event, prepared once for every client that will judge it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from moderation.events import Reason, ScoredEvent, Status
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.language import expressions
from moderation.policy.language.schema import alpha2

POLITICAL_CATEGORIES: Final[Mapping[int, frozenset[str]]] = {
    1: frozenset({"IAB11", "IAB11-4"}),
    7: frozenset({"386", "387"}),
    8: frozenset({"1474", *(str(number) for number in range(1475, 1482))}),
    9: frozenset({"386", "387"}),
}
"""Declared categories that mean politics, by `cattax` (AdCOM 1.0, List: Category Taxonomies):
1 IAB Content 1.0 (Law, Government & Politics; Politics), 7 and 9 IAB Content 3.x (Politics, Elections),
8 IAB Ad Product 2.0 (Politics and its children)."""


@dataclass
class Facts:
    """What judging needs of an event. `country` is alpha-2; `now` is the decision's clock."""

    event: ScoredEvent
    now: datetime
    reasons: dict[tuple[str, float], Reason] = field(default_factory=dict)
    """Reasons given so far, by rule and threshold."""
    findings: dict[str, Mapping[EffectivePolicy, Mapping[str, str]]] = field(default_factory=dict)
    """What a pre-filter found of this event, by kind of rule and policy: rule → value that matched. A kind without
    findings looks for itself."""

    @cached_property
    def examined(self) -> bool:
        return self.event.status is Status.OK

    @cached_property
    def country(self) -> str | None:
        return alpha2(self.event.context.country)

    @cached_property
    def declared_political(self) -> bool:
        """Declared by the sponsor's flag, or by a declared category."""
        context = self.event.context
        if context.declared_political:
            return True
        political = POLITICAL_CATEGORIES.get(context.cattax or 0, frozenset())
        return not political.isdisjoint(context.cat)

    @cached_property
    def expression_context(self) -> Any:
        """The event as CEL sees it: absent text is empty, absent numbers are null, unscored labels are absent."""
        return expressions.context(_cel_values(self))


def _cel_values(facts: Facts) -> dict[str, Any]:
    event, context, image = facts.event, facts.event.context, facts.event.image
    texts = {name: getattr(context, name) or "" for name in _TEXTS}
    return {
        **texts,
        "surface": event.surface.value,
        "scores": event.scores,
        "uncertainty": event.uncertainty,
        "country": facts.country or "",
        "adomain": list(context.adomain),
        "cat": list(context.cat),
        "cattax": context.cattax,
        "declared_political": context.declared_political,
        "impressions": context.impressions,
        "width": image.width if image else None,
        "height": image.height if image else None,
        "frames": image.frames if image else None,
        "format": image.format if image else "",
        "now": facts.now,
    }


_TEXTS: Final = ("crid", "seat", "campaign", "deal", "page_url", "domain")
