"""JPEG: its header, and scaled decoding by libjpeg-turbo. The only simplejpeg import.

Decoding at 1/2, 1/4 or 1/8 skips most of the inverse transform; 1/2 and 1/4 have SIMD code, the other
eighths (which simplejpeg would also choose) have not.
"""

from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from moderation.images.headers import Header, malformed

_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN, _END_OF_IMAGE, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_LENGTH_BYTES: Final = 2
_EXIF: Final = b"Exif\0\0"
_ICC: Final = b"ICC_PROFILE\0"
_FULL_COLOUR: Final = 3
_BITS: Final = 8


@dataclass(frozen=True, slots=True)
class JpegHeader(Header):
    """components: 1 grey, 3 YCbCr or RGB, 4 CMYK or YCCK. exif, icc: raw bytes, empty where absent."""

    components: int = 3
    bits: int = 8
    exif: bytes = b""
    icc: bytes = b""


def read_header(data: bytes) -> JpegHeader:
    """Walk the segments up to the first scan (ITU-T T.81, annex B). Raises ImageError DECODE_FAILED."""
    try:
        return _read_header(data)
    except IndexError:
        raise malformed("truncated JPEG") from None


def _read_header(data: bytes) -> JpegHeader:
    at, frame_at, exif, icc = 2, 0, b"", b""
    while True:
        at, marker = _next_marker(data, at)
        length = int.from_bytes(data[at : at + 2])
        if length < _LENGTH_BYTES or at + length > len(data):
            raise malformed("truncated JPEG")
        if marker == _START_OF_SCAN:
            break
        if marker in _FRAME_MARKERS:
            frame_at, progressive = at, marker in _PROGRESSIVE
        elif marker == _APP1 and data.startswith(_EXIF, at + 2):
            exif = exif or data[at + 8 : at + length]
        elif marker == _APP2 and data.startswith(_ICC, at + 2):
            icc += data[at + 16 : at + length]
        at += length
    if not frame_at:
        raise malformed("JPEG without a frame header")
    bits, components = data[frame_at + 2], data[frame_at + 7]
    height, width = (int.from_bytes(data[i : i + 2]) for i in (frame_at + 3, frame_at + 5))
    if not width or not height:
        raise malformed(f"canvas of {width}x{height} pixels")
    in_several_scans = progressive or data[at + 2] < components
    scans = _count_scans(data, at) if in_several_scans else 1
    return JpegHeader(width, height, 1, scans, components, bits, exif, icc)


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """Position after the next marker that has a length, and the marker."""
    while True:
        at = data.find(b"\xff", at) + 1
        if at == 0 or at >= len(data):
            raise malformed("truncated JPEG")
        marker = data[at]
        if marker == _END_OF_IMAGE:
            raise malformed("JPEG that ends before its first scan")
        if marker not in (0x00, 0xFF) and marker not in _BARE_MARKERS:
            return at + 1, marker


def _count_scans(data: bytes, start: int) -> int:
    end = data.find(b"\xff\xd9", start)
    return 1 + data.count(b"\xff\xda", start, end if end >= 0 else len(data))


def scale_divisor(width: int, height: int, target: int) -> int:
    """The largest of 8, 4, 2, 1 that keeps both sides at twice the target or more."""
    shorter = min(width, height)
    return next((d for d in (8, 4, 2) if shorter >= 2 * target * d), 1)


def decode_scaled(data: bytes, header: JpegHeader, target: int) -> NDArray[np.uint8] | None:
    """RGB `[h,w,3] uint8`, each side at least `min(side, 2*target)`.

    None where libjpeg-turbo cannot give RGB or has a complaint: Pillow then has the last word.
    """
    if header.components > _FULL_COLOUR or header.bits != _BITS:
        return None
    divisor = scale_divisor(header.width, header.height, target)
    try:
        pixels = simplejpeg.decode_jpeg(  # type: ignore[attr-defined]
            data,
            "RGB",
            min_height=-(-header.height // divisor),
            min_width=-(-header.width // divisor),
        )
    except ValueError:
        return None
    return cast("NDArray[np.uint8]", pixels)
