"""Frames → `[S,S,3]` squares.

The whole frame is squashed, nothing is cropped. A frame longer than 2.5:1 also gives overlapping tiles
along its long side, because squashing a 728x90 leaderboard eight times harder one way than the other
leaves little of its text and faces.
"""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

EXTREME_ASPECT: Final = 2.5
MAX_TILES: Final = 4
_OVERLAP: Final = 0.25
_OPAQUE: Final = 253
_SIGNATURE_SIDE: Final = 32


def squash(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """`[h,w,C]` → `[S,S,C]`: area average where a side shrinks, linear where it grows."""
    height, width = pixels.shape[:2]
    smaller = (min(width, size), min(height, size))
    shrunk = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (size, size):
        shrunk = cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(shrunk, dtype=np.uint8)


def on_backgrounds(square: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """`[S,S,3]` as it is; premultiplied `[S,S,4]` → on white, and on black where that differs."""
    if square.shape[2] == 3:  # noqa: PLR2004 (colour channels)
        return [square]
    black, alpha = square[..., :3], square[..., 3:]
    white = cv2.add(np.ascontiguousarray(black), np.repeat(255 - alpha, 3, axis=2))
    differs = int(alpha.min()) < _OPAQUE
    return [np.asarray(white, np.uint8), np.ascontiguousarray(black)][: 1 + differs]


def tiles(pixels: NDArray[np.uint8], size: int) -> list[NDArray[np.uint8]]:
    """Overlapping crops along the long side, at most 4; none for a common shape or a small image."""
    height, width = pixels.shape[:2]
    longer, shorter = max(height, width), min(height, width)
    if longer <= EXTREME_ASPECT * shorter or longer <= size:
        return []
    count = min(MAX_TILES, math.ceil(longer / shorter / EXTREME_ASPECT))
    length = round(longer / (count - _OVERLAP * (count - 1)))
    starts = [round(i * (longer - length) / (count - 1)) for i in range(count)]
    if width >= height:
        return [pixels[:, s : s + length] for s in starts]
    return [pixels[s : s + length] for s in starts]


def signature(square: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A small version to compare views by, `[32*32*3] float32`, levels 0..255."""
    small = cv2.resize(square, (_SIGNATURE_SIDE, _SIGNATURE_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32).ravel()
