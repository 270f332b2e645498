"""PNG and APNG (W3C PNG, third edition): structure, colour chunks and the file as the decoder gets it.

The decoder sees only chunks that carry pixels, in order and with right sums. So metadata of any size costs
nothing, and an animation has exactly the frames that a browser would show.
"""

import zlib
from dataclasses import dataclass, replace
from typing import Final

from moderation.images import png_colour
from moderation.images.headers import Header, check_canvas, malformed, printable
from moderation.images.png_frames import Canvas, animation

_SIGNATURE: Final = 8
_IHDR_BYTES: Final = 13
_COLOUR_TYPES: Final = frozenset({0, 2, 3, 4, 6})
_ANIMATION: Final = (b"acTL", b"fcTL", b"fdAT")
_KNOWN_CRITICAL: Final = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_TRANSPARENCY_ENTRIES: Final = {0: 2, 2: 6}


@dataclass(frozen=True, slots=True)
class Chunk:
    kind: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class PngHeader(Header):
    """bits: of a sample. colour_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha."""

    bits: int = 8
    colour_type: int = 2

    @property
    def is_grey(self) -> bool:
        return self.colour_type in (0, 4)


def read_header(data: bytes) -> PngHeader:
    """Raises ImageError DECODE_FAILED, TOO_LARGE for a profile beyond reason."""
    chunks = _chunks(data)
    if not chunks or chunks[0].kind != b"IHDR" or len(chunks[0].body) != _IHDR_BYTES:
        raise malformed("PNG without an IHDR chunk")
    head = chunks[0].body
    width, height = int.from_bytes(head[:4]), int.from_bytes(head[4:8])
    check_canvas(width, height)
    bits, colour_type = head[8], head[9]
    if colour_type not in _COLOUR_TYPES or bits not in (1, 2, 4, 8, 16):
        raise malformed(f"PNG of colour type {colour_type} with {bits} bits")
    frames, parts = animation([(c.kind, c.body) for c in chunks], Canvas(width, height))
    pictured = [chunk for chunk in chunks if chunk.kind in (b"IHDR", b"PLTE")]
    body = _file([*pictured[:2], *_transparency(chunks, colour_type), *(Chunk(*part) for part in parts)])
    header = PngHeader(width, height, frames, body=body, bits=bits, colour_type=colour_type)
    before = [(chunk.kind, chunk.body) for chunk in _before_pixels(chunks)]
    exif = next((body for kind, body in before if kind == b"eXIf"), b"")
    return replace(header, exif=exif, encoding=png_colour.encoding(before, is_palette=colour_type == 3))  # noqa: PLR2004


def _chunks(data: bytes) -> list[Chunk]:
    """Every chunk up to IEND whose sum is right, as browsers skip the others.

    A file that lacks nothing but its end is whole; the decoder refuses one that lacks pixels.
    """
    chunks: list[Chunk] = []
    at, kind = _SIGNATURE, b""
    while kind != b"IEND":
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 8 + length
        if end + 4 > len(data) or not (kind.isalpha() or _is_sound(data, at, end, kind)):
            _check_cut(chunks, data, at)
            break
        if _is_sound(data, at, end, kind):
            chunks.append(Chunk(kind, data[at + 8 : end]))
        at = end + 4
    return chunks


def _check_cut(chunks: list[Chunk], data: bytes, at: int) -> None:
    """Raises ImageError where what is cut short, or damaged, may carry pixels."""
    kind = data[at + 4 : at + 8]
    if not any(chunk.kind == b"IDAT" for chunk in chunks) or kind in (b"IDAT", b"fdAT", b"fcTL"):
        raise malformed("truncated PNG")


def _is_sound(data: bytes, at: int, end: int, kind: bytes) -> bool:
    """Raises ImageError for a wrong sum, or an unknown name, where pixels depend on it."""
    if kind[:1].isupper() and kind not in _KNOWN_CRITICAL:
        raise malformed(f"PNG with the unknown critical chunk {printable(kind.decode('ascii', 'replace'))}")
    if zlib.crc32(memoryview(data)[at + 4 : end]) == int.from_bytes(data[end : end + 4]):
        return True
    if kind[:1].isupper() or kind in (b"fcTL", b"fdAT"):
        raise malformed(f"PNG chunk {printable(kind.decode('ascii', 'replace'))} with a wrong checksum")
    return False


def _before_pixels(chunks: list[Chunk]) -> list[Chunk]:
    first = next((i for i, chunk in enumerate(chunks) if chunk.kind == b"IDAT"), len(chunks))
    return chunks[:first]


def _transparency(chunks: list[Chunk], colour_type: int) -> list[Chunk]:
    """The first tRNS chunk before the pixels, where it has the size that its colour type asks for."""
    found = [chunk for chunk in _before_pixels(chunks) if chunk.kind == b"tRNS"][:1]
    if colour_type in _TRANSPARENCY_ENTRIES:
        return [chunk for chunk in found if len(chunk.body) == _TRANSPARENCY_ENTRIES[colour_type]]
    return found if colour_type == 3 else []  # noqa: PLR2004


def _file(chunks: list[Chunk]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for chunk in [*chunks, Chunk(b"IEND", b"")]:
        named = chunk.kind + chunk.body
        parts += [len(chunk.body).to_bytes(4), named, zlib.crc32(named).to_bytes(4)]
    return b"".join(parts)
