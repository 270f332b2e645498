"""How good a model is on a manifest, label by label, source by source, with intervals; refuses to guess."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from moderation.training.data.label_schema import Where
from moderation.training.fit.calibrate import FEWEST
from moderation.training.measure import metrics

FALSE_POSITIVES: Final = (0.01, 0.05)
"""Shares of negatives that operating points let through."""

_PART_ROUNDS: Final = 200
"""Bootstrap rounds for a source or slice: there are many of them."""

HALF: Final = 0.5
_WORST: Final = 12


class Labelled(Protocol):
    """N images or lines: `source [N]`, `targets [N,L]` (NaN unknown), `facts` of `[N]` for slices."""

    @property
    def source(self) -> NDArray[np.str_]: ...
    @property
    def targets(self) -> NDArray[np.float32]: ...
    @property
    def facts(self) -> dict[str, NDArray[np.str_]]: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything a report shows; `facts` is the JSON, `worst` the rows of each label's worst mistakes."""

    facts: dict[str, Any]
    worst: dict[str, dict[str, list[int]]]


def evaluate(
    data: Labelled,
    names: tuple[str, ...],
    scores: NDArray[np.floating],
    slices: Mapping[str, Where],
    rounds: int = 400,
) -> Evaluation:
    """`scores [N,L]` against `data.targets [N,L]`, both in the order of `names`."""
    labels: dict[str, Any] = {}
    worst: dict[str, dict[str, list[int]]] = {}
    for place, name in enumerate(names):
        truth, score = data.targets[:, place], scores[:, place].astype(np.float64)
        labels[name] = one_label(truth, score, rounds)
        labels[name]["sources"] = _by_value(data.source, truth, score)
        labels[name]["slices"] = _by_slice(data, truth, score, slices)
        worst[name] = _worst(truth, score)
    facts = {
        "images": len(data),
        "labels": labels,
        "confusion": confusion(data.targets, scores, names, labels),
        "slices_unknown": _unknown_slices(data, slices),
    }
    return Evaluation(facts, worst)


def one_label(truth: NDArray[np.floating], score: NDArray[np.floating], rounds: int = 400) -> dict[str, Any]:
    """The numbers of one label, or the refusal to give any where positives or negatives are missing."""
    known = ~np.isnan(truth)
    truth, score = (truth[known] > HALF).astype(float), score[known]
    ones, zeros = int(truth.sum()), int((1 - truth).sum())
    told: dict[str, Any] = {"positives": ones, "negatives": zeros, "unknown": int((~known).sum())}
    if zeros:
        told["false_alarms_at_half"] = float((score[truth == 0] >= HALF).mean())
    if not ones or not zeros:
        missing = "positives" if not ones else "negatives"
        told["refused"] = f"no {missing} in this split: no ranking, recall or calibration can be reported"
        return told
    told["average_precision"] = _interval(metrics.average_precision, truth, score, rounds)
    told["auc"] = _interval(metrics.auc, truth, score, rounds)
    told["operating_points"] = [_point(truth, score, share, rounds) for share in FALSE_POSITIVES]
    told["calibration_error"] = metrics.calibration_error(truth, score)
    told["calibration_curve"] = metrics.calibration_curve(truth, score).tolist()
    if min(ones, zeros) < FEWEST:
        told["warning"] = f"only {min(ones, zeros)} of one kind: read the intervals, not the values"
    return told


def _interval(
    metric: metrics.Metric, truth: NDArray[np.floating], score: NDArray[np.floating], rounds: int
) -> dict[str, float]:
    found = metrics.bootstrap(metric, truth, score, rounds)
    return {"value": found.value, "low": found.low, "high": found.high}


def _point(truth: NDArray[np.floating], score: NDArray[np.floating], share: float, rounds: int) -> dict[str, Any]:
    point = metrics.operating_point(truth, score, share)
    return {
        "false_positives": share,
        "threshold": point.threshold,
        "precision": point.precision,
        "recall": _interval(metrics.recall_at(share), truth, score, rounds),
    }


def part(truth: NDArray[np.floating], score: NDArray[np.floating]) -> dict[str, Any] | None:
    """A source or slice: counts and shares above one half, AUC and recall at its own 5% of false positives.

    `auc_interval` is there from FEWEST images of either kind on: of fewer it would cover everything.
    """
    known = ~np.isnan(truth)
    shown, score = truth[known] > HALF, score[known]
    if not len(shown):
        return None
    told: dict[str, Any] = {"positives": int(shown.sum()), "negatives": int((~shown).sum())}
    if shown.any():
        told["found_at_half"] = float((score[shown] >= HALF).mean())
    if (~shown).any():
        told["false_alarms_at_half"] = float((score[~shown] >= HALF).mean())
    if shown.any() and (~shown).any():
        told |= _ranking(shown.astype(float), score)
    return told


def _ranking(truth: NDArray[np.floating], score: NDArray[np.floating]) -> dict[str, Any]:
    share = FALSE_POSITIVES[-1]
    told: dict[str, Any] = {
        "auc": metrics.auc(truth, score),
        "recall": metrics.operating_point(truth, score, share).recall,
    }
    if min(truth.sum(), (1 - truth).sum()) >= FEWEST:
        found = metrics.bootstrap(metrics.auc, truth, score, _PART_ROUNDS)
        told["auc_interval"] = [found.low, found.high]
    return told


def _by_value(values: NDArray[np.str_], truth: NDArray[np.floating], score: NDArray[np.floating]) -> dict[str, Any]:
    parts = {str(value): part(truth[values == value], score[values == value]) for value in np.unique(values)}
    return {name: told for name, told in parts.items() if told}


def _by_slice(
    data: Labelled, truth: NDArray[np.floating], score: NDArray[np.floating], slices: Mapping[str, Where]
) -> dict[str, Any]:
    found = {}
    for name, where in slices.items():
        inside = members(data, where)
        if inside is not None and (told := part(truth[inside], score[inside])):
            found[name] = told
    return found


def members(data: Labelled, where: Where) -> NDArray[np.bool_] | None:
    """The rows of a slice, or None where the manifest lacks the columns."""
    if any(column not in data.facts for column in where):
        return None
    inside = np.ones(len(data), np.bool_)
    for column, values in where.items():
        inside &= np.isin(data.facts[column], values)
    return inside


def _unknown_slices(data: Labelled, slices: Mapping[str, Where]) -> list[str]:
    absent = [name for name, where in slices.items() if (rows := members(data, where)) is None or not rows.any()]
    return [f"{name}: not known (the manifest has no such rows)" for name in absent]


def confusion(
    targets: NDArray[np.floating],
    scores: NDArray[np.floating],
    names: tuple[str, ...],
    labels: Mapping[str, Any],
) -> dict[str, dict[str, float]]:
    """Of the images that show one label and are known not to show another, the share called the other.

    "Called" means above the other label's threshold for 5% false positives.
    """
    table: dict[str, dict[str, float]] = {}
    for row, shown in enumerate(names):
        table[shown] = {}
        for column, other in enumerate(names):
            points = labels[other].get("operating_points")
            rows = (targets[:, row] > HALF) & (targets[:, column] == 0)
            if row != column and points and rows.any():
                called = scores[rows, column] > points[-1]["threshold"]
                table[shown][other] = float(called.mean())
    return table


def _worst(truth: NDArray[np.floating], score: NDArray[np.floating]) -> dict[str, list[int]]:
    """Rows of the highest-scored negatives and the lowest-scored positives."""
    negatives, positives = np.flatnonzero(truth == 0), np.flatnonzero(truth > HALF)
    return {
        "false alarms": negatives[np.argsort(-score[negatives], kind="stable")][:_WORST].tolist(),
        "misses": positives[np.argsort(score[positives], kind="stable")][:_WORST].tolist(),
    }
