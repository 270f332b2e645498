"""Reports as single HTML files: everything inline, no script, readable from a mail attachment."""

from datetime import datetime
from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from moderation.policy.tools.backtest import Backtest
from moderation.policy.tools.diff import Difference
from moderation.policy.tools.proportions import Share
from moderation.policy.tools.svg_charts import Mark, Series, chart, histogram, stacked


def diff_html(found: Difference, before: str, after: str, scores: str, at: datetime) -> str:
    """The report of `policy diff`. `before`, `after`, `scores` name what was compared."""
    bars = {client: _verdict_bars(found, client) for client in found.clients}
    return _render("diff.html.j2", found=found, before=before, after=after, scores=scores, at=at, bars=bars)


def backtest_html(result: Backtest, scores: str, labels: str, at: datetime) -> str:
    """The report of `policy backtest`."""
    plots = {label: _label_plots(result, label) for label in result.known_labels}
    return _render("backtest.html.j2", result=result, scores=scores, labels=labels, at=at, plots=plots)


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("moderation.policy.tools"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, interval=interval, count=lambda n: f"{n:,}")
    return environment


def percent(share: Share) -> str:
    """`12.3%`, or a dash where there is nothing to divide by."""
    return "–" if share.value is None else f"{share.value:.1%}"


def interval(share: Share) -> str:
    """The 95% interval as `10.1–14.8%`."""
    return f"{share.low * 100:.1f}–{share.high * 100:.1f}%" if share.whole else "–"


def _verdict_bars(found: Difference, client: str) -> tuple[Markup, Markup]:
    sides = []
    for side, title in ((1, "before"), (2, "after")):
        totals: dict[str, int] = dict.fromkeys(("allow", "review", "block"), 0)
        for key, weight in found.verdicts.items():
            if key[0] == client and key[side] in totals:
                totals[key[side]] += weight.events
        sides.append(stacked(f"{client} {title}", list(totals.items())))
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
