"""What heads on frozen features reach on sources they never saw: for choosing, before anything is moved.

    python -m moderation.training.fit.probe --recipe recipes/brand_safety.yaml --work .training --penalty 0.005 0.02

Prints per label the AUC and the recall at 5% false positives on the validation split, and on views of
training sources left out in turn: of the backbone alone, and with the recipe's teachers beside it. Change
`backbone`, `teachers`, `views` or `rows` of the recipe to compare those.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from moderation.training import recipe
from moderation.training.data.training_set import TrainingSet
from moderation.training.fit import pipeline
from moderation.training.fit.train import fit_heads
from moderation.training.measure import metrics
from moderation.training.recipe import Recipe

_FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/brand_safety.yaml"))
    parser.add_argument("--work", type=Path, default=Path(".training"))
    parser.add_argument("--penalty", type=float, nargs="+", default=[0.005, 0.02, 0.06])
    chosen = parser.parse_args()
    read = recipe.read(chosen.recipe)
    given = pipeline.frozen(read, chosen.work)
    _probe(read, given, 1, chosen.penalty, "alone")
    if read.teachers:
        _probe(read, given, len(given.features), chosen.penalty, "with teachers")


def _probe(read: Recipe, given: pipeline.Frozen, networks: int, penalties: list[float], who: str) -> None:
    """Heads on what the first so many networks see."""
    features = np.concatenate(given.features[:networks], axis=1)
    unseen = np.concatenate(given.unseen[:networks], axis=1)
    for penalty in penalties:
        tried = read.model_copy(update={"fit": read.fit.model_copy(update={"penalty": penalty})})
        logits = _scores(tried, given.training, features, np.ones(len(features), np.bool_), unseen)
        told = _table(tried, logits, given.truth)
        sys.stdout.write(f"{who:13s} penalty {penalty:g}  validation    {told}\n")
        told = _table(tried, _left_out(tried, given.training, features), given.training.targets)
        sys.stdout.write(f"{who:13s} penalty {penalty:g}  sources out   {told}\n")
        sys.stdout.flush()


def _scores(
    tried: Recipe,
    training: TrainingSet,
    features: NDArray[np.float32],
    rows: NDArray[np.bool_],
    unseen: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Logits of `unseen [N,F]` by heads fitted on `rows` of the training set."""
    index = np.flatnonzero(rows)
    part = TrainingSet(training.pixels, training.targets[index], training.weight[index], training.source[index])
    head = fit_heads(tried, part, features[index])
    with torch.inference_mode():
        logits: NDArray[np.float32] = head(torch.from_numpy(unseen)).numpy()
    return logits


def _left_out(tried: Recipe, training: TrainingSet, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every view's logits by heads that saw nothing of its source; NaN for what code drew."""
    logits = np.full(training.targets.shape, np.nan, np.float32)
    for sources in folds(training.source):
        out = np.isin(training.source, sources)
        logits[out] = _scores(tried, training, features, ~out, features[out])
    return logits


def folds(source: NDArray[np.str_]) -> Iterator[list[str]]:
    """Whole sources in folds of about the same size, largest first."""
    names, counts = np.unique(source[source != "drawn"], return_counts=True)
    parts: list[list[str]] = [[] for _ in range(_FOLDS)]
    sizes = np.zeros(_FOLDS)
    for place in np.argsort(-counts, kind="stable"):
        smallest = int(sizes.argmin())
        parts[smallest].append(str(names[place]))
        sizes[smallest] += counts[place]
    yield from parts


def _table(tried: Recipe, logits: NDArray[np.float32], targets: NDArray[np.float32]) -> str:
    cells = []
    for place, name in enumerate(tried.data.names()):
        known = ~np.isnan(targets[:, place]) & ~np.isnan(logits[:, place])
        truth, score = (targets[known, place] > 0).astype(float), logits[known, place]
        if 0 < truth.sum() < len(truth):
            recall = metrics.operating_point(truth, score, 0.05).recall
            cells.append(f"{name} {metrics.auc(truth, score):.3f}/{recall:.3f}")
    return "  ".join(cells)


if __name__ == "__main__":
    main()
