"""A model quick enough for stream and fault tests: the mean colour of an image is its score.

red mean / 255 → violence, green → adult, blue → political; the embedding repeats them. While the file named
by the environment variable ADJUDICATE_TINY_FAULTS exists, its JSON is obeyed for every batch:
`{"delay_s": 0.5}` answers late, `{"hang": true}` waits until the file changes, `{"fail": "text"}` errors,
`{"crash": true}` kills the backend process.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


def faults() -> dict[str, Any]:
    path = os.environ.get("ADJUDICATE_TINY_FAULTS", "")
    try:
        return dict(json.loads(Path(path).read_text())) if path else {}
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def suffer() -> str:
    """Obey the faults file; returns the text to fail with, or nothing."""
    while (wanted := faults()).get("hang"):
        time.sleep(0.05)
    time.sleep(float(wanted.get("delay_s", 0.0)))
    if wanted.get("crash"):
        os._exit(1)
    return str(wanted.get("fail", ""))


class TritonPythonModel:
    def execute(self, requests: list[Any]) -> list[Any]:
        if text := suffer():
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(text)) for _ in requests]
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        image = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        means = image.mean(axis=(1, 2), dtype=np.float64)
        scores = (means / 255.0).astype(np.float32)
        uncertainty = np.zeros((len(scores), 1), np.float32)
        outputs = {"scores": scores, "uncertainty": uncertainty, "embedding": scores}
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in outputs.items()])
