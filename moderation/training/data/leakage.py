"""The same picture on both sides of a split makes every number wrong: find it by perceptual hash."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.events import PDQ_MATCH
from moderation.training.data.pixels import Decoded

_ROWS: Final = 256


@dataclass(frozen=True, slots=True)
class Leak:
    """One image of a split and its copy in another."""

    kept: Path
    copy: Path
    bits: int


def across_splits(decoded: Decoded, keep: str = "val") -> tuple[Leak, ...]:
    """Images outside of split `keep` that are near-duplicates of one inside it."""
    inside = np.flatnonzero(decoded.data.split == keep)
    outside = np.flatnonzero(decoded.data.split != keep)
    if not len(inside) or not len(outside):
        return ()
    leaks = []
    for start in range(0, len(outside), _ROWS):
        rows = outside[start : start + _ROWS]
        bits = distances(decoded.hashes[rows], decoded.hashes[inside])
        for row, line in zip(rows, bits, strict=True):
            nearest = int(line.argmin())
            if line[nearest] <= PDQ_MATCH:
                paths = decoded.data.paths
                leaks.append(Leak(paths[int(inside[nearest])], paths[int(row)], int(line[nearest])))
    return tuple(leaks)


def distances(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Hamming distances of packed bits: `[N,K]` and `[M,K]` → `[N,M]`."""
    return np.asarray(np.bitwise_count(left[:, None] ^ right[None]).sum(axis=2), dtype=np.int64)
