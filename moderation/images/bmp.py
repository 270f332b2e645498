"""BMP, a legacy creative format that browsers show: its header ([MS-WMF] 2.2.2, BITMAPCOREHEADER to V5).

Files whose size does not bound their canvas are none: the pixels of an uncompressed BMP are all there, and of a
run-length coded one at least every line.
"""

import struct
from dataclasses import dataclass
from typing import Final

from moderation.images.encodings import Encoding, Icc
from moderation.images.headers import Header, check_canvas, malformed
from moderation.images.icc import encoding_of

_FILE_HEADER: Final = 14
_CORE, _INFO, _V3, _V4, _V5 = 12, 40, 56, 108, 124
_SIZES: Final = (_CORE, _INFO, 52, _V3, 64, _V4, _V5)
RAW, RLE8, RLE4, BITFIELDS, ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_BITS_OF: Final = {RLE8: (8,), RLE4: (4,), BITFIELDS: (16, 32), ALPHA_BITFIELDS: (16, 32)}
_RAW_BITS: Final = (1, 2, 4, 8, 16, 24, 32)
_DEFAULT_MASKS: Final = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_EMBEDDED: Final = b"DEBM"


@dataclass(frozen=True, slots=True)
class BmpHeader(Header):
    """bits: of a pixel. masks: red, green, blue, alpha of 16 and 32 bits. palette: BGR or BGRX entries.

    start: of the pixels. top_down: the first row is the top one.
    """

    bits: int = 24
    compression: int = RAW
    top_down: bool = False
    masks: tuple[int, int, int, int] = (0, 0, 0, 0)
    palette: bytes = b""
    entry_bytes: int = 4
    start: int = 0

    @property
    def row_bytes(self) -> int:
        """Of an uncompressed row, padded to four."""
        return (self.width * self.bits + 31) // 32 * 4


def read_header(data: bytes) -> BmpHeader:
    """Raises ImageError DECODE_FAILED."""
    try:
        header = _read_header(data)
    except struct.error:
        raise malformed("truncated BMP") from None
    least = 0 if header.compression in (RLE8, RLE4) else header.row_bytes * header.height
    if header.start + least > len(data):
        raise malformed("truncated BMP")
    return header


def _read_header(data: bytes) -> BmpHeader:
    start, size = struct.unpack_from("<II", data, 10)
    if size not in _SIZES:
        raise malformed(f"BMP with a header of {size} bytes")
    layout = "<HHHH" if size == _CORE else "<iiHH"
    width, height, _, bits = struct.unpack_from(layout, data, _FILE_HEADER + 4)
    compression = 0 if size == _CORE else struct.unpack_from("<I", data, 30)[0]
    check_canvas(width, abs(height))
    if bits not in _BITS_OF.get(compression, _RAW_BITS if compression == RAW else ()):
        raise malformed(f"BMP with {bits} bits and compression {compression}")
    masks, at = _masks(data, size, bits, compression)
    palette = _palette(data, at, size, bits)
    if start < at + len(palette):
        raise malformed("BMP whose pixels begin in its header")
    return BmpHeader(
        width,
        abs(height),
        encoding=_profile(data, size),
        bits=bits,
        compression=compression,
        top_down=height < 0,
        masks=masks,
        palette=palette,
        entry_bytes=3 if size == _CORE else 4,
        start=start,
    )


def _masks(data: bytes, size: int, bits: int, compression: int) -> tuple[tuple[int, int, int, int], int]:
    """The four masks, and where the palette begins."""
    at = _FILE_HEADER + size
    default = _DEFAULT_MASKS.get(bits, (0, 0, 0, 0))
    if compression not in (BITFIELDS, ALPHA_BITFIELDS):
        alpha = struct.unpack_from("<I", data, 66)[0] if size >= _V4 and bits == 32 else 0  # noqa: PLR2004
        return (*default[:3], alpha), at
    count = 4 if compression == ALPHA_BITFIELDS or size >= _V3 else 3
    found = struct.unpack_from(f"<{count}I", data, _FILE_HEADER + _INFO)
    red, green, blue, alpha = (*found, 0)[:4]
    if not all(_is_one_run(mask) for mask in found):
        raise malformed("BMP with a colour mask of several pieces")
    return (red, green, blue, alpha), at + (4 * count if size == _INFO else 0)


def _is_one_run(mask: int) -> bool:
    return mask == 0 or (mask | (mask - 1)) + 1 & mask == 0


def _palette(data: bytes, at: int, size: int, bits: int) -> bytes:
    if bits > 8:  # noqa: PLR2004
        return b""
    entry_bytes = 3 if size == _CORE else 4
    announced = 0 if size == _CORE else struct.unpack_from("<I", data, 46)[0]
    count = min(announced or 1 << bits, 1 << bits)
    return data[at : at + count * entry_bytes]


def _profile(data: bytes, size: int) -> Encoding:
    """A V5 header's embedded profile; browsers ignore calibrated endpoints and linked files."""
    if size != _V5 or data[70:74] != _EMBEDDED:
        return None
    offset, length = struct.unpack_from("<II", data, 126)
    start = _FILE_HEADER + offset
    if start + length > len(data):
        raise malformed("BMP whose colour profile lies outside the file")
    encoding = encoding_of(data[start : start + length], loose=True)
    if isinstance(encoding, Icc) and encoding.describes != "RGB":
        raise malformed("BMP with a colour profile that is not for RGB")
    return encoding
