"""Pictures for reports, as data URIs."""

import base64
import io
from typing import Final, NamedTuple

from PIL import Image, UnidentifiedImageError

LONGEST_PX: Final = 512
"""Serves two views: shown small, and enlarged on a click."""
_MOST_PIXELS: Final = 25_000_000
_FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
_PAPER_PX: Final = 8


class Thumbnail(NamedTuple):
    """A data URI, the size it has, and what it was made from."""

    uri: str
    width: int
    height: int
    original: str


def thumbnail(data: bytes, longest_px: int = LONGEST_PX) -> Thumbnail | None:
    """A JPEG of at most so many pixels on its longest side, from the first frame; None where that cannot be made."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                return None
            return _shrunk(image, longest_px)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return None


def _shrunk(image: Image.Image, longest_px: int) -> Thumbnail:
    frames = getattr(image, "n_frames", 1)
    original = f"{image.format} {image.width} × {image.height}" + (f", {frames} frames" if frames > 1 else "")
    image.draft("RGB", (2 * longest_px, 2 * longest_px))
    small = image.convert("RGBA" if image.has_transparency_data else "RGB")
    small.thumbnail((longest_px, longest_px))
    if small.mode == "RGBA":
        small = _on_chequers(small)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=75, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Thumbnail(uri, small.width, small.height, original)


def _on_chequers(image: Image.Image) -> Image.Image:
    """Dark and light ink must both show: transparency lies on grey chequers."""
    tile = Image.new("L", (2, 2), 205)
    tile.putpixel((0, 0), 150)
    tile.putpixel((1, 1), 150)
    tile = tile.resize((2 * _PAPER_PX, 2 * _PAPER_PX), Image.Resampling.NEAREST)
    paper = Image.new("RGB", image.size)
    for left in range(0, image.width, tile.width):
        for top in range(0, image.height, tile.height):
            paper.paste(tile.convert("RGB"), (left, top))
    paper.paste(image, mask=image.getchannel("A"))
    return paper
