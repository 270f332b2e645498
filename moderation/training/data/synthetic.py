"""Creatives and pages drawn by code, so that words alone do not make an image political.

Drawn commercial banners and pages are negatives. Placards on sticks before a street or a crowd are
positives. A flat slogan without a scene is not drawn at all: only reading distinguishes it from an offer.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from moderation.training.data.augment import Image, flat_colour, happens, paste, resize
from moderation.training.data.phrases import OFFERS, PROSE, SLOGANS
from moderation.training.data.typefaces import Typesetter

SIDE: Final = 288


def background(rng: np.random.Generator) -> Image:
    """A flat colour or a gradient of two, `[SIDE,SIDE,3]`."""
    first, second = flat_colour(rng).astype(np.float32), flat_colour(rng).astype(np.float32)
    if happens(rng, 0.5):
        second = first
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None]
    ground = np.broadcast_to(first * (1 - ramp) + second * ramp, (SIDE, SIDE, 3)).astype(np.uint8)
    return np.ascontiguousarray(ground if happens(rng, 0.5) else ground.transpose(1, 0, 2))


def banner(photo: Image, typesetter: Typesetter, rng: np.random.Generator) -> Image:
    """A commercial creative: words, a button, often a product photograph."""
    out = background(rng)
    if happens(rng, 0.7):
        out = paste(photo, out, rng)
    for _ in range(int(rng.integers(1, 4))):
        top, left = rng.integers(0, SIDE - 70), rng.integers(0, SIDE // 2)
        box = out[top : top + int(rng.integers(30, 90)), left : left + int(rng.integers(100, 280))]
        typesetter.write(box, str(rng.choice(OFFERS)), flat_colour(rng), rng)
    if happens(rng, 0.6):
        _button(out, typesetter, rng)
    return out


def _button(out: Image, typesetter: Typesetter, rng: np.random.Generator) -> None:
    top, left = int(rng.integers(SIDE // 2, SIDE - 36)), int(rng.integers(0, SIDE - 110))
    cv2.rectangle(out, (left, top), (left + 100, top + 30), [int(v) for v in flat_colour(rng)], -1)
    typesetter.write(out[top + 3 : top + 27, left + 6 : left + 96], "Shop now", flat_colour(rng), rng)


def page(photos: Sequence[Image], typesetter: Typesetter, rng: np.random.Generator) -> Image:
    """A page capture: a bar, columns of text, some photographs."""
    light = happens(rng, 0.85)
    out = np.full((SIDE, SIDE, 3), 255 if light else 24, np.uint8)
    bar = int(rng.integers(12, 48))
    out[:bar] = flat_colour(rng)
    typesetter.write(out[2:bar, 8:150], str(rng.choice(OFFERS)), flat_colour(rng), rng)
    columns = int(rng.integers(1, 4))
    width = SIDE // columns
    for column in range(columns):
        _column(out[bar + 4 :, column * width : (column + 1) * width], photos, typesetter, rng)
    return out


def _column(box: Image, photos: Sequence[Image], typesetter: Typesetter, rng: np.random.Generator) -> None:
    """Fill `box`, in place, from top to bottom with photographs, headlines and text."""
    top, ink = 0, np.full(3, 30 if box.mean() > 120 else 220, np.uint8)  # noqa: PLR2004 - half of white
    while top < box.shape[0] - 24:
        height = int(rng.integers(20, 90))
        part = box[top : top + height, 5:-5]
        kind = rng.choice(3, p=(0.35, 0.2, 0.45))
        if kind == 0 and photos:
            photo = photos[int(rng.integers(len(photos)))]
            part[:] = cv2.resize(photo, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_AREA)
        elif kind == 1:
            typesetter.write(part, str(rng.choice(PROSE)), ink, rng)
        else:
            _grey_text(part, ink, rng)
        top += height + int(rng.integers(3, 14))


def _grey_text(part: Image, ink: Image, rng: np.random.Generator) -> None:
    """Text too small to read: rows of short strokes."""
    for row in range(2, part.shape[0] - 3, 6):
        end = int(part.shape[1] * rng.uniform(0.6, 1.0))
        word = 0
        while word < end:
            length = int(rng.integers(4, 22))
            part[row : row + 3, word : min(word + length, end)] = ink
            word += length + 3


def placards(scene: Image, typesetter: Typesetter, rng: np.random.Generator) -> Image:
    """Slogans on boards and sticks, or on a cloth, held up in `scene`."""
    out = resize(scene, SIDE)
    for _ in range(int(rng.integers(1, 6))):
        height, width = int(rng.integers(40, 110)), int(rng.integers(60, 150))
        _raise_board(out, _board(height, width, typesetter, rng), rng)
    return out


def _board(height: int, width: int, typesetter: Typesetter, rng: np.random.Generator) -> Image:
    board = np.ascontiguousarray(np.broadcast_to(flat_colour(rng), (height, width, 3)))
    dark = board.mean() < 120  # noqa: PLR2004 - half of white
    ink = rng.integers(170, 256, 3) if dark else rng.integers(0, 110, 3)
    typesetter.write(board[3:-3, 4:-4], str(rng.choice(SLOGANS)), ink.astype(np.uint8), rng)
    return board


def _raise_board(out: Image, board: Image, rng: np.random.Generator) -> None:
    """Put `board`, tilted and on a stick, into `out`, in place."""
    height, width = board.shape[:2]
    top, left = int(rng.integers(0, SIDE // 2)), int(rng.integers(-20, SIDE - width // 2))
    x, y = left + width // 2, top + height // 2
    if happens(rng, 0.7):
        cv2.line(out, (x, y), (x + int(rng.integers(-12, 12)), SIDE), (110, 85, 60), int(rng.integers(2, 6)))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-14, 14), 1.0)
    turn[:, 2] += (left, top)
    mask = cv2.warpAffine(np.full(board.shape[:2], 255, np.uint8), turn, (SIDE, SIDE))
    out[mask > 127] = cv2.warpAffine(board, turn, (SIDE, SIDE))[mask > 127]  # noqa: PLR2004 - inside
