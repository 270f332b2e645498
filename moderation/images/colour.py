"""Decoded samples → 8-bit sRGB, by the encoding that the file announces and a browser would honour."""

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms

from moderation.images import primaries
from moderation.images.encodings import CodePoints, Encoding, Gamma, Icc
from moderation.images.tone import Singles, tone

Pixels = NDArray[np.uint8]
_INVISIBLE: Final = 2
_STEPS: Final = 65_535
_TOE: Final = 0.0031308
_STRIP: Final = 1_000_000


def to_srgb(image: Image.Image, encoding: Encoding) -> Image.Image:
    """A loaded image of mode L, RGB or CMYK → RGB, sRGB."""
    if isinstance(encoding, Icc):
        return _by_profile(image, encoding)
    rgb = image.convert("RGB")
    return (
        rgb
        if encoding is None or image.mode == "CMYK" or _is_srgb(encoding)
        else Image.fromarray(_convert(np.asarray(rgb), encoding))
    )


def manage_rgb(pixels: Pixels, encoding: Encoding, *, grey: bool = False) -> Pixels:
    """`[h,w,3] uint8` → sRGB; the same array where nothing is to do. grey: the channels are equal."""
    if encoding is None or (isinstance(encoding, Icc) and _transform(encoding) in (None, "same")):
        return pixels
    return np.asarray(to_srgb(Image.fromarray(pixels[..., 0] if grey else pixels), encoding))


def _is_srgb(encoding: CodePoints | Gamma) -> bool:
    return isinstance(encoding, CodePoints) and encoding.is_srgb()


def _convert(pixels: Pixels, encoding: CodePoints | Gamma) -> Pixels:
    """`[h,w,3]` by tables from sample to light and from light to sRGB, strip by strip."""
    table, to_srgb_light = _light(encoding)
    flat = pixels.reshape(-1, 3)
    out = np.empty(flat.shape, np.uint8)
    for at in range(0, len(flat), _STRIP):
        light = to_srgb_light(table[flat[at : at + _STRIP]])
        out[at : at + _STRIP] = _srgb_table()[np.clip(light * _STEPS + 0.5, 0, _STEPS).astype(np.uint16)]
    return out.reshape(pixels.shape)


@lru_cache(maxsize=8)
def _light(encoding: CodePoints | Gamma) -> tuple[Singles, Callable[[Singles], Singles]]:
    """A table from sample to light, and what makes that light linear sRGB."""
    samples = np.linspace(0, 1, 256)
    if isinstance(encoding, Gamma):
        table = primaries.parametric(samples, primaries.power(1 / encoding.gamma))
        chromaticities = encoding.chromaticities or primaries.SRGB_PRIMARIES
    else:
        table = primaries.light_of(samples, encoding.transfer)
        chromaticities = primaries.PRIMARIES[encoding.primaries]
        if encoding.is_hdr():
            return table.astype(np.float32), tone(chromaticities, encoding.transfer, encoding.peak_nits).apply
    matrix = primaries.between(chromaticities, primaries.SRGB_PRIMARIES).T.astype(np.float32)
    return table.astype(np.float32), lambda light: np.asarray(light @ matrix)


@lru_cache(maxsize=1)
def _srgb_table() -> Pixels:
    """Linear light in 65,536 steps → 8-bit sRGB."""
    return np.round(255 * _srgb(np.linspace(0, 1, _STEPS + 1))).astype(np.uint8)


def _srgb(light: primaries.Floats) -> primaries.Floats:
    light = np.clip(light, 0, 1)
    return np.asarray(np.where(light <= _TOE, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def _by_profile(image: Image.Image, encoding: Icc) -> Image.Image:
    transform = _transform(encoding) if encoding.fits(image.mode) else None
    if isinstance(transform, ImageCms.ImageCmsTransform):
        return transform.apply(_without_black(image) if image.mode == "CMYK" else image.convert(encoding.applied_to))
    return image.convert("RGB")


def _without_black(image: Image.Image) -> Image.Image:
    """CMYK with the black ink in the other three, as browsers have it before they apply a profile."""
    channels = ImageChops.invert(image.convert("RGB")).split()
    return Image.merge("CMYK", (*channels, Image.new("L", image.size, 0)))


@lru_cache(maxsize=8)
def _transform(encoding: Icc) -> ImageCms.ImageCmsTransform | Literal["same"] | None:
    """From the profile to sRGB; "same" where no colour would visibly move, None where it is unusable.

    Whether it is sRGB is found by trying colours: a name in a file is only a claim.
    """
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(encoding.profile))
        target = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(source, target, encoding.applied_to, "RGB", renderingIntent=intent)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return "same" if encoding.applied_to == "RGB" and _moves_nothing(transform.apply) else transform


def _moves_nothing(apply: Callable[[Image.Image], Image.Image]) -> bool:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(apply(Image.fromarray(grid)))
    return bool(np.abs(moved.astype(int) - grid).max() <= _INVISIBLE)
