"""Views of one photograph as advertisements and pages show it.

Every function takes and gives `[H,W,3] uint8` RGB and a generator, so a seed repeats a data set. They
break what a source gives away (shape, crop, borders, colour, compression) and keep what the label is about.
"""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from moderation.training.data.typefaces import Typesetter

Image = NDArray[np.uint8]
Change = Callable[[Image, np.random.Generator], Image]

SMALLEST_PASTE: Final = 0.35
"""Side of a pasted image as a share of its page; below this a weapon is a few pixels."""


def happens(rng: np.random.Generator, chance: float) -> bool:
    return bool(rng.random() < chance)


def resize(image: Image, size: int) -> Image:
    """Squash to `[size,size,3]` by area, as `moderation.images` does for serving."""
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def crop(image: Image, rng: np.random.Generator, smallest: float = 0.45) -> Image:
    """A random window of at least `smallest` of the area, of a random shape."""
    height, width = image.shape[:2]
    area, shape = rng.uniform(smallest, 1.0), np.exp(rng.uniform(-0.4, 0.4))
    h = int(np.clip(height * np.sqrt(area / shape), 16, height))
    w = int(np.clip(width * np.sqrt(area * shape), 16, width))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    return np.ascontiguousarray(image[top : top + h, left : left + w])


def mirror(image: Image, _: np.random.Generator) -> Image:
    return np.ascontiguousarray(image[:, ::-1])


def recolour(image: Image, rng: np.random.Generator) -> Image:
    """Brightness, contrast, saturation and white balance."""
    x = image.astype(np.float32)
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * rng.uniform(0.5, 1.5)
    x = (x - 128) * rng.uniform(0.7, 1.35) + 128 + rng.uniform(-35, 35)
    return np.asarray(np.clip(x * rng.uniform(0.9, 1.1, 3), 0, 255), dtype=np.uint8)


def monochrome(image: Image, rng: np.random.Generator) -> Image:
    """Grey, or a single ink on paper."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    ink, paper = rng.uniform(0, 60, 3), rng.uniform(200, 255, 3)
    tint = happens(rng, 0.3)
    out = ink + (paper - ink) * grey if tint else np.repeat(grey * 255, 3, axis=2)
    return out.astype(np.uint8)


def compress(image: Image, rng: np.random.Generator) -> Image:
    """A JPEG of poor quality, sometimes after a loss of resolution."""
    height, width = image.shape[:2]
    if happens(rng, 0.5):
        shrink = rng.uniform(0.3, 0.8)
        small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(small, (width, height)), dtype=np.uint8)
    quality = int(rng.integers(15, 80))
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def blur(image: Image, rng: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.0)), dtype=np.uint8)


def rotate(image: Image, rng: np.random.Generator) -> Image:
    """A few degrees, corners filled by any colour or by reflection."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-15, 15), rng.uniform(0.9, 1.15))
    mode = cv2.BORDER_REFLECT if happens(rng, 0.5) else cv2.BORDER_CONSTANT
    fill = [int(v) for v in flat_colour(rng)]
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=mode, borderValue=fill), dtype=np.uint8)


def border(image: Image, rng: np.random.Generator) -> Image:
    """A frame, or bars on two sides, of a flat colour."""
    height, width = image.shape[:2]
    top, bottom, left, right = (rng.uniform(0, 0.25, 4) * rng.choice(2, 4, p=(0.4, 0.6))).tolist()
    edges = (int(top * height), int(bottom * height), int(left * width), int(right * width))
    fill = [int(v) for v in flat_colour(rng)]
    return np.asarray(cv2.copyMakeBorder(image, *edges, cv2.BORDER_CONSTANT, value=fill), dtype=np.uint8)


def cutout(image: Image, rng: np.random.Generator) -> Image:
    """Hide one rectangle of at most a tenth of the area."""
    out = image.copy()
    height, width = out.shape[:2]
    h, w = int(height * rng.uniform(0.1, 0.32)), int(width * rng.uniform(0.1, 0.32))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    out[top : top + h, left : left + w] = flat_colour(rng)
    return out


def flat_colour(rng: np.random.Generator) -> Image:
    """White, black or anything: `[3] uint8`."""
    kind = rng.choice(3, p=(0.35, 0.15, 0.5))
    fills = (np.full(3, 255, np.uint8), np.zeros(3, np.uint8), rng.integers(0, 256, 3).astype(np.uint8))
    return fills[int(kind)]


CHANGES: Final[tuple[tuple[float, Change], ...]] = (
    (0.65, crop),
    (0.5, mirror),
    (0.15, rotate),
    (0.6, recolour),
    (0.12, monochrome),
    (0.15, cutout),
    (0.2, border),
    (0.1, blur),
    (0.4, compress),
)
"""Chance of each change, in the order they are made."""


def change(image: Image, rng: np.random.Generator) -> Image:
    """A photograph as another crop, camera, frame and file would have given it."""
    for chance, apply in CHANGES:
        if happens(rng, chance):
            image = apply(image, rng)
    return image


def paste(image: Image, ground: Image, rng: np.random.Generator) -> Image:
    """`image`, smaller, somewhere on `ground`: a picture inside a page or a collage."""
    out = ground.copy()
    height, width = out.shape[:2]
    share, shape = rng.uniform(SMALLEST_PASTE, 0.85), np.exp(rng.uniform(-0.3, 0.3))
    h, w = int(min(height * share * shape, height)), int(min(width * share / shape, width))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    out[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return out


def caption(image: Image, text: str, typesetter: Typesetter, rng: np.random.Generator) -> Image:
    """`text` across a band of the image, as a banner or a news caption sets it."""
    out = image.copy()
    height, width = out.shape[:2]
    band = int(height * rng.uniform(0.12, 0.35))
    top = int(rng.choice([0, height - band, rng.integers(height - band + 1)]))
    if happens(rng, 0.6):
        out[top : top + band] = flat_colour(rng)
    ink = flat_colour(rng)
    typesetter.write(out[top : top + band, : int(width * rng.uniform(0.6, 1.0))], text, ink, rng)
    return out
