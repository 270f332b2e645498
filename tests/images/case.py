"""What one file of the comparison is, and the picture that all of them show."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 64
FEW_LEVELS: Final = 4
"""Rounding: both sides compute in 8 bits, and a curve is steep in the dark."""


@dataclass(frozen=True, slots=True)
class Case:
    """data: a file of `SIDE` x `SIDE` pixels. levels: how far a channel may be apart, of 255."""

    name: str
    mime: str
    data: bytes
    levels: int = FEW_LEVELS


def ramps() -> NDArray[np.uint8]:
    """`[64,64,3]`: red grows to the right, green downwards, blue with both."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    return np.stack([x * 255 // 63, y * 255 // 63, (x + y) * 255 // 126], -1).astype(np.uint8)


RGB: Final = ramps()
GREY: Final = np.ascontiguousarray(RGB[..., 2])
ALPHA: Final = np.ascontiguousarray(RGB[::-1, :, 0])
RGBA: Final = np.dstack([RGB, ALPHA])
RGB_IMAGE: Final = Image.fromarray(RGB)
