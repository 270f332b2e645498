# mypy: disable-error-code="attr-defined, unused-ignore"
"""The served graph, run here by ONNX Runtime: what evaluation and parity look at. Needs no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from moderation.errors import ConfigurationError
from moderation.training.data.pixels import Progress, silent
from moderation.training.graph.assemble import SERVED, read_labels

CHUNK: Final = 16
"""Images that a graph is given at a time."""


@dataclass(frozen=True, slots=True)
class Answers:
    """`scores [N,L]`, `uncertainty [N]` and `embedding [N,E]`, float32."""

    scores: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Served:
    """A graph with the serving contract's names and its labels."""

    labels: tuple[str, ...]
    session: Any

    @property
    def size(self) -> int:
        return int(self.session.get_inputs()[0].shape[1])

    def __call__(self, images: NDArray[np.uint8], progress: Progress = silent) -> Answers:
        """Score `[N,S,S,3] uint8`."""
        scores, uncertainty, embedding = outputs(self.session, ("scores", "uncertainty", "embedding"), images, progress)
        return Answers(scores, uncertainty.reshape(-1), embedding)


def outputs(
    session: Any, names: tuple[str, ...], images: NDArray[np.uint8], progress: Progress = silent
) -> tuple[NDArray[np.float32], ...]:
    """The named outputs for `[N,S,S,3] uint8`, each `[N,…]`."""
    parts = [part for _, part in by_chunk(session, names, images, progress)]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def by_chunk(
    session: Any, names: tuple[str, ...], images: NDArray[np.uint8], progress: Progress = silent
) -> Iterator[tuple[slice, list[NDArray[np.float32]]]]:
    """The same a few images at a time: which they are, and the named outputs."""
    for start in range(0, len(images), CHUNK):
        rows = slice(start, min(start + CHUNK, len(images)))
        yield rows, session.run(list(names), {"image": np.ascontiguousarray(images[rows])})
        progress("score", rows.stop, len(images))


def open_model(model: Path, threads: int = 2) -> Served:
    """The assembled graph of a Triton model folder. Raises ConfigurationError if it is not there."""
    return Served(read_labels(model), session(model / SERVED, threads))


def session(model: Path | onnx.ModelProto, threads: int = 2) -> Any:
    """An ONNX Runtime session on the CPU, of a file or of a graph in memory."""
    if isinstance(model, Path) and not model.is_file():
        raise ConfigurationError(f"{model}: missing; run `adjudicate assemble`")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
