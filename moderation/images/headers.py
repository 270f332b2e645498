"""Size and number of frames, read from a file's structure without decoding a pixel.

Each walker also proves that the file's last block is there: a truncated file is refused, because what is
missing cannot be judged.
"""

import zlib
from dataclasses import dataclass
from typing import Final

from moderation.errors import ImageError
from moderation.events import Status

_PNG_UP_TO_IHDR: Final = 33
_GIF_IMAGE, _GIF_EXTENSION, _GIF_TRAILER = 0x2C, 0x21, 0x3B


@dataclass(frozen=True, slots=True)
class Header:
    """What a file announces. width, height: canvas in pixels, before any EXIF rotation."""

    width: int
    height: int
    frames: int = 1
    scans: int = 1


def printable(text: str) -> str:
    """What a stranger's file brought into a message, as printable ASCII on one line, capped."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:160])


def malformed(detail: str) -> ImageError:
    return ImageError(Status.DECODE_FAILED, detail)


def png(data: bytes) -> Header:
    """PNG (W3C PNG 3rd edition, 5 and 11); an APNG counts its `fcTL` chunks and a separate still."""
    if data[12:16] != b"IHDR" or len(data) < _PNG_UP_TO_IHDR:
        raise malformed("PNG without an IHDR chunk")
    controls = 0
    at, kind = 8, b""
    still_is_apart = False
    while kind != b"IEND":
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if at + 12 + length > len(data):
            raise malformed("truncated PNG")
        _check_png_sum(data, at, length, kind)
        controls += kind == b"fcTL"
        still_is_apart |= kind == b"IDAT" and not controls
        at += 12 + length
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return _checked(width, height, max(1, controls + (still_is_apart and controls > 0)))


def _check_png_sum(data: bytes, at: int, length: int, kind: bytes) -> None:
    """Browsers refuse a damaged chunk that matters; Pillow does not look at all of them."""
    matters = kind[:1].isupper() or kind in (b"fcTL", b"fdAT")
    end = at + 8 + length
    if matters and zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
        raise malformed(f"PNG chunk {printable(kind.decode('ascii', 'replace'))} with a wrong checksum")


def gif(data: bytes) -> Header:
    """GIF89a, sections 18 to 27. The canvas grows to the largest frame, as decoders let it."""
    try:
        return _gif(data)
    except IndexError:
        raise malformed("truncated GIF") from None


def _gif(data: bytes) -> Header:
    width, height = _u16(data, 6), _u16(data, 8)
    at, frames = 13 + _gif_palette(data[10]), 0
    while data[at] != _GIF_TRAILER:
        if data[at] == _GIF_IMAGE:
            width = max(width, _u16(data, at + 1) + _u16(data, at + 5))
            height = max(height, _u16(data, at + 3) + _u16(data, at + 7))
            at += 11 + _gif_palette(data[at + 9])
            frames += 1
        elif data[at] == _GIF_EXTENSION:
            at += 2
        else:
            raise malformed(f"GIF with an unknown block 0x{data[at]:02x}")
        while data[at]:
            at += data[at] + 1
        at += 1
    if not frames:
        raise malformed("GIF without a frame")
    return _checked(width, height, frames)


def _gif_palette(packed: int) -> int:
    """Bytes of the colour table that a packed field announces."""
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def webp(data: bytes) -> Header:
    """WebP container (RFC 9649, 2.3 to 2.7)."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise malformed("truncated WebP")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[i : i + 3], "little") for i in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (26, 28))
    else:
        raise malformed("WebP without an image chunk")
    return _checked(width, height, max(1, _webp_frames(data)))


def _webp_frames(data: bytes) -> int:
    at, frames = 12, 0
    while at + 8 <= len(data):
        frames += data[at : at + 4] == b"ANMF"
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + (length & 1)
    return frames


def _u16(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8


def _checked(width: int, height: int, frames: int) -> Header:
    if not width or not height:
        raise malformed(f"canvas of {width}x{height} pixels")
    return Header(width, height, frames)
