"""The `config.pbtxt` of each backend: the same model, batching and name card, another runtime."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Card:
    """What a served model says of itself.

    labels:        order of the columns of `scores`.
    size:          S of `image [B,S,S,3] uint8`, pixels.
    embedding:     E of `embedding [B,E] float32`.
    preprocessing: `moderation.images.PREPROCESSING` it was trained with.
    calibration:   names the calibration; part of every cache key.
    """

    name: str
    labels: tuple[str, ...]
    size: int
    embedding: int
    preprocessing: str
    calibration: str


_BACKENDS: Final = {
    # An instance per core with one thread each; not yet measured against one instance with all threads.
    "python": 'backend: "python"\ninstance_group [ { kind: KIND_CPU count: 2 } ]\n',
    "onnxruntime": 'backend: "onnxruntime"\ndefault_model_filename: "model.onnx"\n'
    "instance_group [ { kind: KIND_AUTO count: 1 } ]\n",
    # TensorRT builds its engine from the same ONNX; a plan file would fit one GPU only.
    "tensorrt": 'backend: "onnxruntime"\ndefault_model_filename: "model.onnx"\n'
    "instance_group [ { kind: KIND_GPU count: 1 } ]\n"
    "optimization { execution_accelerators { gpu_execution_accelerator : [ {\n"
    '  name : "tensorrt"\n'
    '  parameters { key: "precision_mode" value: "FP16" }\n'
    '  parameters { key: "trt_engine_cache_enable" value: "true" }\n'
    '  parameters { key: "trt_engine_cache_path" value: "/tmp/tensorrt" }\n'
    "} ] } }\n",
}


def write(model: Path, card: Card) -> None:
    """`config.pbtxt` (python backend), `configs/{onnxruntime,tensorrt}.pbtxt` and `labels.txt` in `model`."""
    (model / "configs").mkdir(parents=True, exist_ok=True)
    (model / "config.pbtxt").write_text(render(card, "python"), encoding="utf-8")
    for backend in ("onnxruntime", "tensorrt"):
        (model / "configs" / f"{backend}.pbtxt").write_text(render(card, backend), encoding="utf-8")
    (model / "labels.txt").write_text("".join(f"{label}\n" for label in card.labels), encoding="utf-8")


def render(card: Card, backend: str) -> str:
    """The configuration for `python`, `onnxruntime` or `tensorrt`."""
    published = {
        "labels": ",".join(card.labels),
        "preprocessing": card.preprocessing,
        "calibration": card.calibration,
    }
    if backend == "python":
        published["intra_op_threads"] = "1"
    return "".join(
        [
            f'name: "{card.name}"\nmax_batch_size: {MAX_BATCH}\n',
            _BACKENDS[backend],
            _tensor("input", "image", "TYPE_UINT8", (card.size, card.size, 3)),
            _tensor("output", "scores", "TYPE_FP32", (len(card.labels),)),
            _tensor("output", "uncertainty", "TYPE_FP32", (1,)),
            _tensor("output", "embedding", "TYPE_FP32", (card.embedding,)),
            _BATCHING,
            _warm_up(card.size),
            *(_parameter(key, value) for key, value in published.items()),
        ]
    )


_BATCHING: Final = """dynamic_batching {
  preferred_batch_size: [ 8, 16, 32 ]
  max_queue_delay_microseconds: 2000
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 5000000
    allow_timeout_override: true
    max_queue_size: 512
  }
}
"""


def _tensor(kind: str, name: str, dtype: str, dims: tuple[int, ...]) -> str:
    return f'{kind} [ {{ name: "{name}" data_type: {dtype} dims: [ {", ".join(map(str, dims))} ] }} ]\n'


def _warm_up(size: int) -> str:
    image = f'{{ key: "image" value: {{ data_type: TYPE_UINT8 dims: [ {size}, {size}, 3 ] zero_data: true }} }}'
    return f'model_warmup [ {{ name: "blank" batch_size: 8 inputs {image} }} ]\n'


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n'
