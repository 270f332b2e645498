"""Decode a data set once, by the code that serves, into an array on disk."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moderation.errors import ImageError
from moderation.images import views
from moderation.training.data.dataset import Dataset

Progress = Callable[[str, int, int], None]
"""Progress: called with (what, done, of)."""


def silent(_what: str, _done: int, _of: int) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that could not be decoded: it takes no part, and reports name it."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What could be read of a data set.

    data:    the rows that could, N of them.
    pixels:  `[N,S,S,3] uint8`, view 0 of `moderation.images`.
    hashes:  `[N,32] uint8`, PDQ bits, for near-duplicates.
    skipped: the rest.
    """

    data: Dataset
    pixels: NDArray[np.uint8]
    hashes: NDArray[np.uint8]
    skipped: tuple[Skipped, ...]


def decode(data: Dataset, size: int, file: Path, progress: Progress = silent, threads: int = 2) -> Decoded:
    """Decode every image of `data` to `size` pixels; `file` is a new .npy that holds them."""
    pixels = np.lib.format.open_memmap(file, "w+", np.uint8, (len(data), size, size, 3))
    hashes = np.zeros((len(data), 32), np.uint8)
    kept: list[int] = []
    skipped: list[Skipped] = []
    with ThreadPoolExecutor(threads) as pool:
        answers = pool.map(lambda path: _decode(path, size), data.paths)
        for index, answer in enumerate(_told(answers, len(data), progress)):
            if isinstance(answer, Skipped):
                skipped.append(answer)
                continue
            pixels[len(kept)], hashes[len(kept)] = answer
            kept.append(index)
    rows = np.array(kept, np.intp)
    return Decoded(data.take(rows), pixels[: len(kept)], hashes[: len(kept)], tuple(skipped))


def _decode(path: Path, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | Skipped:
    try:
        found = views(path.read_bytes(), size)
    except ImageError as exc:
        return Skipped(path, str(exc))
    except OSError as exc:
        return Skipped(path, exc.strerror or "cannot be read")
    return found.pixels[0], np.frombuffer(bytes.fromhex(found.perceptual_hash), np.uint8)


Answer = tuple[NDArray[np.uint8], NDArray[np.uint8]] | Skipped


def _told(answers: Iterable[Answer], total: int, progress: Progress) -> Iterator[Answer]:
    for done, answer in enumerate(answers, 1):
        yield answer
        if done % 50 == 0 or done == total:
            progress("decode", done, total)
