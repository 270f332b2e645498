"""Simple pictures as data: each a list of (tone, polygon), in fractions of the box they are drawn in."""

from itertools import pairwise
from math import cos, pi, sin
from typing import Final, Literal, NamedTuple

from stream.demo.canvas import Box, Colour, Pixels, Points, polygon

Tone = Literal["dark", "main", "light", "accent"]
Shape = tuple[Tone, Points]


class Palette(NamedTuple):
    dark: Colour
    main: Colour
    light: Colour
    accent: Colour


def _disc(x: float, y: float, radius: float, corners: int = 40) -> Points:
    return [(x + radius * cos(2 * pi * k / corners), y + radius * sin(2 * pi * k / corners)) for k in range(corners)]


def _burst(x: float, y: float, outer: float, inner: float, spikes: int) -> Points:
    radii = [outer, inner] * spikes
    return [(x + r * cos(pi * k / spikes - pi / 2), y + r * sin(pi * k / spikes - pi / 2)) for k, r in enumerate(radii)]


def _bar(left: float, top: float, right: float, bottom: float) -> Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _stroke(x1: float, y1: float, x2: float, y2: float, width: float) -> Points:
    """A straight thick line."""
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    dx, dy = -(y2 - y1) / length * width / 2, (x2 - x1) / length * width / 2
    return [(x1 + dx, y1 + dy), (x2 + dx, y2 + dy), (x2 - dx, y2 - dy), (x1 - dx, y1 - dy)]


def _flame(x: float, base: float, height: float, width: float) -> Points:
    left = [(-0.5, 0.0), (-0.48, 0.3), (-0.2, 0.55), (-0.28, 0.75), (0.05, 1.0)]
    right = [(0.1, 0.7), (0.28, 0.6), (0.3, 0.42), (0.5, 0.25), (0.42, 0.0)]
    return [(x + dx * width, base - dy * height) for dx, dy in left + right]


def _person(x: float, head: float, size: float) -> list[Shape]:
    body = [
        (x - 1.6 * size, 1.0), (x - 1.3 * size, head + 2.0 * size), (x, head + 1.2 * size),
        (x + 1.3 * size, head + 2.0 * size), (x + 1.6 * size, 1.0),
    ]  # fmt: skip
    return [("dark", _disc(x, head, size)), ("dark", body)]


def _placard(x: float, y: float, width: float, tilt: float) -> list[Shape]:
    corners = _bar(-width / 2, -width / 3, width / 2, width / 3)
    turned = [(x + cos(tilt) * a - sin(tilt) * b, y + sin(tilt) * a + cos(tilt) * b) for a, b in corners]
    return [("dark", _stroke(x, y, x - 0.5 * tilt, y + 0.45, 0.018)), ("light", turned)]


def _crowd() -> list[Shape]:
    back = [s for k in range(7) for s in _person(0.04 + 0.155 * k, 0.66 + 0.02 * (k % 3), 0.05)]
    signs = [s for k, tilt in enumerate((-0.15, 0.08, -0.05, 0.14)) for s in _placard(0.14 + 0.24 * k, 0.3, 0.2, tilt)]
    front = [s for k in range(6) for s in _person(0.1 + 0.16 * k, 0.8 + 0.015 * (k % 2), 0.06)]
    return signs + back + front


def _hills() -> list[Shape]:
    ridge = [(0.0, 0.75), (0.22, 0.35), (0.4, 0.62), (0.62, 0.2), (1.0, 0.78)]
    snow: list[Shape] = [("light", [(0.62, 0.2), (0.545, 0.35), (0.62, 0.31), (0.69, 0.34)])]
    return [
        ("accent", _disc(0.2, 0.22, 0.12)),
        ("main", [*ridge, (1.0, 1.0), (0.0, 1.0)]),
        *snow,
        ("dark", [(0.0, 0.85), (0.35, 0.7), (0.7, 0.82), (1.0, 0.72), (1.0, 1.0), (0.0, 1.0)]),
    ]


def _city() -> list[Shape]:
    edges = [0.0, 0.12, 0.2, 0.34, 0.46, 0.58, 0.7, 0.82, 1.0]
    heights = [0.55, 0.35, 0.6, 0.25, 0.5, 0.4, 0.62, 0.45]
    towers: list[Shape] = [("dark", _bar(a, top, b, 1)) for (a, b), top in zip(pairwise(edges), heights, strict=True)]
    windows: list[Shape] = [
        ("accent", _bar(edges[k] + 0.03, y, edges[k] + 0.05, y + 0.03))
        for k in range(8)
        for y in (heights[k] + 0.08, heights[k] + 0.2)
    ]
    return towers + windows


MOTIFS: Final[dict[str, list[Shape]]] = {
    "cup": [
        ("dark", _disc(0.74, 0.52, 0.15)), ("light", _disc(0.74, 0.52, 0.08)),
        ("light", [(0.2, 0.32), (0.75, 0.32), (0.68, 0.78), (0.27, 0.78)]),
        ("main", [(0.25, 0.36), (0.7, 0.36), (0.69, 0.45), (0.26, 0.45)]),
        ("dark", _bar(0.12, 0.82, 0.84, 0.87)),
    ],
    "car": [
        ("main", [(0.05, 0.62), (0.2, 0.58), (0.34, 0.38), (0.66, 0.38), (0.82, 0.56), (0.96, 0.6), (0.96,
            0.74), (0.05, 0.74)]),
        ("light", [(0.28, 0.56), (0.38, 0.42), (0.5, 0.42), (0.5, 0.56)]),
        ("light", [(0.53, 0.42), (0.64, 0.42), (0.75, 0.56), (0.53, 0.56)]),
        ("dark", _disc(0.25, 0.74, 0.1)), ("light", _disc(0.25, 0.74, 0.045)),
        ("dark", _disc(0.76, 0.74, 0.1)), ("light", _disc(0.76, 0.74, 0.045)),
    ],
    "hills": _hills(),
    "city": _city(),
    "bottle": [
        ("main", [(0.38, 0.4), (0.45, 0.3), (0.45, 0.12), (0.55, 0.12), (0.55, 0.3), (0.62, 0.4), (0.62,
            0.9), (0.38, 0.9)]),
        ("light", _bar(0.4, 0.5, 0.6, 0.74)), ("accent", _bar(0.44, 0.07, 0.56, 0.13)), ("accent",
            _disc(0.5, 0.62, 0.07)),
    ],
    "phone": [
        ("dark", _bar(0.3, 0.08, 0.7, 0.92)), ("light", _bar(0.33, 0.15, 0.67, 0.83)),
        ("main", _bar(0.37, 0.22, 0.63, 0.4)), ("accent", _bar(0.37, 0.46, 0.55, 0.51)), ("main", _bar(0.37,
            0.56, 0.63, 0.6)),
    ],
    "shoe": [
        ("main", [(0.1, 0.35), (0.3, 0.4), (0.45, 0.52), (0.7, 0.58), (0.92, 0.64), (0.94, 0.74), (0.08,
            0.74)]),
        ("light", _bar(0.07, 0.74, 0.95, 0.82)), ("accent", [(0.32, 0.66), (0.62, 0.58), (0.66, 0.62),
            (0.36, 0.72)]),
    ],
    "note": [
        ("dark", _disc(0.3, 0.75, 0.12)), ("dark", _disc(0.7, 0.68, 0.12)),
        ("dark", _bar(0.37, 0.2, 0.42, 0.75)), ("dark", _bar(0.77, 0.13, 0.82, 0.68)),
        ("accent", [(0.37, 0.2), (0.82, 0.13), (0.82, 0.25), (0.37, 0.32)]),
    ],
    "swords": [
        ("light", _stroke(0.15, 0.12, 0.8, 0.8, 0.05)), ("light", _stroke(0.85, 0.12, 0.2, 0.8, 0.05)),
        ("accent", _stroke(0.64, 0.78, 0.8, 0.64, 0.05)), ("accent", _stroke(0.36, 0.78, 0.2, 0.64, 0.05)),
        ("dark", _stroke(0.74, 0.74, 0.9, 0.9, 0.06)), ("dark", _stroke(0.26, 0.74, 0.1, 0.9, 0.06)),
    ],
    "explosion": [
        ("main", _burst(0.5, 0.5, 0.48, 0.26, 11)), ("accent", _burst(0.5, 0.5, 0.36, 0.19, 11)),
        ("light", _burst(0.5, 0.5, 0.2, 0.1, 9)),
    ],
    "pistol": [
        ("dark", [(0.08, 0.28), (0.92, 0.28), (0.92, 0.44), (0.6, 0.44), (0.42, 0.48), (0.36, 0.86), (0.14,
            0.86), (0.2, 0.46), (0.08, 0.44)]),
        ("dark", _stroke(0.42, 0.6, 0.6, 0.6, 0.035)), ("dark", _stroke(0.6, 0.62, 0.61, 0.42, 0.035)),
        ("main", _bar(0.12, 0.33, 0.88, 0.36)), ("main", _stroke(0.5, 0.46, 0.48, 0.56, 0.03)),
    ],
    "fire": [
        *_city(),
        ("main", _flame(0.25, 1.0, 0.75, 0.45)), ("main", _flame(0.7, 1.0, 0.9, 0.55)),
        ("accent", _flame(0.25, 1.0, 0.5, 0.28)), ("accent", _flame(0.7, 1.0, 0.6, 0.34)),
        ("light", _flame(0.7, 1.0, 0.3, 0.16)),
    ],
    "crowd": _crowd(),
    "ballot": [
        ("light", [(0.36, 0.06), (0.64, 0.06), (0.64, 0.46), (0.36, 0.46)]),
        ("accent", _stroke(0.42, 0.22, 0.48, 0.3, 0.04)), ("accent", _stroke(0.47, 0.3, 0.58, 0.13, 0.04)),
        ("main", _bar(0.14, 0.42, 0.86, 0.9)), ("dark", _bar(0.28, 0.44, 0.72, 0.48)),
    ],
    "megaphone": [
        ("main", [(0.3, 0.42), (0.82, 0.16), (0.82, 0.76), (0.3, 0.58)]), ("dark", _bar(0.16, 0.42, 0.32,
            0.58)),
        ("dark", [(0.3, 0.58), (0.42, 0.61), (0.46, 0.84), (0.36, 0.84)]), ("accent", _bar(0.82, 0.14, 0.87,
            0.78)),
    ],
    "star": [("accent", _burst(0.5, 0.52, 0.42, 0.17, 5))],
    "figure": [
        ("accent", _disc(0.5, 0.2, 0.1)),
        ("accent", [(0.36, 0.34), (0.64, 0.34), (0.6, 0.55), (0.64, 0.72), (0.58, 0.98), (0.42, 0.98),
            (0.36, 0.72), (0.4, 0.55)]),
        ("main", [(0.37, 0.42), (0.63, 0.42), (0.61, 0.5), (0.39, 0.5)]), ("main", [(0.37, 0.66), (0.63,
            0.66), (0.5, 0.78)]),
        ("accent", _stroke(0.36, 0.37, 0.22, 0.6, 0.06)), ("accent", _stroke(0.64, 0.37, 0.78, 0.6, 0.06)),
    ],
}  # fmt: skip


def draw(pixels: Pixels, name: str, box: Box, palette: Palette) -> None:
    """Draw a motif into a box in the four tones of a palette."""
    for tone, points in MOTIFS[name]:
        polygon(pixels, box, points, getattr(palette, tone))
