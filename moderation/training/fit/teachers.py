# mypy: disable-error-code="attr-defined, unused-ignore"
"""Published networks look at every view once; what they see together, the served network learns to say alone.

Their features, beside the network's own, fit heads whose answers are softer and better than the labels: they
cover cells that the manifest leaves unknown and disagree with labels that are wrong (Hinton et al. 2015). Their
features are learnt too, so that the network keeps what they know of images without any label (Romero et al. 2015).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from moderation.training.data import augment
from moderation.training.data.pixels import Progress, silent
from moderation.training.data.training_set import TrainingSet
from moderation.training.fit import calibrate
from moderation.training.fit.backbone import load
from moderation.training.fit.checkpoint import stages_of
from moderation.training.fit.lesson import Lesson
from moderation.training.fit.train import Network, fit_heads
from moderation.training.graph.served import CHUNK, session
from moderation.training.graph.tower import features_only
from moderation.training.recipe import Recipe, Teacher

_WIDTH: Final = 192
"""Directions of a teacher's features that are worth learning: its largest principal components."""

Floats = NDArray[np.float32]


def looks(teacher: Teacher, views: NDArray[np.uint8], progress: Progress = silent) -> Floats:
    """`[M,S,S,3] uint8` → the teacher's features `[M,F]`."""
    see = _graph(teacher.graph, teacher) if teacher.graph else _published(teacher)
    parts = []
    for start in range(0, len(views), CHUNK):
        chunk = views[start : start + CHUNK]
        parts.append(see(np.stack([augment.resize(view, teacher.size) for view in chunk])))
        progress(f"teacher {name_of(teacher)}", min(start + CHUNK, len(views)), len(views))
    return np.concatenate(parts)


def name_of(teacher: Teacher) -> str:
    return teacher.graph.stem if teacher.graph else teacher.backbone


def _published(teacher: Teacher) -> Callable[[NDArray[np.uint8]], Floats]:
    run = session(features_only(stages_of(load(teacher.backbone, teacher.size, 0)), teacher.size))
    return lambda views: np.asarray(run.run(["features"], {"image": views})[0])


def _graph(file: Path, teacher: Teacher) -> Callable[[NDArray[np.uint8]], Floats]:
    run: Any = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    entry = run.get_inputs()[0]
    planes = entry.shape[1] == 3  # noqa: PLR2004 - channels

    def see(views: NDArray[np.uint8]) -> Floats:
        x = views.astype(np.float32) / (255 if teacher.pixels == "unit" else 127.5)
        x = x if teacher.pixels == "unit" else x - 1
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if planes else x
        return np.asarray(run.run([teacher.output], {entry.name: x})[0].reshape(len(views), -1), np.float32)

    return see


def lesson(recipe: Recipe, training: TrainingSet, network: Network, own: Floats, seen: Sequence[Floats]) -> Lesson:
    """From the network's `own` features `[M,F]` and what each teacher has `seen` of the same views.

    Labels that the recipe does not have taught keep the answers of the network's own heads.
    """
    if not seen:
        return Lesson(training.targets, np.zeros((len(own), 0), np.float32))
    together = np.concatenate([own, *seen], axis=1)
    head = fit_heads(recipe, training, together)
    with torch.inference_mode():
        theirs = _probabilities(head(torch.from_numpy(together)).numpy(), recipe)
    ours = _probabilities(network.logits(own), recipe)
    taught = [name in recipe.fit.taught or not recipe.fit.taught for name in recipe.data.names()]
    soft = np.where(taught, theirs, ours)
    share = np.where(np.isnan(training.targets), 0, recipe.fit.truth)
    answers = share * np.nan_to_num(training.targets) + (1 - share) * soft
    return Lesson(answers.astype(np.float32), np.concatenate([_whitened(one) for one in seen], axis=1))


def _probabilities(logits: Floats, recipe: Recipe) -> NDArray[np.float64]:
    out = calibrate.sigmoid(logits)
    for members in recipe.data.groups().values():
        shares = np.exp(logits[:, members] - logits[:, members].max(axis=1, keepdims=True))
        out[:, members] = shares / shares.sum(axis=1, keepdims=True)
    return out


def _whitened(features: Floats) -> Floats:
    x = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-2)
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    top = np.argsort(values)[::-1][:_WIDTH]
    return np.asarray(x @ (vectors[:, top] / np.sqrt(values[top] + 1e-6)), np.float32)
