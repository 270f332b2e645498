"""Triton's python backend: ONNX Runtime over the `model.onnx` beside this file."""

import json
import os
import site
from pathlib import Path

if folder := os.environ.get("ADJUDICATE_TRITON_SITE"):
    site.addsitedir(folder)  # the backend's stub ignores PYTHONPATH

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

OUTPUTS = ("scores", "uncertainty", "embedding")


class TritonPythonModel:
    """One session per instance; requests that Triton has gathered run as one batch."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(_parameter(config, "intra_op_threads", "1"))
        options.inter_op_num_threads = 1
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def execute(self, requests: "list[pb_utils.InferenceRequest]") -> "list[pb_utils.InferenceResponse]":
        images = [pb_utils.get_input_tensor_by_name(one, "image").as_numpy() for one in requests]
        batch = images[0] if len(images) == 1 else np.concatenate(images)
        values = self.session.run(OUTPUTS, {"image": batch})
        cuts = np.cumsum([len(one) for one in images])[:-1]
        pieces = zip(*(np.split(value, cuts) for value in values), strict=True)
        return [_response(piece) for piece in pieces]


def _response(values: "tuple[np.ndarray, ...]") -> "pb_utils.InferenceResponse":
    tensors = [pb_utils.Tensor(name, value) for name, value in zip(OUTPUTS, values, strict=True)]
    return pb_utils.InferenceResponse(output_tensors=tensors)


def _parameter(config: "dict[str, dict[str, dict[str, str]]]", name: str, default: str) -> str:
    return config.get("parameters", {}).get(name, {}).get("string_value", default)
