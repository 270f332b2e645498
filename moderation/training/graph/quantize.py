# mypy: disable-error-code="attr-defined, misc, override, unused-ignore"
"""Static int8: where values lie is measured once, at export; the served graph is built from those ranges.

Weights take seven bits: with eight, `vpmaddubsw` saturates on CPUs without VNNI (ONNX Runtime's
quantization guide), and the same file must give the same scores everywhere.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

OPERATORS: Final = ["Conv", "Add", "MaxPool", "Clip", "Relu"]
"""Activations too: only so are they folded into the convolution before them, whose output then takes the
narrow range after the activation, not the wide one before it, and no float node stays in between.
"""


_CALIBRATION_IMAGES: Final = 96
"""Images that ranges are measured on, at least, where there are so many."""

KEPT_STAGES: Final = 2
"""The first convolution and the first block of the brand tower stay in float: few channels, each with a range of
its own, cost much accuracy and little time.
"""

_KEPT: Final = tuple(f"stage{index}/" for index in range(KEPT_STAGES))


class _Images(CalibrationDataReader):
    """Some of the images, spread over all, one at a time as ONNX Runtime wants them."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._images: Iterator[NDArray[np.uint8]] = iter(images[:: max(1, len(images) // _CALIBRATION_IMAGES)])

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def measure(model: onnx.ModelProto, images: NDArray[np.uint8], towers: tuple[str, ...], ranges: Path) -> None:
    """Write where the activations of `model` lie on `images [N,S,S,3] uint8` to `ranges` (JSON)."""
    _quantize(model, towers, ranges, _Images(images))
    ranges.chmod(0o644)  # ONNX Runtime writes it for its owner only; it is committed


def measured_and_applied(model: onnx.ModelProto, images: NDArray[np.uint8], towers: tuple[str, ...]) -> onnx.ModelProto:
    """Both at once, for a graph that is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        return _quantize(model, towers, Path(folder) / "ranges.json", _Images(images))


def apply(model: onnx.ModelProto, towers: tuple[str, ...], ranges: Path) -> onnx.ModelProto:
    """`model` with the convolutions of `towers` ("brand", "adult") in int8, by the measured `ranges`."""
    return _quantize(model, towers, ranges, None)


def _quantize(model: onnx.ModelProto, towers: tuple[str, ...], ranges: Path, reader: _Images | None) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        source, ready, target = (Path(folder) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        onnx.save(model, source)
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        chosen = [node for node in onnx.load(ready).graph.node if _belongs(node, towers)]
        quantize_static(
            str(ready),
            str(target),
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            nodes_to_quantize=[node.name for node in chosen],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibration_cache_path=str(ranges),
            extra_options={
                # The mean of each image's extremes: one odd image does not coarsen the steps for all.
                "CalibMovingAverage": True,
                "CalibMovingAverageConstant": 0.01,
                "TensorQuantOverrides": {node.input[1]: [_EIGHT_BITS] for node in chosen if _filters_alone(node)},
            },
        )
        return onnx.load(target)


_EIGHT_BITS: Final = {"quant_type": QuantType.QInt8, "reduce_range": False, "axis": 0}


def _filters_alone(node: onnx.NodeProto) -> bool:
    """A depthwise convolution: its sums of products cannot saturate, so its weights may take eight bits."""
    return node.op_type == "Conv" and any(one.name == "group" and one.i > 1 for one in node.attribute)


def _belongs(node: onnx.NodeProto, towers: tuple[str, ...]) -> bool:
    tower = "adult" if any(name.startswith("adult/") for name in node.output) else "brand"
    return node.op_type in OPERATORS and tower in towers and not node.name.startswith(_KEPT)
