"""Heads on embeddings: logistic regression with an L2 penalty, convex and without a seed, then calibration."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from moderation.errors import ConfigurationError
from moderation.training.fit.calibrate import sigmoid

Floats = NDArray[np.floating]

FOLDS: Final = 5
FILE: Final = "head.npz"


@dataclass(frozen=True, slots=True)
class TextHeads:
    """scores = sigmoid(embedding @ weight.T + bias): `labels [L]`, `weight [L,WIDTH]`, `bias [L]`."""

    labels: tuple[str, ...]
    weight: Floats
    bias: Floats

    def logits(self, embeddings: Floats) -> Floats:
        """`[N,WIDTH]` → `[N,L]`."""
        return np.asarray(embeddings @ self.weight.T + self.bias)

    def __call__(self, embeddings: Floats) -> Floats:
        """`[N,WIDTH]` → `[N,L]` probabilities."""
        return sigmoid(self.logits(embeddings))


def fit_one(embeddings: Floats, truth: Floats, weight: Floats, penalty: float) -> tuple[Floats, float]:
    """Weights `[WIDTH]` and offset of one label, over rows that are all known."""
    mean, deviation = embeddings.mean(axis=0), embeddings.std(axis=0) + 1e-3
    x = np.asarray((embeddings - mean) / deviation, np.float64)
    share = weight / weight.sum()

    def loss(parameters: Floats) -> tuple[float, Floats]:
        w, logit = parameters[:-1], x @ parameters[:-1] + parameters[-1]
        value = share @ (np.logaddexp(0, logit) - truth * logit) + penalty * (w @ w)
        error = share * (sigmoid(logit) - truth)
        return float(value), np.append(x.T @ error + 2 * penalty * w, error.sum())

    best = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 300})  # type: ignore[no-untyped-call, unused-ignore]
    w = best.x[:-1] / deviation
    return w, float(best.x[-1] - w @ mean)


def left_out(embeddings: Floats, truth: Floats, weight: Floats, source: NDArray[np.str_], penalty: float) -> Floats:
    """Logits `[N]` of every row by heads that saw nothing of its source."""
    logits = np.zeros(len(truth))
    for part in folds(source):
        out = np.isin(source, part)
        w, offset = fit_one(embeddings[~out], truth[~out], weight[~out], penalty)
        logits[out] = embeddings[out] @ w + offset
    return logits


def folds(source: NDArray[np.str_]) -> Iterator[list[str]]:
    """Whole sources in folds of about the same size, largest first."""
    names, counts = np.unique(source, return_counts=True)
    parts: list[list[str]] = [[] for _ in range(FOLDS)]
    sizes = np.zeros(FOLDS)
    for place in np.argsort(-counts, kind="stable"):
        smallest = int(sizes.argmin())
        parts[smallest].append(str(names[place]))
        sizes[smallest] += counts[place]
    yield from (part for part in parts if part)


def save(heads: TextHeads, folder: Path) -> None:
    """Write `head.npz`, where the served model reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"weight": heads.weight.astype(np.float32), "bias": heads.bias.astype(np.float32)}
    np.savez(folder / FILE, allow_pickle=False, labels=np.array(heads.labels), **arrays)


def load(folder: Path) -> TextHeads:
    """Read what `save` wrote. Raises ConfigurationError if it is not there."""
    try:
        with np.load(folder / FILE, allow_pickle=False) as kept:
            return TextHeads(tuple(kept["labels"].tolist()), kept["weight"], kept["bias"])
    except OSError as exc:
        raise ConfigurationError(f"{folder / FILE}: missing; run `adjudicate train` with a text recipe") from exc
