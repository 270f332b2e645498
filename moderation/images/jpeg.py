"""JPEG: its header, and scaled decoding by libjpeg-turbo. The only simplejpeg import.

Decoding at 1/2, 1/4 or 1/8 skips most of the inverse transform; 1/2 and 1/4 have SIMD code, the other
eighths (which simplejpeg would also choose) have not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from moderation.images.encodings import Encoding
from moderation.images.headers import Header, check_canvas, malformed
from moderation.images.icc import encoding_of

_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN, _END_OF_IMAGE, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_LENGTH_BYTES: Final = 2
_EXIF: Final = b"Exif\0\0"
_ICC: Final = b"ICC_PROFILE\0"
_ICC_PART: Final = 16
_END: Final = b"\xff\xd9"
_FULL_COLOUR: Final = 3
_BITS: Final = 8


@dataclass(frozen=True, slots=True)
class JpegHeader(Header):
    """components: 1 grey, 3 YCbCr or RGB, 4 CMYK or YCCK. bits: of a sample."""

    components: int = 3
    bits: int = 8


def read_header(data: bytes) -> JpegHeader:
    """Walk the segments up to the first scan (ITU-T T.81, annex B). Raises ImageError DECODE_FAILED."""
    try:
        return _read_header(data)
    except IndexError:
        raise malformed("truncated JPEG") from None


def _read_header(data: bytes) -> JpegHeader:
    frame_at, progressive, exif, scan_at = 0, False, b"", 0
    parts: list[tuple[int, int, bytes]] = []
    for marker, at, length in _segments(data):
        if marker in _FRAME_MARKERS:
            frame_at, progressive = at, marker in _PROGRESSIVE
        elif marker == _APP1 and data.startswith(_EXIF, at + 2):
            exif = exif or data[at + 8 : at + length]
        elif marker == _APP2 and data.startswith(_ICC, at + 2) and length > _ICC_PART:
            parts.append((data[at + 14], data[at + 15], data[at + 16 : at + length]))
        scan_at = at
    if not frame_at:
        raise malformed("JPEG without a frame header")
    bits, components = data[frame_at + 2], data[frame_at + 7]
    height, width = (int.from_bytes(data[i : i + 2]) for i in (frame_at + 3, frame_at + 5))
    check_canvas(width, height)
    in_several_scans = progressive or data[scan_at + 2] < components
    scans = _count_scans(data, scan_at) if in_several_scans else 1
    body = b"" if in_several_scans or data.rfind(_END, scan_at) >= 0 else data + _END
    return JpegHeader(width, height, 1, scans, exif, _encoding(parts), body=body, components=components, bits=bits)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, position and length of each segment up to the first scan's, which is the last."""
    at, marker = 2, 0
    while marker != _START_OF_SCAN:
        at, marker = _next_marker(data, at)
        length = int.from_bytes(data[at : at + 2])
        if length < _LENGTH_BYTES or at + length > len(data):
            raise malformed("truncated JPEG")
        yield marker, at, length
        at += length


def _encoding(parts: list[tuple[int, int, bytes]]) -> Encoding:
    """Parts are numbered from 1 and may be in any order. The first has their number, and all must be present.

    As in browsers the last part that is needed ends the search, and before it a number that is taken or is none
    of theirs, or another count, spoils the profile.
    """
    found: dict[int, bytes] = {}
    for number, of, part in parts:
        count = parts[0][1]
        if of != count or not 1 <= number <= count or number in found:
            return None
        found[number] = part
        if len(found) == count:
            return encoding_of(b"".join(found[n] for n in range(1, count + 1)))
    return None


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

    None where libjpeg-turbo cannot give RGB or has a complaint: Pillow then has the last word. Only here is a
    missing end marker put in, because Pillow would not notice what else is missing.
    """
    if header.components > _FULL_COLOUR or header.bits != _BITS:
        return None
    divisor = scale_divisor(header.width, header.height, target)
    try:
        pixels = simplejpeg.decode_jpeg(  # type: ignore[attr-defined]
            header.body or data,
            "RGB",
            min_height=-(-header.height // divisor),
            min_width=-(-header.width // divisor),
        )
    except ValueError:
        return None
    return cast("NDArray[np.uint8]", pixels)
