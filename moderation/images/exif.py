"""The one EXIF tag that changes what is seen: Orientation (EXIF 2.32, 4.6.4 A, tag 0x0112)."""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = 1
_SWAPS_SIDES: Final = frozenset({5, 6, 7, 8})
_BYTE_ORDERS: Final[dict[bytes, Literal["little", "big"]]] = {b"II*\0": "little", b"MM\0*": "big"}


def orientation(exif: bytes) -> int:
    """1 to 8; 1 where the block is absent or unreadable, as viewers take it."""
    order = _BYTE_ORDERS.get(exif[:4])
    if order is None:
        return _UPRIGHT
    start = int.from_bytes(exif[4:8], order)
    entries = int.from_bytes(exif[start : start + 2], order)
    for at in range(start + 2, min(start + 2 + 12 * entries, len(exif) - 11), 12):
        if int.from_bytes(exif[at : at + 2], order) == _ORIENTATION:
            value = int.from_bytes(exif[at + 8 : at + 10], order)
            return value if 1 <= value <= 8 else _UPRIGHT  # noqa: PLR2004 (the tag's own range)
    return _UPRIGHT


def swaps_sides(turned: int) -> bool:
    return turned in _SWAPS_SIDES


def upright(square: NDArray[np.uint8], turned: int) -> NDArray[np.uint8]:
    """Undo the orientation on `[S,S,3]`: turning commutes with squashing to a square, and is cheap there."""
    if swaps_sides(turned):
        square = square.transpose(1, 0, 2)
    rows = -1 if turned in (3, 4, 7, 8) else 1
    columns = -1 if turned in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(square[::rows, ::columns])
