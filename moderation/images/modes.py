"""Pillow's modes → one of L, RGB or CMYK with 8 bits, and alpha apart."""

import numpy as np
from PIL import Image


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A loaded image of any mode → its colours as L, RGB or CMYK, and its alpha as L; None if opaque."""
    flat = _to_eight_bits(image)
    if flat.mode not in ("RGBA", "LA"):
        return flat, None
    return flat.convert(flat.mode[:-1]), flat.getchannel("A")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_sixteen_bits(image)
    if image.has_transparency_data:
        return image if image.mode == "LA" else image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    samples = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray((np.minimum(samples, 0xFFFF) >> 8).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8)))
    return grey
