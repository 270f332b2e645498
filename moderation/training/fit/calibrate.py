"""From logits to probabilities: a slope and an offset per label, fitted where nothing was trained.

Platt scaling (Platt 1999) with his smoothed targets: two numbers per label that fit inside the graph, keep
the order of images, and stay sane with the few positives that a validation split has. A prior draws both to
the unscaled output (1 and 0): a split of few sources should not decide for sources that it does not contain.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

FEWEST: Final = 10
"""Positives (and negatives) below which a label keeps its raw logits and is published as uncalibrated."""

PRIOR: Final = 0.1
"""Weight of log(slope)² + offset² beside the mean loss, divided by the number of sources: images of one source err
alike, so it is their sources that must outweigh it. Recipes may choose another, by what `cross_fitted` gives.
"""


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = sigmoid(slope · logit + offset), per label: `slope [L]`, `offset [L]`, `fitted [L] bool`."""

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]
    fitted: NDArray[np.bool_]

    def __call__(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """`[N,L]` logits → `[N,L]` probabilities."""
        return sigmoid(logits * self.slope + self.offset)


def sigmoid(x: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -60, 60))), dtype=np.float64)


def fit(
    logits: NDArray[np.floating], targets: NDArray[np.floating], source: NDArray[np.str_], weight: float = PRIOR
) -> Calibration:
    """`logits`, `targets [N,L]` (NaN unknown), `source [N]` → the calibration of each label; `weight` of the prior."""
    width = logits.shape[1]
    slope, offset = np.ones(width, np.float32), np.zeros(width, np.float32)
    fitted = np.zeros(width, np.bool_)
    for place in range(width):
        known = ~np.isnan(targets[:, place])
        truth = targets[known, place] > 0.5  # noqa: PLR2004 - half of 0..1
        if min(truth.sum(), (~truth).sum()) >= FEWEST:
            prior = weight / len(np.unique(source[known]))
            slope[place], offset[place] = _platt(logits[known, place], truth, prior)
            fitted[place] = True
    return Calibration(slope, offset, fitted)


def cross_fitted(
    logits: NDArray[np.floating], targets: NDArray[np.floating], source: NDArray[np.str_], weight: float = PRIOR
) -> NDArray[np.float64]:
    """`[N,L]` probabilities of each source by a calibration that was fitted on the other sources only.

    What calibration is worth on a source it never saw: `fit` is judged by these, not on its own images.
    """
    probabilities = np.zeros(logits.shape)
    for one in np.unique(source):
        held = source == one
        probabilities[held] = fit(logits[~held], targets[~held], source[~held], weight)(logits[held])
    return probabilities


def _platt(logit: NDArray[np.floating], truth: NDArray[np.bool_], prior: float) -> tuple[float, float]:
    ones, zeros = float(truth.sum()), float((~truth).sum())
    target = np.where(truth, (ones + 1) / (ones + 2), 1 / (zeros + 2))

    def loss(parameters: NDArray[np.floating]) -> float:
        z = logit * np.exp(parameters[0]) + parameters[1]
        return float(np.mean(np.logaddexp(0, z) - target * z) + prior * np.sum(parameters**2))

    best = minimize(  # type: ignore[no-untyped-call, unused-ignore]
        loss, np.zeros(2), method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-5}
    )
    return float(np.exp(best.x[0])), float(best.x[1])


@dataclass(frozen=True, slots=True)
class Space:
    """The whitened principal components of the training features: embedding = features @ project + origin.

    project `[F,E]`, origin `[E]`.  near, far: root mean square of the embedding at the median and at
    the 99th percentile of validation images.
    """

    project: NDArray[np.float32]
    origin: NDArray[np.float32]
    near: float
    far: float


def embedding_space(features: NDArray[np.float32], validation: NDArray[np.float32], width: int) -> Space:
    """Learn the space from training `features [N,F]`, its scale from `validation [M,F]` sources unseen.

    The length of a whitened embedding is the Mahalanobis distance to the training data (Lee et al. 2018).
    """
    mean = features.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(features - mean, rowvar=False))
    top = np.argsort(values)[::-1][:width]
    project = (vectors[:, top] / np.sqrt(values[top] + 1e-6)).astype(np.float32)
    origin = (-mean @ project).astype(np.float32)
    distance = np.sqrt(np.mean((validation @ project + origin) ** 2, axis=1))
    near, far = np.quantile(distance, (0.5, 0.99))
    return Space(project, origin, float(near), float(max(far, near + 1e-3)))
