"""Lines as text recognition gives them: confused, dropped and doubled characters, lost spaces and accents, capitals.

Pure functions of a line and a generator, so a seed repeats a training set.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

import numpy as np

Change = Callable[[str, float, np.random.Generator], str]

_LOOKALIKES: Final = (
    "l1I|",
    "O0oQ",
    "S5s",
    "B8",
    "Z2z",
    "ce",
    "uv",
    "nr",
    "ft",
    "gq9",
    "hb",
    "日曰目",
    "末未",
    "土士",
    "人入",
)
_CONFUSED: Final = {one: group.replace(one, "") for group in _LOOKALIKES for one in group}


def misread(line: str, strength: float, rng: np.random.Generator) -> str:
    """`line` with about `strength` of its characters wrong, and often other capitals; never empty."""
    out = line
    for chance, change in CHANGES:
        if rng.random() < chance:
            out = change(out, strength, rng)
    return out if out.strip() else line


def confuse(line: str, strength: float, rng: np.random.Generator) -> str:
    """Characters become ones that look alike."""
    hit = rng.random(len(line)) < 2 * strength
    return "".join(_lookalike(one, rng) if wrong else one for one, wrong in zip(line, hit, strict=True))


def _lookalike(one: str, rng: np.random.Generator) -> str:
    others = _CONFUSED.get(one, "")
    return others[int(rng.integers(len(others)))] if others else one


def drop(line: str, strength: float, rng: np.random.Generator) -> str:
    """Characters are lost."""
    kept = rng.random(len(line)) >= strength / 2
    return "".join(one for one, stays in zip(line, kept, strict=True) if stays)


def join(line: str, _: float, rng: np.random.Generator) -> str:
    """Spaces are lost: recognisers of Chinese and Latin text do that."""
    parts = line.split(" ")
    kept = rng.random(len(parts)) < rng.uniform(0.0, 0.7)
    gaps = ["" if index == 0 else " " if kept[index] else "" for index in range(len(parts))]
    return "".join(gap + part for gap, part in zip(gaps, parts, strict=True))


def split(line: str, strength: float, rng: np.random.Generator) -> str:
    """Spaces appear inside of words."""
    hit = rng.random(len(line)) < strength
    return "".join(f"{one} " if wrong else one for one, wrong in zip(line, hit, strict=True))


def unaccent(line: str, _: float, __: np.random.Generator) -> str:
    """Latin letters lose their accents; other scripts keep their marks."""
    return "".join(_plain(one) for one in line)


def _plain(one: str) -> str:
    first = unicodedata.normalize("NFD", one)[0]
    return first if first.isascii() else one


def capitals(line: str, _: float, __: np.random.Generator) -> str:
    """As posters set it."""
    return line.upper()


def cut(line: str, _: float, rng: np.random.Generator) -> str:
    """The beginning or the end lies outside of the box."""
    length = max(int(len(line) * rng.uniform(0.6, 0.95)), 1)
    return line[:length] if rng.random() < 0.5 else line[-length:]  # noqa: PLR2004 - either end


CHANGES: Final[tuple[tuple[float, Change], ...]] = (
    (0.25, cut),
    (0.3, capitals),
    (0.25, unaccent),
    (0.6, confuse),
    (0.4, drop),
    (0.4, join),
    (0.2, split),
)
"""Chance of each change, in the order they are made."""
