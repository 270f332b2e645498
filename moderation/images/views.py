"""Steps of one image: bytes → limits → format → header → frames → views."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import pdqhash
from numpy.typing import NDArray

from moderation.errors import ImageError
from moderation.events import ImageFacts, Status
from moderation.images import avif, bmp, bmp_pixels, gif, jpeg, pillow, png, webp
from moderation.images.colour import manage_rgb
from moderation.images.exif import orientation, swaps_sides, upright
from moderation.images.headers import Header
from moderation.images.limits import Limits
from moderation.images.pillow import Frame
from moderation.images.selection import Square, select, views_of
from moderation.images.sniff import Format, sniff
from moderation.images.squash import squash

PREPROCESSING: Final = "squash-area-2"
"""Version of everything here that can change a pixel: part of every cache key and of the model's name card."""

_HASH_SIDE: Final = 128
_DEFAULT: Final = Limits()


@dataclass(frozen=True, slots=True)
class Views:
    """One image, ready to score; its score is the maximum over the views.

    pixels:          `[V,S,S,3] uint8`, sRGB, contiguous; view 0 is the whole first frame on white.
    facts:           format, upright width and height, frames in the file, V.
    perceptual_hash: PDQ (Meta, 2019) of view 0, 64 hex digits.
    """

    pixels: NDArray[np.uint8]
    facts: ImageFacts
    perceptual_hash: str


def views(data: bytes, size: int = 224, limits: Limits = _DEFAULT) -> Views:
    """Everything about an image that must be scored. Deterministic.

    Raises ImageError: TOO_LARGE (bytes, pixels, frames or memory), DECODE_UNSUPPORTED (a format that is not
    accepted, by name), DECODE_FAILED (malformed or truncated).
    """
    limits.check_bytes(len(data))
    kind = sniff(data)
    header = READERS[kind](data)
    limits.check_header(header)
    turned = orientation(header.exif)
    try:
        squares = _squares(data, kind, header, size, limits.max_views)
    except cv2.error as error:
        raise ImageError(Status.TOO_LARGE, f"{kind} needs more memory than a decoder may use") from error
    pixels = np.stack([upright(square, turned) for square in squares])
    return Views(pixels, _facts(kind, header, turned, len(squares)), perceptual_hash(pixels[0]))


def single_view(data: bytes, size: int = 224, limits: Limits = _DEFAULT) -> NDArray[np.uint8]:
    """View 0 of `views`: `[S,S,3] uint8`. Raises as `views` does."""
    first: Square = views(data, size, limits).pixels[0]
    return first


def perceptual_hash(square: NDArray[np.uint8]) -> str:
    """PDQ of a `[S,S,3]` view, 64 hex digits.

    Computed on a 128-pixel version: about 30 times cheaper than on the usual 512 pixels, and 6 bits away in
    the median, where 31 of 256 is PDQ's threshold for a match.
    """
    bits, _quality = pdqhash.compute(squash(square, _HASH_SIDE))  # type: ignore[attr-defined]
    return np.packbits(bits).tobytes().hex()


READERS: Final[dict[Format, Callable[[bytes], Header]]] = {
    Format.JPEG: jpeg.read_header,
    Format.PNG: png.read_header,
    Format.GIF: gif.read_header,
    Format.WEBP: webp.read_header,
    Format.AVIF: avif.read_header,
    Format.BMP: bmp.read_header,
}


def _squares(data: bytes, kind: Format, header: Header, size: int, limit: int) -> list[Square]:
    frames = _frames(data, kind, header, size)
    if header.frames > 1:
        return select(frames, size, limit)
    whole, parts = views_of(next(frames), size)
    return [*whole, *parts][:limit]


def _frames(data: bytes, kind: Format, header: Header, size: int) -> Iterator[Frame]:
    if isinstance(header, jpeg.JpegHeader):
        pixels = jpeg.decode_scaled(data, header, size)
        if pixels is not None:
            yield Frame(manage_rgb(pixels, header.encoding, grey=header.components == 1))
            return
    if isinstance(header, bmp.BmpHeader):
        yield pillow.framed(bmp_pixels.decode(data, header), header, size)
        return
    yield from pillow.frames(data, kind, header, size)


def _facts(kind: Format, header: Header, turned: int, count: int) -> ImageFacts:
    width, height = header.width, header.height
    if swaps_sides(turned):
        width, height = height, width
    return ImageFacts(format=kind.value, width=width, height=height, frames=header.frames, views=count)
