"""Small SVG charts for reports: no script, no font, no request to anywhere."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 54
TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_CROWDED: Final = 0.85
"""From here on a name right of its line would leave the chart."""


class Series(NamedTuple):
    """A line: `points` are (x, y), both in 0..1, in order of x; `low` and `high` draw a band behind it."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()


class Mark(NamedTuple):
    """A vertical line at x, e.g. a threshold of today."""

    name: str
    x: float


def chart(title: str, x_name: str, series: Sequence[Series], marks: Sequence[Mark] = ()) -> Markup:
    """A line chart on the unit square, as an `<svg>` element."""
    body = [_axes(x_name)]
    for number, line in enumerate(series):
        body += [_band(line, number), _line(line, number), _legend(line.name, number)]
    body += [_mark(mark) for mark in marks if 0 <= mark.x <= 1]
    return _svg(title, body)


def histogram(title: str, x_name: str, bars: Sequence[tuple[str, Sequence[int]]]) -> Markup:
    """Outlines of one or more histograms over 0..1, each scaled to its own total."""
    body = [_axes(x_name)]
    tallest = max((count / (sum(counts) or 1) for _, counts in bars for count in counts), default=1) or 1
    for number, (name, counts) in enumerate(bars):
        total = (sum(counts) or 1) * tallest
        steps = [(edge / len(counts), count / total) for b, count in enumerate(counts) for edge in (b, b + 1)]
        body += [_line(Series(name, steps), number), _legend(f"{name} ({sum(counts):,})", number)]
    return _svg(title, body)


def stacked(title: str, parts: Sequence[tuple[str, int]]) -> Markup:
    """One horizontal bar cut in proportion; the class of each part is its name."""
    total, at, body = sum(count for _, count in parts) or 1, 0.0, []
    for name, count in parts:
        wide = count / total * 100
        body.append(
            Markup('<rect class="part {}" x="{:.3f}" y="0" width="{:.3f}" height="10"><title>{}: {:,}</title></rect>')
            .format(name, at, wide, name, count)
        )  # fmt: skip
        at += wide
    head = Markup('<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{}">')
    return head.format(title) + Markup("").join(body) + Markup("</svg>")


def _svg(title: str, body: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>')
    return head.format(WIDTH, HEIGHT, title, title) + Markup("").join(body) + Markup("</svg>")


def _x(value: float) -> float:
    return LEFT + value * (WIDTH - LEFT - RIGHT)


def _y(value: float) -> float:
    return HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM)


def _axes(x_name: str) -> Markup:
    parts = [Markup('<path class="axis" d="M{0:.1f} {1:.1f}V{2:.1f}H{3:.1f}"/>').format(_x(0), _y(1), _y(0), _x(1))]
    for tick in TICKS:
        parts.append(Markup('<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>').format(_x(0), _y(tick), _x(1)))
        parts.append(_text(_x(tick), _y(0) + 14, f"{tick:g}", "middle"))
        parts.append(_text(LEFT - 6, _y(tick) + 4, f"{tick:g}", "end"))
    parts.append(_text(_x(0.5), HEIGHT - 24, x_name, "middle"))
    return Markup("").join(parts)


def _text(x: float, y: float, text: str, anchor: str = "start", klass: str = "") -> Markup:
    template = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
    return template.format(x, y, anchor, klass, text)


def _line(series: Series, number: int) -> Markup:
    path = "L".join(f"{_x(x):.1f} {_y(y):.1f}" for x, y in series.points)
    return Markup('<path class="line s{}" d="M{}"/>').format(number, path) if path else Markup("")


def _band(series: Series, number: int) -> Markup:
    up = [f"{_x(x):.1f} {_y(high):.1f}" for x, _, high in series.band]
    down = [f"{_x(x):.1f} {_y(low):.1f}" for x, low, _ in reversed(series.band)]
    return Markup('<path class="band s{}" d="M{}Z"/>').format(number, "L".join(up + down)) if up else Markup("")


def _legend(name: str, number: int) -> Markup:
    x, y = LEFT + 135 * number, HEIGHT - 6
    stroke = Markup('<path class="line s{}" d="M{} {}h14"/>').format(number, x, y - 4)
    return stroke + _text(x + 18, y, name)


def _mark(mark: Mark) -> Markup:
    line = Markup('<path class="mark" d="M{:.1f} {:.1f}V{:.1f}"/>').format(_x(mark.x), _y(0), _y(1))
    side, anchor = (3, "start") if mark.x < _CROWDED else (-3, "end")
    return line + _text(_x(mark.x) + side, _y(0) - 4, f"{mark.name} {mark.x:g}", anchor, "mark")
