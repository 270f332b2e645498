"""The trained network as an ONNX graph, written node by node: preprocessing, backbone, heads, calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from moderation.training.graph.assemble import IR_VERSION, OPSET

Array = NDArray[np.float32]

PIXEL_MEAN: Final = 127.0
PIXEL_SCALE: Final = 128.0
"""Pixels become (x − 127) / 128, as EfficientNet-Lite was trained (its `efficientnet_lite_builder.py`)."""

_SIX: Final = 6.0
"""Where ReLU6 ends."""


@dataclass(frozen=True, slots=True)
class ConvWeights:
    """`weight [K,C,k,k]`, `bias [K]`; `before` and `after` pad top and left, bottom and right, in pixels."""

    weight: Array
    bias: Array
    stride: int
    groups: int
    before: int
    after: int
    activation: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """Convolutions in a row; with `skip` their input is added to what they give."""

    convs: tuple[ConvWeights, ...]
    skip: bool


@dataclass(frozen=True, slots=True)
class Heads:
    """What follows the pooled features `[B,F]`.

    weight `[L,F]`, bias `[L]`: calibrated logits.  groups: columns that share a softmax.
    project `[F,E]`, origin `[E]`: the whitened embedding.
    near, far: root mean square of the embedding that is called 0.05 and 0.5 uncertain.
    """

    labels: tuple[str, ...]
    weight: Array
    bias: Array
    groups: tuple[tuple[int, ...], ...]
    project: Array
    origin: Array
    near: float
    far: float


@dataclass(slots=True)
class _Graph:
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name


def build(stages: Sequence[Stage], heads: Heads, size: int, about: Mapping[str, str]) -> onnx.ModelProto:
    """`image [B,size,size,3] uint8` RGB → `scores`, `uncertainty`, `embedding`; `about` becomes metadata."""
    graph = _Graph()
    _features(graph, stages)
    _scores(graph, heads, "features")
    _uncertainty(graph, heads, "features")
    shapes = {"scores": [len(heads.labels)], "uncertainty": [1], "embedding": [heads.project.shape[1]]}
    return _model(graph, size, shapes, {"labels": ",".join(heads.labels), **about})


def features_only(stages: Sequence[Stage], size: int) -> onnx.ModelProto:
    """`image [B,size,size,3] uint8` RGB → `features [B,F]`: what the heads are fitted on."""
    graph = _Graph()
    _features(graph, stages)
    return _model(graph, size, {"features": [stages[-1].convs[-1].weight.shape[0]]}, {})


def halfway(stages: Sequence[Stage], size: int, cut: int) -> onnx.ModelProto:
    """`image [B,size,size,3] uint8` RGB → `activations [B,C,h,w]`: what the first convolution and `cut` blocks give."""
    graph = _Graph()
    below = stages[: cut + 1]
    graph.add("Identity", [_trunk(graph, below)], "activations")
    return _model(graph, size, {"activations": [below[-1].convs[-1].weight.shape[0], None, None]}, {})


def _model(
    graph: _Graph, size: int, shapes: Mapping[str, Sequence[int | None]], about: Mapping[str, str]
) -> onnx.ModelProto:
    """`shapes`: of each output, without the batch."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", size, size, 3])
    outputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["batch", *w]) for k, w in shapes.items()]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "brand_tower", [image], outputs, initializer=graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="adjudicate",
    )
    helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model)
    return model


def _features(graph: _Graph, stages: Sequence[Stage]) -> None:
    pooled = graph.add("GlobalAveragePool", [_trunk(graph, stages)], "pooled")
    graph.add("Flatten", [pooled], "features", axis=1)


def _trunk(graph: _Graph, stages: Sequence[Stage]) -> str:
    value = _preprocess(graph)
    for index, stage in enumerate(stages):
        value = _stage(graph, stage, value, f"stage{index}")
    return value


def _preprocess(graph: _Graph) -> str:
    planes = graph.add("Transpose", ["image"], "planes", perm=[0, 3, 1, 2])
    pixels = graph.add("Cast", [planes], "pixels", to=TensorProto.FLOAT)
    centred = graph.add("Sub", [pixels, graph.constant("pixel_mean", np.array([PIXEL_MEAN], np.float32))], "centred")
    return graph.add("Mul", [centred, graph.constant("pixel_scale", np.array([1 / PIXEL_SCALE], np.float32))], "scaled")


def _stage(graph: _Graph, stage: Stage, value: str, name: str) -> str:
    before = value
    for index, conv in enumerate(stage.convs):
        value = _conv(graph, conv, value, f"{name}/conv{index}")
    return graph.add("Add", [before, value], f"{name}/sum") if stage.skip else value


def _conv(graph: _Graph, conv: ConvWeights, value: str, name: str) -> str:
    inputs = [value, graph.constant(f"{name}/weight", conv.weight), graph.constant(f"{name}/bias", conv.bias)]
    kernel = conv.weight.shape[2]
    value = graph.add(
        "Conv",
        inputs,
        f"{name}/out",
        kernel_shape=[kernel, kernel],
        strides=[conv.stride, conv.stride],
        pads=[conv.before, conv.before, conv.after, conv.after],
        group=conv.groups,
    )
    if not conv.activation:
        return value
    if not any(one.name == "zero" for one in graph.weights):
        graph.constant("zero", np.array(0, np.float32))
        graph.constant("six", np.array(_SIX, np.float32))
    return graph.add("Clip", [value, "zero", "six"], f"{name}/relu6")


def _scores(graph: _Graph, heads: Heads, features: str) -> None:
    """`scores [B,L]`, where a label scores at least what each of its sub-labels does."""
    family = families(heads.labels)
    if family.shape[1] == 1:
        _probabilities(graph, heads, features, "scores")
        return
    own = _probabilities(graph, heads, features, "probabilities")
    members = graph.add("Gather", [own, graph.constant("families", family)], "family_scores", axis=1)
    graph.add("ReduceMax", [members], "scores", axes=[2], keepdims=0)


def families(labels: Sequence[str]) -> NDArray[np.int64]:
    """`[L,K]`: places of each label and its sub-labels, `violence` and `violence.weapon`; shorter rows repeat it."""
    rows = [[place, *_places_below(labels, label)] for place, label in enumerate(labels)]
    width = max(map(len, rows))
    return np.array([row + row[:1] * (width - len(row)) for row in rows], np.int64)


def _places_below(labels: Sequence[str], label: str) -> list[int]:
    return [place for place, other in enumerate(labels) if other.startswith(f"{label}.")]


def _probabilities(graph: _Graph, heads: Heads, features: str, output: str) -> str:
    inputs = [features, graph.constant("heads", heads.weight.T.copy()), graph.constant("offsets", heads.bias)]
    logits = graph.add("Gemm", inputs, "logits")
    if not heads.groups:
        return graph.add("Sigmoid", [logits], output)
    parts, places = [graph.add("Sigmoid", [logits], "independent")], list(range(len(heads.labels)))
    for index, group in enumerate(heads.groups):
        columns = graph.constant(f"group{index}/columns", np.array(group, np.int64))
        picked = graph.add("Gather", [logits, columns], f"group{index}/logits", axis=1)
        parts.append(graph.add("Softmax", [picked], f"group{index}/shares", axis=1))
        offset = len(heads.labels) + sum(len(one) for one in heads.groups[:index])
        for place, column in enumerate(group):
            places[column] = offset + place
    together = graph.add("Concat", parts, "candidates", axis=1)
    return graph.add("Gather", [together, graph.constant("places", np.array(places, np.int64))], output, axis=1)


def _uncertainty(graph: _Graph, heads: Heads, features: str) -> None:
    """sigmoid of how far out the embedding lies, on a scale set by `near` and `far`."""
    inputs = [features, graph.constant("project", heads.project), graph.constant("origin", heads.origin)]
    embedding = graph.add("Gemm", inputs, "embedding")
    squared = graph.add("Mul", [embedding, embedding], "embedding_squared")
    mean = graph.add("ReduceMean", [squared], "embedding_mean", axes=[1], keepdims=1)
    distance = graph.add("Sqrt", [mean], "distance")
    far = graph.constant("far", np.float32(heads.far).reshape(1))
    slope = graph.constant("per_distance", np.float32(np.log(19) / (heads.far - heads.near)).reshape(1))
    beyond = graph.add("Sub", [distance, far], "beyond")
    graph.add("Sigmoid", [graph.add("Mul", [beyond, slope], "beyond_scaled")], "uncertainty")
