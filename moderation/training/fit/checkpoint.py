"""A trained network on disk: arrays in one .npz, facts in one .json; no pickle, no torch to read it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from moderation.errors import ConfigurationError
from moderation.training.graph.tower import ConvWeights, Heads, Stage

if TYPE_CHECKING:
    from moderation.training.fit.backbone import Backbone, Conv

ARRAYS: Final = "weights.npz"
FACTS: Final = "training.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What `train` makes and `export` serves; `about` says how it was made."""

    stages: tuple[Stage, ...]
    heads: Heads
    about: dict[str, Any]


def stages_of(backbone: "Backbone") -> tuple[Stage, ...]:
    """The convolutions of a torch backbone as plain arrays."""
    return tuple(
        Stage(tuple(_conv(conv) for conv in getattr(part, "convs", (part,))), getattr(part, "skip", False))
        for part in backbone.parts()
    )


def _conv(conv: "Conv") -> ConvWeights:
    return ConvWeights(
        np.ascontiguousarray(conv.weight.detach().numpy()),
        conv.bias.detach().numpy(),
        conv.stride,
        conv.groups,
        conv.before,
        conv.after,
        conv.activation,
    )


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an exported tower holds.

    convolutions: weights by name (`stage3/conv1/weight`).  labels `[L]`, weight `[L,F]`, bias `[L]`: calibrated heads.
    """

    convolutions: dict[str, NDArray[np.float32]]
    labels: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def earlier(graph: Path) -> Earlier:
    """Read an exported tower. Raises ConfigurationError if the file cannot be read."""
    try:
        tower = onnx.load(graph)
    except OSError as exc:
        raise ConfigurationError(f"{graph}: cannot be read ({exc.strerror}); the recipe's start names it") from exc
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in tower.graph.initializer}
    convolutions = {name: value for name, value in arrays.items() if "/conv" in name}
    labels = {one.key: one.value for one in tower.metadata_props}["labels"].split(",")
    return Earlier(convolutions, tuple(labels), arrays["heads"].T.copy(), arrays["offsets"])


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.float32]] = {}
    shape = []
    for s, stage in enumerate(checkpoint.stages):
        convs = []
        for c, conv in enumerate(stage.convs):
            arrays[f"{s}.{c}.weight"], arrays[f"{s}.{c}.bias"] = conv.weight, conv.bias
            convs.append([conv.stride, conv.groups, conv.before, conv.after, conv.activation])
        shape.append({"skip": stage.skip, "convs": convs})
    heads = checkpoint.heads
    arrays |= {"heads.weight": heads.weight, "heads.bias": heads.bias}
    arrays |= {"heads.project": heads.project, "heads.origin": heads.origin}
    facts = {
        "stages": shape,
        "labels": heads.labels,
        "groups": heads.groups,
        "near": heads.near,
        "far": heads.far,
        "about": checkpoint.about,
    }
    np.savez(folder / ARRAYS, allow_pickle=False, **arrays)
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> Checkpoint:
    """Read what `save` wrote. Raises ConfigurationError if it is not there."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        arrays = dict(np.load(folder / ARRAYS, allow_pickle=False))
    except OSError as exc:
        raise ConfigurationError(f"{folder}: no checkpoint; run `adjudicate train` first") from exc
    stages = tuple(_stage(arrays, index, shape) for index, shape in enumerate(facts["stages"]))
    heads = Heads(
        labels=tuple(facts["labels"]),
        weight=arrays["heads.weight"],
        bias=arrays["heads.bias"],
        groups=tuple(tuple(group) for group in facts["groups"]),
        project=arrays["heads.project"],
        origin=arrays["heads.origin"],
        near=facts["near"],
        far=facts["far"],
    )
    return Checkpoint(stages, heads, facts["about"])


def _stage(arrays: dict[str, Any], index: int, shape: dict[str, Any]) -> Stage:
    convs = tuple(
        ConvWeights(arrays[f"{index}.{place}.weight"], arrays[f"{index}.{place}.bias"], *told)
        for place, told in enumerate(shape["convs"])
    )
    return Stage(convs, shape["skip"])
