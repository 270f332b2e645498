"""A huge canvas, such as the capture of a whole page, made small before its colours are worked on.

The factor is a whole number, so a box average here and an area average later are one area average.
"""

from typing import Final

from PIL import Image

FULL_PIXELS: Final = 25_000_000
"""Up to here every pixel is worked on in full."""
_STRIP_PIXELS: Final = 4_000_000


def reduced(image: Image.Image, target: int) -> Image.Image:
    """The image, or a smaller one of at most `FULL_PIXELS`; a side keeps twice the `target`."""
    across, down = factors(image.width, image.height, target)
    if across * down == 1:
        return image
    width, height = -(-image.width // across), -(-image.height // down)
    rows = max(1, _STRIP_PIXELS // image.width) * down
    small: Image.Image | None = None
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        part = _reducible(strip).reduce((across, down))
        small = small or Image.new(part.mode, (width, height))
        small.paste(part, (0, top // down))
    return small or image


def factors(width: int, height: int, target: int) -> tuple[int, int]:
    """By what to divide width and height."""
    factor, across, down = 1, 1, 1
    while (-(-width // across)) * (-(-height // down)) > FULL_PIXELS:
        factor += 1
        across = max(1, min(factor, width // (2 * target)))
        down = max(1, min(factor, height // (2 * target)))
    return across, down


def _reducible(strip: Image.Image) -> Image.Image:
    """In a mode whose samples may be averaged."""
    if strip.has_transparency_data:
        return strip.convert("RGBA")
    if strip.mode in ("P", "1"):
        return strip.convert("RGB" if strip.mode == "P" else "L")
    return strip
