"""Every format but the common JPEG and BMP, through Pillow, frame by frame."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images.colour import to_srgb
from moderation.images.headers import Header, malformed, printable
from moderation.images.jpeg import scale_divisor
from moderation.images.modes import split_alpha
from moderation.images.reduce import reduced
from moderation.images.sniff import Format

Image.MAX_IMAGE_PIXELS = None  # `Limits` bounds every canvas, from the header

DECODER_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    ImageCms.PyCMSError,
)
"""What Pillow has been seen to raise on malformed files; fuzzing keeps the list honest."""


@dataclass(frozen=True, slots=True)
class Frame:
    """pixels: `[h,w,3] uint8` RGB, or `[h,w,4] uint8` RGB premultiplied by alpha. duration_ms: 0 if still."""

    pixels: NDArray[np.uint8]
    duration_ms: float = 0.0


def frames(data: bytes, kind: Format, header: Header, target: int) -> Iterator[Frame]:
    """The frames in order, each composed as a viewer would show it.

    A JPEG is decoded at a scale that keeps twice the `target` side, a huge canvas is reduced to no less.
    Raises ImageError DECODE_FAILED for a frame that cannot be decoded, TOO_LARGE where memory does not suffice.
    """
    index = 0
    try:
        with _open(data if kind is Format.JPEG else header.body or data, kind) as image:
            if kind is Format.JPEG:
                _scale_down(image, target)
            for index in range(header.frames):
                image.seek(index)
                image.load()
                yield Frame(_pixels(image, header, target), _duration(image))
    except DECODER_ERRORS as error:
        raise malformed(f"{kind} frame {index + 1} of {header.frames}: {_words(error)}") from error
    except MemoryError as error:
        raise ImageError(Status.TOO_LARGE, f"{kind} needs more memory than a decoder may use") from error


def framed(pixels: NDArray[np.uint8], header: Header, target: int) -> Frame:
    """A frame from samples that something else decoded, `[h,w,3]` or `[h,w,4]`, not premultiplied."""
    return Frame(_pixels(Image.fromarray(pixels), header, target))


def _open(data: bytes, kind: Format) -> Image.Image:
    return Image.open(BytesIO(data), formats=(kind.value,))


def _scale_down(image: Image.Image, target: int) -> None:
    divisor = scale_divisor(image.width, image.height, target)
    image.draft(None, (image.width // divisor, image.height // divisor))


def _pixels(image: Image.Image, header: Header, target: int) -> NDArray[np.uint8]:
    colours, alpha = split_alpha(reduced(image, target))
    return _premultiplied(to_srgb(colours, header.encoding), alpha)


def _premultiplied(image: Image.Image, alpha: Image.Image | None) -> NDArray[np.uint8]:
    if alpha is None or alpha.getextrema() == (255, 255):
        return np.asarray(image)
    image.putalpha(alpha)
    return np.asarray(image.convert("RGBa"))


def _duration(image: Image.Image) -> float:
    duration = image.info.get("duration", 0)
    return float(duration) if isinstance(duration, int | float) else 0.0


def _words(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}")
