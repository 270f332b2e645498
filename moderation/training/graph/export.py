"""A checkpoint becomes a Triton model: tower, configurations, labels, and int8 only where it is as good."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from moderation.images import PREPROCESSING
from moderation.labels import LabelCatalogue
from moderation.training.fit.checkpoint import Checkpoint
from moderation.training.graph import assemble, quantize, served, tower, triton_config
from moderation.training.measure import metrics
from moderation.training.recipe import Recipe

MOST_PRECISION_LOST: Final = 0.005
"""Average precision that int8 may lose on any label."""

MOST_FLIPPED: Final = 0.01
"""Share of decisions at 0.5 that int8 may turn."""

_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Gate:
    """int8 against fp32 on the same images: worst label of each.

    A network trained as int8 has int8's weights in float too: here the rounding of activations is judged. What
    rounding its weights cost, training records (`average_precision_before_weights_were_rounded`).
    """

    precision_lost: float
    flipped: float

    @property
    def passed(self) -> bool:
        return self.precision_lost <= MOST_PRECISION_LOST and self.flipped <= MOST_FLIPPED


def export(
    checkpoint: Checkpoint,
    recipe: Recipe,
    images: NDArray[np.uint8],
    targets: NDArray[np.floating],
    catalogue: LabelCatalogue,
) -> dict[str, Any]:
    """Write the model folder of `recipe`; returns what `export.json` says of it.

    `images [N,S,S,3] uint8` and `targets [N,L]` (the recipe's labels) are the validation split: int8 is
    measured on it and ships only if its gate passes.
    """
    model = recipe.model
    labels = _in_order((*checkpoint.heads.labels, "adult"), catalogue)
    (model / assemble.BRAND_TOWER).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(_tower(checkpoint, recipe), model / assemble.BRAND_TOWER)
    _write_config(model, checkpoint, recipe, labels, "fp32")
    assemble.write_plan(model, ())
    joined = assemble.joined(model)
    full = scores(joined, images)
    gates: dict[str, Gate] = {}
    int8: tuple[str, ...] = ()
    for towers in (("adult", "brand"), ("adult",)):
        small = _quantized(joined, model, towers, images)
        gates["+".join(towers)] = gate = compare(full, small, _columns(model, checkpoint, targets))
        if gate.passed:
            assemble.write_plan(model, towers)
            _write_config(model, checkpoint, recipe, labels, "int8-" + "-".join(towers))
            int8 = towers
            break
        assemble.ranges(model).unlink(missing_ok=True)
    told = {"labels": labels, "int8": int8, "gates": {name: asdict(gate) for name, gate in gates.items()}}
    (model / "export.json").write_text(json.dumps(told | {"training": checkpoint.about}, indent=1) + "\n")
    return told


def _tower(checkpoint: Checkpoint, recipe: Recipe) -> onnx.ModelProto:
    about = {"name": recipe.name, "version": recipe.version, "preprocessing": PREPROCESSING}
    return tower.build(checkpoint.stages, checkpoint.heads, recipe.size, about)


def _in_order(names: tuple[str, ...], catalogue: LabelCatalogue) -> tuple[str, ...]:
    """Labels of the catalogue in its order, then a client's own in the recipe's."""
    own = [name for name in names if name not in catalogue.names]
    return (*(name for name in catalogue.names if name in names), *own)


def _write_config(model: Path, checkpoint: Checkpoint, recipe: Recipe, labels: tuple[str, ...], precision: str) -> None:
    card = triton_config.Card(
        name=recipe.name,
        labels=labels,
        size=recipe.size,
        embedding=checkpoint.heads.project.shape[1],
        preprocessing=PREPROCESSING,
        calibration=f"platt-{recipe.version}-{precision}",
    )
    triton_config.write(model, card)


def _quantized(
    joined: onnx.ModelProto, model: Path, towers: tuple[str, ...], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Scores of `images` with `towers` in int8; leaves the ranges in `model`."""
    file = assemble.ranges(model)
    file.unlink(missing_ok=True)
    quantize.measure(joined, images, towers, file)
    return scores(quantize.apply(joined, towers, file), images)


def _columns(
    model: Path, checkpoint: Checkpoint, targets: NDArray[np.floating]
) -> dict[str, tuple[int, NDArray[np.floating]]]:
    order = {name: place for place, name in enumerate(assemble.read_labels(model))}
    return {name: (order[name], targets[:, place]) for place, name in enumerate(checkpoint.heads.labels)}


def scores(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`[N,L]` by ONNX Runtime."""
    return served.outputs(served.session(model), ("scores",), images)[0]


def compare(
    full: NDArray[np.floating],
    small: NDArray[np.floating],
    columns: Mapping[str, tuple[int, NDArray[np.floating]]],
) -> Gate:
    """`columns`: of each label with a truth, its place in `full` and `small [N,L]`, and its targets `[N]`."""
    lost = [0.0]
    for place, target in columns.values():
        before = metrics.known_precision(target, full[:, place])
        after = metrics.known_precision(target, small[:, place])
        if before is not None and after is not None:
            lost.append(before - after)
    flipped = ((full >= _HALF) != (small >= _HALF)).mean(axis=0)
    return Gate(precision_lost=max(lost), flipped=float(flipped.max()))
