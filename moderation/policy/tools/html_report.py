"""Reports as single HTML files: everything inline, no script, readable from a mail attachment.

What came from events is escaped by the templates. A Content-Security-Policy allows the page's own style by its hash
and embedded pictures, and nothing from elsewhere.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from moderation.policy.tools import diff_words
from moderation.policy.tools.backtest import EXAMPLES, Backtest
from moderation.policy.tools.diff import NONE, VERDICTS, Difference
from moderation.policy.tools.outcomes import TRUTHS
from moderation.policy.tools.proportions import Share
from moderation.policy.tools.showcase import Picture, Pictures
from moderation.policy.tools.svg_charts import Mark, Series, chart, histogram, stacked

_NO_PICTURES: Final[Pictures] = MappingProxyType({})
_MOST_CAMPAIGNS: Final = 100


def diff_html(
    found: Difference, before: str, after: str, scores: str, at: datetime, pictures: Pictures = _NO_PICTURES
) -> str:
    """The report of `policy diff`. `before`, `after`, `scores` name what was compared."""
    compared: dict[str, Any] = {"before": before, "after": after, "scores": scores, "at": at}
    clients = {client: (diff_words.changes(found, client), _bars(found, client)) for client in found.clients}
    return _render(
        "diff.html.j2",
        pictures,
        **compared,
        found=found,
        clients=clients,
        changes=diff_words.changes(found),
        bars=_bars(found),
        headline=diff_words.headline(found),
        per_day=diff_words.per_day(found),
        weighs="impressions" if diff_words.counts_impressions(found) else "events",
        campaigns=found.campaigns.ranked(_MOST_CAMPAIGNS),
        rows=[verdict for verdict in VERDICTS if verdict != NONE or _occurs(found, NONE)],
    )


def backtest_html(result: Backtest, scores: str, labels: str, at: datetime, pictures: Pictures = _NO_PICTURES) -> str:
    """The report of `policy backtest`."""
    plots = {label: _label_plots(result, label) for label in result.known_labels}
    wrong = {kind: found.ranked(EXAMPLES) for kind, found in result.wrong.items()}
    return _render(
        "backtest.html.j2",
        pictures,
        result=result,
        scores=scores,
        labels=labels,
        at=at,
        plots=plots,
        wrong=wrong,
        truths=TRUTHS,
    )


def _render(template: str, pictures: Pictures, **values: object) -> str:
    environment = _environment()
    style = environment.get_template("report.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page: Mapping[str, object] = {
        "style": Markup(style),  # noqa: S704 - our own file, and it holds nothing of the recording
        "style_hash": f"sha256-{digest}",
        "picture_of": lambda shown: pictures.get(shown.event_id, Picture()),
        "has_pictures": any(picture.uri for picture in pictures.values()),
    }
    return environment.get_template(template).render(**page, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("moderation.policy.tools"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, interval=interval, part=part, signed=signed, count=lambda n: f"{n:,}")
    return environment


def percent(share: Share) -> str:
    """`12.3%`, or a dash where there is nothing to divide by."""
    return part(share.value)


def part(value: float | None) -> str:
    """A share as `12.3%`, or a dash where it is unknown."""
    return "–" if value is None else f"{value:.1%}"


def signed(number: float, digits: int = 0) -> str:
    """`+1,200`, `−30`, or `0` with its sign left out."""
    text = f"{abs(number):,.{digits}f}"
    if not float(text.replace(",", "")):
        return text
    return ("+" if number > 0 else "−") + text


def interval(share: Share) -> str:
    """The 95% interval as `10.1–14.8%`."""
    return f"{share.low * 100:.1f}–{share.high * 100:.1f}%" if share.whole else "–"


def _occurs(found: Difference, verdict: str) -> bool:
    return any(verdict in verdicts for _, *verdicts in found.verdicts)


def _bars(found: Difference, client: str | None = None) -> tuple[Markup, Markup]:
    """The verdicts before and after, as one bar each."""
    by_impressions = diff_words.counts_impressions(found)
    sides = []
    for side, title in enumerate(("before", "after")):
        weights = found.side(side, client)
        parts = [(name, w.impressions if by_impressions else w.events) for name, w in weights.items() if name != NONE]
        sides.append(stacked(f"{client or 'everything'} {title}", parts))
    return sides[0], sides[1]


def _label_plots(result: Backtest, label: str) -> tuple[Markup, Markup]:
    curve = result.labels[label].curve([step / 50 for step in range(51)])
    series = [
        Series(
            name,
            [(p.threshold, s.value) for p in curve if (s := getattr(p, field)).value is not None],
            [(p.threshold, s.low, s.high) for p in curve if (s := getattr(p, field)).value is not None],
        )
        for name, field in (("precision", "precision"), ("recall", "recall"), ("safe images hit", "safe_hit"))
    ]
    marks = [Mark(name, cut) for name, cut in result.cuts.get(label, {}).items()]
    counts = result.labels[label]
    bars = [
        (name, [int(chunk.sum()) for chunk in np.array_split(counts_of, 40)])
        for name, counts_of in (("with the label", counts.with_label), ("without", counts.without))
    ]
    return chart(f"{label} by threshold", "threshold", series, marks), histogram(f"{label} scores", "score", bars)
