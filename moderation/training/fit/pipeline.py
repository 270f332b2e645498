"""`adjudicate train`: manifest → pixels → views → network → calibrated checkpoint, each stage kept on disk.

A work folder keeps what is slow to make, under the hash of what it was made from: a run that was stopped
goes on where it was, and a change of the fit does not decode or draw again.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from moderation.errors import ConfigurationError
from moderation.training.data import augment, dataset, leakage
from moderation.training.data.pixels import Decoded, Progress, Skipped, decode, silent
from moderation.training.data.training_set import Studio, TrainingSet
from moderation.training.fit import calibrate, checkpoint, teachers
from moderation.training.fit.checkpoint import Checkpoint
from moderation.training.fit.losses import leaning
from moderation.training.fit.teachers import looks, name_of
from moderation.training.fit.train import Network, fine_tune, fit_heads, keep_earlier_heads, pretrained
from moderation.training.graph.quantize import KEPT_STAGES
from moderation.training.graph.tower import Heads
from moderation.training.measure import metrics
from moderation.training.recipe import Recipe

SOURCE_SIDE: Final = 288
"""Views are drawn from images of this side, so that a crop still has pixels to lose."""


_SPACE_IMAGES: Final = 2500
"""Training images that the embedding space is learnt from: ten for each of its 256 directions."""


def run(recipe: Recipe, work: Path, progress: Progress = silent) -> Checkpoint:
    """Train `recipe`. Raises ConfigurationError (a ManifestError with every bad row) before anything starts."""
    _require_teachers(recipe)
    work.mkdir(parents=True, exist_ok=True)
    data = dataset.read(recipe.manifest, recipe.data)
    _refuse_untrainable(recipe, data)
    large = _decoded(recipe, data, SOURCE_SIDE, work, progress)
    leaks = leakage.across_splits(large)
    large = _without(large, {leak.copy for leak in leaks})
    training = _drawn(recipe, large, work, progress)
    network = pretrained(recipe)
    pixels = _pixels(recipe, training, work)
    own = _kept(work, recipe, _begun(recipe), lambda: network.embed(pixels, progress))
    network.head = fit_heads(recipe, training, own)
    lesson = teachers.lesson(recipe, training, network, own, _seen(recipe, training, work, progress))
    fine_tune(network, recipe, lesson, training.weight, _inputs(recipe, network, pixels, work, progress), progress)
    small = _decoded(recipe, data, recipe.size, work, progress)
    with torch.no_grad():
        network.head.bias -= torch.from_numpy(leaning(recipe.data, training.targets))
    keep_earlier_heads(network, recipe)
    unrounded: dict[str, float] = {}
    if recipe.fit.int8:
        unrounded = _precision(recipe, network, small, progress)
        network.backbone.keep_rounded_weights()
    made = _finished(recipe, network, small, large.skipped, len(leaks), progress)
    made.about["average_precision_before_weights_were_rounded"] = unrounded
    return made


def _precision(recipe: Recipe, network: Network, decoded: Decoded, progress: Progress) -> dict[str, float]:
    """Average precision of each label on the validation split, where it has positives and negatives."""
    val = np.flatnonzero(decoded.data.split == "val")
    logits, truth = network.logits(network.embed(decoded.pixels[val], progress)), decoded.data.targets[val]
    of = map(metrics.known_precision, truth.T, logits.T)
    return {name: value for name, value in zip(recipe.data.names(), of, strict=True) if value is not None}


@dataclass(frozen=True, slots=True)
class Frozen:
    """What heads can be fitted on before anything is moved.

    features: `[M,F]` each, of the training set's views by the backbone as published, then by each teacher.
    truth `[V,L]` and unseen, `[V,F]` each, of the validation split.
    """

    training: TrainingSet
    features: list[NDArray[np.float32]]
    truth: NDArray[np.float32]
    unseen: list[NDArray[np.float32]]


def frozen(recipe: Recipe, work: Path, progress: Progress = silent) -> Frozen:
    """Features by the backbone as published, and by the recipe's teachers."""
    _require_teachers(recipe)
    work.mkdir(parents=True, exist_ok=True)
    data = dataset.read(recipe.manifest, recipe.data)
    large = _decoded(recipe, data, SOURCE_SIDE, work, progress)
    large = _without(large, {leak.copy for leak in leakage.across_splits(large)})
    training, network = _drawn(recipe, large, work, progress), pretrained(recipe)
    pixels = _pixels(recipe, training, work)
    small = _decoded(recipe, data, recipe.size, work, progress)
    val = np.flatnonzero(small.data.split == "val")
    own = _kept(work, recipe, _begun(recipe), lambda: network.embed(pixels, progress))
    shown = _decoded(recipe, data, recipe.side, work, progress).pixels[val]
    return Frozen(
        training,
        [own, *_seen(recipe, training, work, progress)],
        small.data.targets[val],
        [network.embed(small.pixels[val], progress), *(looks(one, shown, progress) for one in recipe.teachers)],
    )


def _seen(recipe: Recipe, training: TrainingSet, work: Path, progress: Progress) -> list[NDArray[np.float32]]:
    return [
        _kept(work, recipe, f"{name_of(one)}-{one.size}", partial(looks, one, training.pixels, progress))
        for one in recipe.teachers
    ]


def _require_teachers(recipe: Recipe) -> None:
    if recipe.start and not recipe.start.graph.is_file():
        raise ConfigurationError(f"the recipe's start.graph {recipe.start.graph}: no such file; put it there")
    for place, teacher in enumerate(recipe.teachers):
        if teacher.graph and not teacher.graph.is_file():
            raise ConfigurationError(
                f"the recipe's teachers.{place}.graph {teacher.graph}: no such file; "
                "put it there, or leave this teacher out"
            )


def _refuse_untrainable(recipe: Recipe, data: dataset.Dataset) -> None:
    train = data.targets[data.split == "train"]
    for place, name in enumerate(recipe.data.names()):
        column = train[:, place]
        if not (column > 0).any() or not (column == 0).any():
            kind = "positive" if not (column > 0).any() else "negative"
            raise ConfigurationError(f"{recipe.manifest}: label {name} has no {kind} in split train")


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _decoded(recipe: Recipe, data: dataset.Dataset, side: int, work: Path, progress: Progress) -> Decoded:
    key = _key("decoded", side, recipe.manifest, recipe.manifest.stat().st_mtime_ns, recipe.data)
    pixels, index = work / f"pixels-{key}.npy", work / f"pixels-{key}.npz"
    if index.is_file():
        kept = np.load(index, allow_pickle=False)
        skipped = tuple(Skipped(Path(one["path"]), one["reason"]) for one in json.loads(str(kept["skipped"])))
        stored = np.load(pixels, mmap_mode="r", allow_pickle=False)[: len(kept["rows"])]
        return Decoded(data.take(kept["rows"]), stored, kept["hashes"], skipped)
    found = decode(data, side, pixels, progress)
    at = {path: row for row, path in enumerate(data.paths)}
    rows = np.array([at[path] for path in found.data.paths], np.intp)
    told = [{"path": str(one.path), "reason": one.reason} for one in found.skipped]
    np.savez(index, rows=rows, hashes=found.hashes, skipped=np.array(json.dumps(told)))
    return found


def _without(decoded: Decoded, copies: set[Path]) -> Decoded:
    """Near-duplicates of validation images take no part in training."""
    rows = np.array([row for row, path in enumerate(decoded.data.paths) if path not in copies], np.intp)
    if len(rows) == len(decoded.data):
        return decoded
    return Decoded(decoded.data.take(rows), decoded.pixels[rows], decoded.hashes[rows], decoded.skipped)


def _views_key(recipe: Recipe) -> str:
    stat = recipe.manifest.stat()
    drawn = (recipe.rows, recipe.balance, recipe.views, recipe.seed, recipe.side)
    return _key("views", recipe.manifest, stat.st_mtime_ns, recipe.data, *drawn)


def _drawn(recipe: Recipe, decoded: Decoded, work: Path, progress: Progress) -> TrainingSet:
    key = _views_key(recipe)
    pixels, index = work / f"views-{key}.npy", work / f"views-{key}.npz"
    if index.is_file():
        kept = np.load(index, allow_pickle=False)
        stored = np.load(pixels, mmap_mode="r", allow_pickle=False)
        return TrainingSet(stored, kept["targets"], kept["weight"], kept["source"])
    training = Studio(decoded, recipe).draw(pixels, progress)
    np.savez(index, targets=training.targets, weight=training.weight, source=training.source)
    return training


def _pixels(recipe: Recipe, training: TrainingSet, work: Path) -> NDArray[np.uint8]:
    """The views at the size that will be served."""
    if recipe.side == recipe.size:
        return training.pixels

    def shrink(scratch: Path) -> None:
        shape = (len(training.pixels), recipe.size, recipe.size, 3)
        small = np.lib.format.open_memmap(scratch, "w+", np.uint8, shape)
        for row, view in enumerate(training.pixels):
            small[row] = augment.resize(view, recipe.size)

    return _made_once(work / f"small-{_views_key(recipe)}-{recipe.size}.npy", shrink)


def _begun(recipe: Recipe) -> str:
    """Names the network that training begins with."""
    if not recipe.start:
        return recipe.backbone
    return f"{recipe.backbone}-from-{hashlib.sha256(recipe.start.graph.read_bytes()).hexdigest()[:16]}"


def _kept(work: Path, recipe: Recipe, name: str, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Features of the views."""
    file = work / f"features-{_views_key(recipe)}-{name}.npy"
    return np.array(_made_once(file, lambda scratch: np.save(scratch, make())))


def _made_once(file: Path, make: Callable[[Path], object]) -> NDArray[Any]:
    """What `make` writes; `file` is there only when it is whole."""
    if not file.is_file():
        scratch = file.with_suffix(".partial.npy")
        make(scratch)
        scratch.replace(file)
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))


def _inputs(
    recipe: Recipe, network: Network, pixels: NDArray[np.uint8], work: Path, progress: Progress
) -> NDArray[Any]:
    """What the part of the network that moves is fed."""
    if recipe.cut == 0 or not recipe.fit.epochs:
        return pixels
    rounded = f"-int8-from-{KEPT_STAGES}" if recipe.fit.int8 else ""
    name = f"halfway-{_views_key(recipe)}-{_begun(recipe)}-{recipe.size}-{recipe.cut}{rounded}"
    return _made_once(work / f"{name}.npy", lambda scratch: network.halfway(pixels, recipe, scratch, progress))


def _finished(
    recipe: Recipe, network: Network, decoded: Decoded, skipped: tuple[Skipped, ...], leaks: int, progress: Progress
) -> Checkpoint:
    """Calibrate on the validation split and learn what the training data look like."""
    val = np.flatnonzero(decoded.data.split == "val")
    train = np.flatnonzero(decoded.data.split == "train")
    some = np.random.default_rng(recipe.seed).permutation(train)[:_SPACE_IMAGES]
    seen = network.embed(decoded.pixels[np.sort(some)], progress)
    unseen = network.embed(decoded.pixels[val], progress)
    logits, truth, source = network.logits(unseen), decoded.data.targets[val], decoded.data.source[val]
    calibration = calibrate.fit(logits, truth, source, recipe.fit.prior)
    space = calibrate.embedding_space(seen, unseen, recipe.embedding)
    head = network.head
    weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
    heads = Heads(
        labels=recipe.data.names(),
        weight=weight * calibration.slope[:, None],
        bias=bias * calibration.slope + calibration.offset,
        groups=tuple(recipe.data.groups().values()),
        project=space.project,
        origin=space.origin,
        near=space.near,
        far=space.far,
    )
    about = _about(recipe, calibration, skipped, leaks, decoded)
    about["calibration_error_on_other_sources"] = _honest_error(recipe, logits, truth, source)
    return Checkpoint(checkpoint.stages_of(network.backbone), heads, about)


def _honest_error(
    recipe: Recipe, logits: NDArray[np.float32], truth: NDArray[np.float32], source: NDArray[np.str_]
) -> dict[str, float]:
    """Of each label's probabilities, when every source is judged by a calibration that never saw it."""
    probabilities = calibrate.cross_fitted(logits, truth, source, recipe.fit.prior)
    told = {}
    for place, name in enumerate(recipe.data.names()):
        known = ~np.isnan(truth[:, place])
        if known.any():
            told[name] = metrics.calibration_error(truth[known, place], probabilities[known, place])
    return told


def _about(
    recipe: Recipe, calibration: calibrate.Calibration, skipped: tuple[Skipped, ...], leaks: int, decoded: Decoded
) -> dict[str, Any]:
    names = recipe.data.names()
    return {
        "recipe": recipe.portable(),
        "calibrated": [name for name, done in zip(names, calibration.fitted, strict=True) if done],
        "slope": calibration.slope.tolist(),
        "offset": calibration.offset.tolist(),
        "skipped": [dataclasses.asdict(one) | {"path": one.path.name} for one in skipped],
        "near_duplicates_left_out": leaks,
        "images": {split: int((decoded.data.split == split).sum()) for split in dataset.SPLITS},
        "sources": sorted({str(one) for one in decoded.data.source[decoded.data.split == "train"]}),
    }
