"""GIF89a, sections 18 to 27: the frames that a browser would show."""

from typing import Final

from moderation.images.headers import Header, check_canvas, malformed

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_DESCRIPTOR_BYTES: Final = 11


def read_header(data: bytes) -> Header:
    """The canvas grows to the largest frame, as decoders let it.

    After a frame, anything that is no block ends the file, as in browsers: a trailer, the end of the data,
    filler, or text. A block that begins and is cut short is truncation only if it is an image.
    Raises ImageError DECODE_FAILED.
    """
    if len(data) < 13:  # noqa: PLR2004 (signature and screen descriptor)
        raise malformed("truncated GIF")
    width, height = _u16(data, 6), _u16(data, 8)
    at, frames = 13 + _palette_bytes(data[10]), 0
    end = at
    while at < len(data) and data[at] in (_IMAGE, _EXTENSION):
        is_image = data[at] == _IMAGE
        after = _after_block(data, at)
        if after is None:
            if is_image:
                raise malformed("truncated GIF")
            break
        if is_image:
            width = max(width, _u16(data, at + 1) + _u16(data, at + 5))
            height = max(height, _u16(data, at + 3) + _u16(data, at + 7))
            frames, end = frames + 1, after
        at = after
    if not frames:
        raise malformed(_why_no_frame(data, at))
    check_canvas(width, height)
    whole = end < len(data) and data[end] == _TRAILER and not data[end - 1]
    return Header(width, height, frames, body=b"" if whole else data[:end] + b"\0;")


def _after_block(data: bytes, at: int) -> int | None:
    """Where the next block begins; None where this one is cut short. An image's last terminator may lack."""
    if data[at] == _IMAGE:
        if at + _DESCRIPTOR_BYTES > len(data):
            return None
        at += _DESCRIPTOR_BYTES + _palette_bytes(data[at + 9])
        lacks_terminator = at < len(data)
    else:
        at, lacks_terminator = at + 2, False
    while at < len(data) and data[at]:
        if lacks_terminator and data[at:] == bytes([_TRAILER]):
            return at
        at += data[at] + 1
    if at >= len(data):
        return len(data) if at == len(data) and lacks_terminator else None
    return at + 1


def _why_no_frame(data: bytes, at: int) -> str:
    if at >= len(data):
        return "truncated GIF"
    return "GIF without a frame" if data[at] == _TRAILER else f"GIF with an unknown block 0x{data[at]:02x}"


def _palette_bytes(packed: int) -> int:
    """Bytes of the colour table that a packed field announces."""
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _u16(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8
