"""Any Pillow image → 8-bit sRGB, with the profiles, gamma and alpha that a browser would honour."""

from functools import lru_cache
from io import BytesIO
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_MAX_PROFILE_BYTES: Final = 4 * 1024 * 1024
_SPACE_OF_MODE: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_INVISIBLE: Final = 2
_SRGB_GAMMA: Final = 1 / 2.2
_GAMMA_TOLERANCE: Final = 0.05


def to_srgb(image: Image.Image) -> Image.Image:
    """A loaded image of any mode → mode RGB (opaque) or RGBA (not premultiplied), sRGB, 8 bits."""
    flat = _to_eight_bits(image)
    alpha = flat.getchannel("A") if flat.mode in ("RGBA", "LA") else None
    colour = flat.convert({"RGBA": "RGB", "LA": "L"}.get(flat.mode, flat.mode))
    managed = _apply_profile(colour, image.info.get("icc_profile")) or _apply_gamma(colour, image.info)
    if alpha is not None:
        managed.putalpha(alpha)
    return managed


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Mode L, LA, RGB, RGBA or CMYK, 8 bits a channel."""
    if image.mode.startswith("I"):
        return _from_sixteen_bits(image)
    if image.has_transparency_data:
        return image if image.mode == "LA" else image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in _SPACE_OF_MODE else image.convert("RGB")


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    samples = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray((np.minimum(samples, 0xFFFF) >> 8).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8)))
    return grey


def _apply_profile(colour: Image.Image, profile: bytes | None) -> Image.Image | None:
    """The image in sRGB by its ICC profile; None where there is none that is usable."""
    if not profile or len(profile) > _MAX_PROFILE_BYTES:
        return None
    transform = _transform(profile, colour.mode)
    if isinstance(transform, ImageCms.ImageCmsTransform):
        return transform.apply(colour)
    return colour.convert("RGB") if transform == "same" else None


def manage_rgb(pixels: NDArray[np.uint8], profile: bytes) -> NDArray[np.uint8]:
    """`[h,w,3] uint8` in the profile's RGB → sRGB; unchanged where the profile is unusable or sRGB."""
    transform = _transform(profile, "RGB") if len(profile) <= _MAX_PROFILE_BYTES else None
    if isinstance(transform, ImageCms.ImageCmsTransform):
        return np.asarray(transform.apply(Image.fromarray(pixels)))
    return pixels


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | Literal["same"] | None:
    """From the profile to sRGB; "same" where no colour would visibly move, None where it is unusable.

    A browser ignores a profile that does not fit the image, so that is no error here either. Whether it is
    sRGB is found by trying colours: a name in a file is only a claim.
    """
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACE_OF_MODE.get(mode):
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return "same" if mode == "RGB" and _moves_nothing(transform) else transform


def _moves_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(transform.apply(Image.fromarray(grid)))
    return bool(np.abs(moved.astype(int) - grid).max() <= _INVISIBLE)


def _apply_gamma(colour: Image.Image, info: dict[str | tuple[int, int], object]) -> Image.Image:
    """PNG's gAMA: browsers honour it, so a file can show one picture with it and another without."""
    gamma = info.get("gamma")
    rgb = colour.convert("RGB")
    if not isinstance(gamma, float) or gamma <= 0 or "srgb" in info:
        return rgb
    exponent = _SRGB_GAMMA / gamma
    if abs(exponent - 1) <= _GAMMA_TOLERANCE:
        return rgb
    table = [round(255 * (level / 255) ** exponent) for level in range(256)]
    return rgb.point(table * 3)
