"""The pictures of a report: matplotlib figures as SVG, thumbnails as JPEG, both inline."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")  # no display, no window: reports are written on servers
from matplotlib import pyplot as plt

_SIDE = 132


def calibration(labels: Mapping[str, Any]) -> str:
    """One curve per label that has one: mean score against share of positives."""
    figure, axes = plt.subplots(figsize=(5.2, 4.4))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    for name, told in labels.items():
        if curve := told.get("calibration_curve"):
            mean, share, _ = np.array(curve).T
            axes.plot(mean, share, marker="o", markersize=3, label=name)
    axes.set_xlabel("score")
    axes.set_ylabel("share of positives")
    axes.legend(fontsize=8)
    return _svg(figure)


def precision_recall(names: Sequence[str], targets: NDArray[np.floating], scores: NDArray[np.floating]) -> str:
    """Recall against the share of negatives let through, on a logarithmic axis."""
    figure, axes = plt.subplots(figsize=(5.2, 4.4))
    for place, name in enumerate(names):
        known = ~np.isnan(targets[:, place])
        truth, score = targets[known, place] > 0.5, scores[known, place]  # noqa: PLR2004 - half
        if truth.any() and (~truth).any():
            edges = np.quantile(score[~truth], 1 - np.geomspace(0.001, 1, 60))
            recall = [(score[truth] > edge).mean() for edge in edges]
            axes.semilogx(np.geomspace(0.001, 1, 60), recall, label=name)
    axes.set_xlabel("false positives, share of negatives")
    axes.set_ylabel("recall")
    axes.legend(fontsize=8)
    return _svg(figure)


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.tight_layout()
    figure.savefig(buffer, format="svg")
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def thumbnail(image: NDArray[np.uint8]) -> str:
    """`[S,S,3] uint8` RGB → a data URI."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(small[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
