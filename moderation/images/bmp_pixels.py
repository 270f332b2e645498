"""BMP rows → `[h,w,3]` or `[h,w,4]` samples, as browsers read them: Pillow knows fewer layouts and no alpha mask."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.images.bmp import RLE4, RLE8, BmpHeader
from moderation.images.headers import malformed

Pixels = NDArray[np.uint8]
_PALETTE_ENTRIES: Final = 256
_END_OF_LINE, _END_OF_BITMAP, _DELTA = 0, 1, 2
_TRUE_COLOUR: Final = 24


def decode(data: bytes, header: BmpHeader) -> Pixels:
    """RGB, or RGB and alpha (not premultiplied) where the header has a mask for it.

    Raises ImageError DECODE_FAILED.
    """
    if header.compression in (RLE8, RLE4):
        return _upright(_run_length(data, header), header)
    size = header.row_bytes * header.height
    rows = np.frombuffer(data, np.uint8, size, header.start).reshape(header.height, header.row_bytes)
    if header.bits >= _TRUE_COLOUR - 8:
        return _upright(_true_colour(rows, header), header)
    indices = _unpack(rows, header)
    return _upright(_colours(header)[indices], header)


def _upright(pixels: Pixels, header: BmpHeader) -> Pixels:
    return pixels if header.top_down else pixels[::-1]


def _true_colour(rows: Pixels, header: BmpHeader) -> Pixels:
    if header.bits == _TRUE_COLOUR:
        return rows[:, : header.width * 3].reshape(header.height, header.width, 3)[..., ::-1]
    words = rows[:, : header.width * header.bits // 8].copy().view(f"<u{header.bits // 8}")
    channels = [_channel(words, mask) for mask in header.masks[: 4 if header.masks[3] else 3]]
    return np.stack(channels, axis=-1)


def _channel(words: NDArray[np.uint16] | NDArray[np.uint32], mask: int) -> Pixels:
    if not mask:
        return np.zeros(words.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    width = (mask >> shift).bit_length()
    levels = (words & words.dtype.type(mask)) >> words.dtype.type(shift)
    if width > 8:  # noqa: PLR2004
        return (levels >> words.dtype.type(width - 8)).astype(np.uint8)
    table = np.round(np.arange(1 << width) * 255 / ((1 << width) - 1)).astype(np.uint8)
    return np.asarray(table[levels], np.uint8)


def _unpack(rows: Pixels, header: BmpHeader) -> Pixels:
    """One palette index a sample, the leftmost in the highest bits."""
    bits = header.bits
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    indices = (rows[:, :, None] >> shifts & (1 << bits) - 1).reshape(header.height, -1)
    return np.asarray(indices[:, : header.width], np.uint8)


def _colours(header: BmpHeader) -> Pixels:
    """`[256,3]` RGB; an index beyond the palette is black."""
    count = len(header.palette) // header.entry_bytes
    table = np.zeros((_PALETTE_ENTRIES, 3), np.uint8)
    entries = np.frombuffer(header.palette, np.uint8, count * header.entry_bytes).reshape(count, -1)
    table[:count] = entries[:, 2::-1]
    return table


def _run_length(data: bytes, header: BmpHeader) -> Pixels:
    """RGB. Runs beyond a line are cut; pixels that no run reaches are black."""
    canvas = _Canvas(header)
    x = y = 0
    at = header.start
    try:
        while y < header.height:
            count, value = data[at], data[at + 1]
            at += 2
            if count:
                x = canvas.put(x, y, _repeated(count, value, header.bits))
            elif value == _END_OF_LINE:
                x, y = 0, y + 1
            elif value == _END_OF_BITMAP:
                break
            elif value == _DELTA:
                x, y = x + data[at], y + data[at + 1]
                at += 2
            else:
                length = (value * header.bits + 7) // 8
                literal = data[at : at + length]
                x = canvas.put(x, y, _literal(literal, value, header.bits))
                at += length + (length & 1)
    except IndexError:
        raise malformed("truncated BMP") from None
    return canvas.colours()


class _Canvas:
    """Palette indices, and which of them a run has reached."""

    def __init__(self, header: BmpHeader) -> None:
        self._header = header
        self._indices = bytearray(header.width * header.height)
        self._reached = bytearray(header.width * header.height)

    def put(self, x: int, y: int, run: bytes) -> int:
        """Where the line goes on."""
        visible = run[: max(0, self._header.width - x)]
        start = y * self._header.width + x
        self._indices[start : start + len(visible)] = visible
        self._reached[start : start + len(visible)] = b"\1" * len(visible)
        return x + len(run)

    def colours(self) -> Pixels:
        shape = (self._header.height, self._header.width)
        pixels = _colours(self._header)[np.frombuffer(self._indices, np.uint8).reshape(shape)]
        return pixels * np.frombuffer(self._reached, np.uint8).reshape(*shape, 1)


def _repeated(count: int, value: int, bits: int) -> bytes:
    if bits == 8:  # noqa: PLR2004
        return bytes((value,)) * count
    return (bytes((value >> 4, value & 15)) * (count // 2 + 1))[:count]


def _literal(packed: bytes, count: int, bits: int) -> bytes:
    if len(packed) * 8 < count * bits:
        raise IndexError
    if bits == 8:  # noqa: PLR2004
        return packed
    return bytes(nibble for byte in packed for nibble in (byte >> 4, byte & 15))[:count]
