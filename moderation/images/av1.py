"""The colour that an AV1 stream announces, for an AVIF whose container has none (AV1 specification, 5.5).

Only still pictures' short sequence headers are read. One is believed where its size is the canvas's.
"""

from collections.abc import Iterator
from typing import Final

_SEQUENCE_HEADER: Final = 0x0A
_LONGEST: Final = 32
_SEARCHED_BYTES: Final = 256 * 1024
_PROFILE_WITHOUT_GREY: Final = 1


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data), 8 * len(data)

    def take(self, count: int) -> int:
        """Raises ValueError behind the end."""
        self._left -= count
        if self._left < 0:
            raise ValueError("too short")
        return self._value >> self._left & (1 << count) - 1


def code_points(data: bytes, width: int, height: int) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics; None where no header of that size has them."""
    for header in _headers(data):
        try:
            found = _read(_Bits(header), width, height)
        except ValueError:
            continue
        if found:
            return found
    return None


def _headers(data: bytes) -> Iterator[bytes]:
    """Whatever may be a sequence header with a size field."""
    at = data.find(_SEQUENCE_HEADER, 0, _SEARCHED_BYTES)
    while at >= 0:
        if at + 1 < len(data) and data[at + 1] <= _LONGEST:
            yield data[at + 2 : at + 2 + data[at + 1]]
        at = data.find(_SEQUENCE_HEADER, at + 1, _SEARCHED_BYTES)


def _read(bits: _Bits, width: int, height: int) -> tuple[int, int] | None:
    profile, still, short = bits.take(3), bits.take(1), bits.take(1)
    if not (still and short):
        return None
    bits.take(5)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    if (bits.take(width_bits) + 1, bits.take(height_bits) + 1) != (width, height):
        return None
    bits.take(6)
    high_depth = bits.take(1)
    if profile > _PROFILE_WITHOUT_GREY and high_depth:
        bits.take(1)
    if profile != _PROFILE_WITHOUT_GREY:
        bits.take(1)
    if not bits.take(1):
        return None
    return bits.take(8), bits.take(8)
