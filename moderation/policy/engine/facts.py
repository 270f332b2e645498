"""One scored event, prepared once for every client that will judge it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from moderation.events import Evidence, Reason, ScoredEvent, Status, one_line
from moderation.evidence.joining import Joined, join_scores
from moderation.labels import LabelCatalogue
from moderation.normal import Incomparable, NormalContext, normal
from moderation.normal.context import IDS
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.language import expressions


class Measure(NamedTuple):
    """A label's number as fields of a reason, and where it came from in words: empty where that goes without saying."""

    fields: dict[str, Any]
    origin: str


@dataclass
class Facts:
    """What judging needs of an event. `country` is alpha-2; `now` is the decision's clock; `labels` joins scores."""

    event: ScoredEvent
    now: datetime
    labels: LabelCatalogue
    with_campaigns: frozenset[str] = frozenset()
    """Clients that have a policy for one of their campaigns."""
    reasons: dict[tuple[str, float], Reason] = field(default_factory=dict)
    """Reasons given so far, by rule and threshold."""
    _measures: dict[str, Measure] = field(default_factory=dict)
    findings: dict[str, Mapping[EffectivePolicy, Mapping[str, str]]] = field(default_factory=dict)
    """What a pre-filter found of this event, by kind of rule and policy: rule → value that matched. A kind without
    findings searches itself."""
    drawn: frozenset[EffectivePolicy] | None = None
    """The policies that have this image in their audit sample; None where that was not drawn for all at once."""

    @cached_property
    def examined(self) -> bool:
        return self.event.status is Status.OK

    @cached_property
    def normal(self) -> NormalContext:
        """The event's values as they are compared."""
        return normal(self.event.context)

    @cached_property
    def joined(self) -> Joined:
        return join_scores(self.labels, self.event.evidence)

    @property
    def scores(self) -> Mapping[str, float]:
        """One number per label, joined from all sources; an absent label is missing."""
        return self.joined.scores

    @cached_property
    def failed_sources(self) -> tuple[Evidence, ...]:
        """The sources that were asked and could not answer."""
        return tuple(each for each in self.event.evidence if each.status is not Status.OK)

    def find_failed_source(self, label: str) -> Evidence | None:
        """A source that may score the label and could not answer."""
        sources = self.labels.by_name[label].sources
        return next((each for each in self.failed_sources if each.source in sources), None)

    def measure(self, label: str) -> Measure:
        """A scored label's number and where it came from; worked out once for all clients."""
        if label not in self._measures:
            origin = self.joined.origin(label)
            fields = {"label": label, "score": self.scores[label], "source": origin.source, "part": origin.part}
            self._measures[label] = Measure(fields, origin.words())
        return self._measures[label]

    @property
    def problems(self) -> Mapping[str, str]:
        """Fields that were sent and cannot be compared, with the reason."""
        return self.normal.problems

    @property
    def country(self) -> str | None:
        return self.normal.country

    @property
    def declared_political(self) -> bool:
        """Declared by the sponsor's flag, or by a declared category."""
        return bool(self.event.context.declared_political) or self.normal.political is True

    @property
    def may_be_declared_political(self) -> bool:
        """Whether it is unknown if a declared category means politics."""
        return not self.declared_political and isinstance(self.normal.political, Incomparable)

    @cached_property
    def expression_context(self) -> Any:
        """The event as CEL sees it: absent text is empty, absent numbers are null, unscored labels are absent.

        A field that cannot be compared is absent, so that an expression errs exactly where it needs it.
        """
        values = _cel_values(self)
        return expressions.context({name: values[name] for name in values.keys() - self.unreadable.keys()})

    @cached_property
    def partial_context(self) -> Any:
        """As `expression_context`, with what is comparable of every field."""
        return expressions.context(_cel_values(self))

    @cached_property
    def unreadable(self) -> Mapping[str, str]:
        """Fields that expressions cannot read, with the reason. Categories are text there, whatever they mean."""
        found = {name: problem for name, problem in self.problems.items() if name not in {"cat", "domain"}}
        if self.event.context.domain and len(self.normal.own_domain) != 1:
            several = f"'{one_line(self.event.context.domain, 80)}' names several domains"
            found["domain"] = several if self.normal.own_domain else self.problems.get("domain", several)
        return found


def _cel_values(facts: Facts) -> dict[str, Any]:
    event, context, image = facts.event, facts.normal, facts.event.image
    return {
        **{name: getattr(context, name) for name in IDS},
        "page_url": context.page.url if context.page else "",
        "domain": context.own_domain[0] if context.own_domain else "",
        "surface": event.surface.value,
        "scores": facts.scores,
        "uncertainty": event.uncertainty,
        "country": context.country or "",
        "adomain": list(context.adomain),
        "cat": list(context.cat),
        "cattax": context.cattax,
        "declared_political": event.context.declared_political,
        "impressions": event.context.impressions,
        "width": image.width if image else None,
        "height": image.height if image else None,
        "frames": image.frames if image else None,
        "format": image.format if image else "",
        "now": facts.now,
    }
