"""WebP container (RFC 9649, 2.3 to 2.7)."""

from collections.abc import Iterator

from moderation.images.encodings import Encoding
from moderation.images.headers import Header, check_canvas, malformed
from moderation.images.icc import encoding_of

_ICC_FLAG, _ANIMATION_FLAG = 0x20, 0x02


def read_header(data: bytes) -> Header:
    """Browsers read no orientation from a WebP. Raises ImageError DECODE_FAILED."""
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
    check_canvas(width, height)
    chunks = list(_chunks(data))
    frames = sum(name == b"ANMF" for name, _ in chunks)
    return Header(width, height, max(1, frames), encoding=_profile(data, chunks), weight=2)


def _profile(data: bytes, chunks: list[tuple[bytes, slice]]) -> Encoding:
    """The first ICCP chunk of a still, at any place, where the header's flag announces one."""
    if data[12:16] != b"VP8X" or data[20] & (_ICC_FLAG | _ANIMATION_FLAG) != _ICC_FLAG:
        return None
    return next((encoding_of(data[place]) for name, place in chunks if name == b"ICCP"), None)


def _chunks(data: bytes) -> Iterator[tuple[bytes, slice]]:
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], slice(at + 8, at + 8 + length)
        at += 8 + length + (length & 1)
