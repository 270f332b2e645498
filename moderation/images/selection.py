"""Which views of an animation are scored: first, last, longest shown, and the most different."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.images.pillow import Frame
from moderation.images.squash import on_backgrounds, signature, squash, tiles

Square = NDArray[np.uint8]
_SAME_RMS: Final = 2.0
_POOL_FACTOR: Final = 4


def views_of(frame: Frame, size: int) -> tuple[list[Square], list[Square]]:
    """The whole frame on each background, and its tiles on each background, all `[S,S,3]`."""
    whole = on_backgrounds(squash(frame.pixels, size))
    parts = [view for tile in tiles(frame.pixels, size) for view in on_backgrounds(squash(tile, size))]
    return whole, parts


def select(frames: Iterable[Frame], size: int, limit: int) -> list[Square]:
    """At most `limit` views; the first is the whole first frame.

    First, last and longest-shown frame are always in; the rest is filled by farthest-point choice
    (Gonzalez 1985) over every other view, down to invisible differences. Memory stays bounded: at most
    `4*limit` candidates are held.
    """
    first: list[Square] = []
    last: list[Square] = []
    longest: list[Square] = []
    longest_ms = -1.0
    pool: list[Square] = []
    for frame in frames:
        last, parts = views_of(frame, size)
        first = first or last
        if frame.duration_ms > longest_ms:
            longest, longest_ms = last, frame.duration_ms
        pool += [*last, *parts]
        if len(pool) > _POOL_FACTOR * limit:
            pool = _most_different([], pool, limit)
    return _most_different(_unlike(first + last + longest), pool, limit)


def _unlike(views: list[Square]) -> list[Square]:
    """Without exact repeats, in order: of two frames, the first may well be the longest shown."""
    return list({view.tobytes(): view for view in views}.values())


def _most_different(chosen: list[Square], pool: list[Square], limit: int) -> list[Square]:
    """`chosen`, then views of the pool, each the farthest from all before it."""
    signatures = np.stack([signature(view) for view in pool])
    picked = chosen[:limit] or pool[:1]
    distance = np.full(len(pool), np.inf)
    for view in picked:
        distance = np.minimum(distance, _rms(signatures, signature(view)))
    while len(picked) < limit and distance.max() > _SAME_RMS:
        farthest = int(distance.argmax())
        picked = [*picked, pool[farthest]]
        distance = np.minimum(distance, _rms(signatures, signatures[farthest]))
    return picked


def _rms(signatures: NDArray[np.float32], one: NDArray[np.float32]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.square(signatures - one).mean(axis=1, dtype=np.float64)
    return np.sqrt(squares)
