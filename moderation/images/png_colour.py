"""Which of a PNG's colour chunks counts: cICP, iCCP, sRGB, then gAMA with cHRM (third edition, table 7)."""

import struct
import zlib
from collections.abc import Sequence
from typing import Final

from moderation.images.encodings import HDR_PEAK_NITS, CodePoints, Encoding, Gamma
from moderation.images.headers import malformed
from moderation.images.icc import encoding_of
from moderation.images.primaries import PRIMARIES, TRANSFERS, to_xyz

Chunks = Sequence[tuple[bytes, bytes]]
_MAX_PROFILE_BYTES: Final = 64 * 1024 * 1024
_MAX_NAME: Final = 80
"""One more than the standard allows: so do browsers."""
_SRGB_GAMMA: Final = 1 / 2.2
_GAMMA_TOLERANCE: Final = 0.05
_LAST_INTENT: Final = 3
_SIZES: Final = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"cLLI": 8, b"mDCV": 24}


def encoding(chunks: Chunks, *, is_palette: bool) -> Encoding:
    """Of the chunks before the pixels; the first of a name counts, one of a wrong size is ignored."""
    found: dict[bytes, bytes] = {}
    for kind, body in _in_place(chunks, is_palette=is_palette):
        if len(body) == _SIZES.get(kind, len(body)):
            found.setdefault(kind, body)
    points = _code_points(found)
    if points:
        return points
    described = encoding_of(_profile(found.get(b"iCCP", b"")), loose=True)
    if described:
        return described
    if b"sRGB" in found and found[b"sRGB"][0] <= _LAST_INTENT:
        return None
    return _gamma(found)


def _in_place(chunks: Chunks, *, is_palette: bool) -> Chunks:
    """Browsers ignore a cICP chunk behind the palette."""
    palette = next((i for i, (kind, _) in enumerate(chunks) if kind == b"PLTE"), len(chunks))
    if not is_palette:
        return chunks
    return [chunk for i, chunk in enumerate(chunks) if chunk[0] != b"cICP" or i < palette]


def _code_points(found: dict[bytes, bytes]) -> CodePoints | None:
    """None where unknown or narrow: browsers then look further. They show nothing of a chunk for YCbCr."""
    if b"cICP" not in found:
        return None
    primaries, transfer, matrix, full = found[b"cICP"]
    if matrix or full > 1:
        raise malformed(f"PNG with a cICP chunk for YCbCr (matrix {matrix}, range {full})")
    if not full or primaries not in PRIMARIES or transfer not in TRANSFERS:
        return None
    return CodePoints(primaries, transfer, _peak(found))


def _peak(found: dict[bytes, bytes]) -> float:
    """The content light level, else the mastering display's luminance, in nits."""
    content = int.from_bytes(found.get(b"cLLI", b"")[:4])
    display = int.from_bytes(found.get(b"mDCV", b"")[16:20])
    return (content or display) / 10_000 or HDR_PEAK_NITS


def _profile(body: bytes) -> bytes:
    """The unpacked profile; empty where a browser ignores it, which includes bombs."""
    name, _, packed = body.partition(b"\0")
    if not 1 <= len(name) <= _MAX_NAME or packed[:1] != b"\0":
        return b""
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if unpacker.eof else b""


def _gamma(found: dict[bytes, bytes]) -> Gamma | None:
    """cHRM counts only beside gAMA; alone, a gamma near 1/2.2 means sRGB."""
    gamma = int.from_bytes(found.get(b"gAMA", b"")) / 100_000
    if not gamma:
        return None
    if b"cHRM" not in found:
        return None if abs(gamma / _SRGB_GAMMA - 1) < _GAMMA_TOLERANCE else Gamma(gamma)
    chromaticities = struct.unpack(">8I", found[b"cHRM"])
    wx, wy, rx, ry, gx, gy, bx, by = (value / 100_000 for value in chromaticities)
    described = (wx, wy, rx, ry, gx, gy, bx, by)
    try:
        to_xyz(described)
    except ValueError:
        return None
    return Gamma(gamma, described)
