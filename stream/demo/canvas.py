"""Drawing on `[H,W,3] uint8` RGB arrays: gradients, shapes in a box, and text fitted to a box.

Text uses the scalable fonts built into OpenCV 5 (Rubik and WenQuanYi), so that any machine draws the same
Latin, Cyrillic and Chinese letters without installed fonts.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

REGULAR: Final = 400
BOLD: Final = 800
_LINE_HEIGHT: Final = 1.2
_ASCENT: Final = 0.95
_SMALLEST_TEXT_PX: Final = 8
_MEASURED_PX: Final = 100


class Box(NamedTuple):
    """A rectangle in pixels, `right` and `bottom` outside it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def part(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """The part of the box between these fractions of its width and height."""
        return Box(
            round(self.left + left * self.width),
            round(self.top + top * self.height),
            round(self.left + right * self.width),
            round(self.top + bottom * self.height),
        )

    def square(self) -> "Box":
        """The largest centred square inside the box."""
        side = min(self.width, self.height)
        left = self.left + (self.width - side) // 2
        top = self.top + (self.height - side) // 2
        return Box(left, top, left + side, top + side)


def whole(pixels: Pixels) -> Box:
    return Box(0, 0, pixels.shape[1], pixels.shape[0])


def gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Pixels:
    """A canvas of `size` (width, height) that fades from `top` to `bottom`."""
    width, height = size
    fade = np.linspace(0, 1, height)[:, None, None]
    rows = np.asarray(top) * (1 - fade) + np.asarray(bottom) * fade
    return np.repeat(rows.astype(np.uint8), width, axis=1)


def grain(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """The same canvas with the grain of a print, standard deviation `strength` of 255."""
    noise = rng.normal(0, strength, pixels.shape[:2])[:, :, None]
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def fill(pixels: Pixels, box: Box, colour: Colour) -> None:
    pixels[max(box.top, 0) : box.bottom, max(box.left, 0) : box.right] = colour


def polygon(pixels: Pixels, box: Box, points: Points, colour: Colour) -> None:
    """Fill a polygon whose points are fractions of `box`."""
    shift = 4  # OpenCV takes fixed-point coordinates: 4 bits of sub-pixels keep small motifs smooth
    corner, extent = np.array([box.left, box.top]), np.array([box.width, box.height])
    fixed = np.round((corner + np.asarray(points) * extent) * (1 << shift)).astype(np.int32)
    cv2.fillPoly(pixels, [fixed], colour, cv2.LINE_AA, shift)


def paste(pixels: Pixels, picture: Pixels, box: Box) -> None:
    """Put a picture into a box, cropped around its centre to the box's shape."""
    scale = max(box.width / picture.shape[1], box.height / picture.shape[0])
    size = (max(round(picture.shape[1] * scale), box.width), max(round(picture.shape[0] * scale), box.height))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    left, top = (size[0] - box.width) // 2, (size[1] - box.height) // 2
    pixels[box.top : box.bottom, box.left : box.right] = scaled[top : top + box.height, left : left + box.width]


@cache
def _face() -> cv2.FontFace:
    return cv2.FontFace("sans")


@cache
def _measured_width(text: str, weight: int) -> int:
    return int(cv2.getTextSize((10_000, 1_000), text, (0, 0), _face(), _MEASURED_PX, weight)[2])


def text_width(text: str, size: int, weight: int = REGULAR) -> int:
    """Width of one line in pixels: outlines scale, so a text is measured once for all sizes."""
    return round(_measured_width(text, weight) * size / _MEASURED_PX) + 1


def wrap(text: str, width: int, size: int, weight: int = REGULAR) -> list[str]:
    """Break text into lines no wider than `width` where its words allow it."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fits(lines: list[str], box: Box, size: int, weight: int) -> bool:
    return len(lines) * size * _LINE_HEIGHT <= box.height and all(
        text_width(line, size, weight) <= box.width for line in lines
    )


def fitted(text: str, box: Box, weight: int, largest: int) -> tuple[int, list[str]]:
    """The largest text size, and its lines, with which `text` fits the box."""
    for size in range(min(largest, box.height), _SMALLEST_TEXT_PX, -1):
        lines = wrap(text, box.width, size, weight)
        if _fits(lines, box, size, weight):
            return size, lines
    return _SMALLEST_TEXT_PX, wrap(text, box.width, _SMALLEST_TEXT_PX, weight)


def write(  # noqa: PLR0913 - a text is its place and its look
    pixels: Pixels,
    text: str,
    box: Box,
    colour: Colour,
    *,
    weight: int = BOLD,
    largest: int = 200,
    centred: bool = False,
) -> None:
    """Write text as large as the box allows, centred from top to bottom."""
    size, lines = fitted(text, box, weight, largest)
    top = box.top + (box.height - len(lines) * size * _LINE_HEIGHT) / 2
    for row, line in enumerate(lines):
        slack = box.width - text_width(line, size, weight) if centred else 0
        origin = (box.left + max(slack, 0) // 2, round(top + (row * _LINE_HEIGHT + _ASCENT) * size))
        cv2.putText(pixels, line, origin, colour, _face(), size, weight)


def write_column(pixels: Pixels, text: str, box: Box, colour: Colour, size: int) -> None:
    """Run text down a column, line by line, until the column is full."""
    lines = wrap(text, box.width, size)
    for row in range(int(box.height // (size * 1.45))):
        origin = (box.left, round(box.top + size + row * size * 1.45))
        cv2.putText(pixels, lines[row % len(lines)], origin, colour, _face(), size, REGULAR)
