"""Every format but the common JPEG, through Pillow, frame by frame."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageCms

from moderation.errors import ImageError
from moderation.events import Status
from moderation.images.colour import to_srgb
from moderation.images.headers import Header, malformed, printable
from moderation.images.jpeg import scale_divisor
from moderation.images.sniff import Format

AvifImagePlugin.DEFAULT_MAX_THREADS = 1

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
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
)
"""What Pillow has been seen to raise on malformed files; fuzzing keeps the list honest."""


@dataclass(frozen=True, slots=True)
class Frame:
    """pixels: `[h,w,3] uint8` RGB, or `[h,w,4] uint8` RGB premultiplied by alpha. duration_ms: 0 if still."""

    pixels: NDArray[np.uint8]
    duration_ms: float = 0.0


def avif_header(data: bytes) -> Header:
    """libavif parses the container on opening and decodes nothing yet. Raises ImageError DECODE_FAILED."""
    try:
        with _open(data, Format.AVIF) as image:
            return Header(image.width, image.height, getattr(image, "n_frames", 1))
    except Image.DecompressionBombError as error:
        raise ImageError(Status.TOO_LARGE, _words(error)) from error
    except DECODER_ERRORS as error:
        raise malformed(f"AVIF: {_words(error)}") from error


def exif_of(data: bytes, kind: Format) -> bytes:
    """Raw EXIF of a PNG, WebP or AVIF; empty where there is none."""
    if kind in (Format.GIF, Format.JPEG):
        return b""
    try:
        with _open(data, kind) as image:
            exif = image.info.get("exif", b"")
            return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""
    except DECODER_ERRORS as error:
        raise malformed(f"{kind}: {_words(error)}") from error


def frames(data: bytes, kind: Format, count: int, target: int) -> Iterator[Frame]:
    """The first `count` frames in order, each composed as a viewer would show it.

    A JPEG is decoded at a scale that keeps twice the `target` side. Raises ImageError DECODE_FAILED for a
    frame that cannot be decoded, TOO_LARGE where memory does not suffice.
    """
    index = 0
    try:
        with _open(data, kind) as image:
            if kind is Format.JPEG:
                _scale_down(image, target)
            for index in range(count):
                image.seek(index)
                image.load()
                yield Frame(_premultiplied(to_srgb(image)), _duration(image))
    except DECODER_ERRORS as error:
        raise malformed(f"{kind} frame {index + 1} of {count}: {_words(error)}") from error
    except MemoryError as error:
        raise ImageError(Status.TOO_LARGE, f"{kind} needs more memory than a decoder may use") from error


def _open(data: bytes, kind: Format) -> Image.Image:
    return Image.open(BytesIO(data), formats=(kind.value,))


def _scale_down(image: Image.Image, target: int) -> None:
    divisor = scale_divisor(image.width, image.height, target)
    image.draft(None, (image.width // divisor, image.height // divisor))


def _premultiplied(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        return np.asarray(image.convert("RGBa"))
    return np.asarray(image.convert("RGB"))


def _duration(image: Image.Image) -> float:
    duration = image.info.get("duration", 0)
    return float(duration) if isinstance(duration, int | float) else 0.0


def _words(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}")
