"""What a report says about one label: pure functions of targets and scores.

Everywhere `truth [N]` holds 0 and 1 (no NaN) and `score [N]` probabilities.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Floats = NDArray[np.floating]
Metric = Callable[[Floats, Floats], float]

BINS: Final = 15
"""Bins of equal count for calibration curves."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95% confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a threshold that lets `false_positives` (share of negatives) through gives."""

    false_positives: float
    threshold: float
    recall: float
    precision: float


def known_precision(target: Floats, score: Floats) -> float | None:
    """Average precision over the rows of `target [N]` that are known (not NaN); None where one kind is missing."""
    known = ~np.isnan(target)
    truth = (target[known] > 0.5).astype(float)  # noqa: PLR2004 - half of 0..1
    return average_precision(truth, score[known]) if 0 < truth.sum() < len(truth) else None


def average_precision(truth: Floats, score: Floats) -> float:
    return float(average_precision_score(truth, score))


def auc(truth: Floats, score: Floats) -> float:
    """Area under the ROC curve."""
    return float(roc_auc_score(truth, score))


def recall_at(false_positives: float) -> Metric:
    """Recall where at most this share of negatives is above the threshold."""
    return lambda truth, score: operating_point(truth, score, false_positives).recall


def operating_point(truth: Floats, score: Floats, false_positives: float) -> OperatingPoint:
    """The lowest threshold that at most `false_positives` of the negatives exceed."""
    negatives = np.sort(score[truth == 0])[::-1]
    threshold = float(negatives[min(int(false_positives * len(negatives)), len(negatives) - 1)])
    above = score > threshold
    hits = float(above[truth == 1].sum())
    return OperatingPoint(
        false_positives,
        threshold,
        recall=hits / max(float((truth == 1).sum()), 1.0),
        precision=hits / max(float(above.sum()), 1.0),
    )


def calibration_curve(truth: Floats, score: Floats, bins: int = BINS) -> Floats:
    """`[bins,3]`: mean score, share of positives and count, bins of equal count in order of score."""
    order = np.argsort(score, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    return np.array([(score[part].mean(), truth[part].mean(), len(part)) for part in parts])


def calibration_error(truth: Floats, score: Floats) -> float:
    """Expected calibration error over bins of equal count (Nguyen and O'Connor 2015)."""
    mean, share, count = calibration_curve(truth, score).T
    return float((np.abs(mean - share) * count).sum() / count.sum())


def bootstrap(metric: Metric, truth: Floats, score: Floats, rounds: int = 400, seed: int = 0) -> Interval:
    """Percentile bootstrap over images, positives and negatives drawn apart so that neither runs out."""
    rng = np.random.default_rng(seed)
    ones, zeros = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    values = []
    for _ in range(rounds):
        rows = np.concatenate([rng.choice(ones, len(ones)), rng.choice(zeros, len(zeros))])
        values.append(metric(truth[rows], score[rows]))
    low, high = np.percentile(values, (2.5, 97.5))
    return Interval(metric(truth, score), float(low), float(high))
