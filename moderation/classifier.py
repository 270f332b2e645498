"""The seam to the model: what a classifier is, and the one that asks Triton."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moderation.events import ModelStamp


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model says of itself.

    labels: order of the columns of `Scores.values`.
    size:   S of the input `[B,S,S,3] uint8`, pixels.
    """

    stamp: ModelStamp
    labels: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Scores:
    """The answer for a batch of B images.

    values:      `[B,L] float32`, calibrated probabilities in `spec.labels` order.
    uncertainty: `[B] float32` in 0..1, how unlike the training data each image is.
    embedding:   `[B,E] float32`.
    """

    spec: ModelSpec
    values: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    embedding: NDArray[np.float32]


class Classifier(Protocol):
    def spec(self) -> ModelSpec:
        """What is being served. Raises ModelUnavailable."""

    def submit(self, images: NDArray[np.uint8], timeout_s: float) -> "Future[Scores]":
        """Score `[B,S,S,3] uint8` RGB images; the future raises a ModelError."""

    def is_ready(self) -> bool:
        """Whether the model would answer now. Never raises."""

    def close(self) -> None: ...
