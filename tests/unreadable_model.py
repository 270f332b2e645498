"""A model server over real gRPC whose answers can be made unreadable, row by row of `UNREADABLE`."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc

LABELS: Final = ("violence", "adult", "political")
SIZE: Final = 32

MESSAGES: Final[Any] = service_pb2
"""Made at import time, so that type checkers do not see what is in it."""

Outputs = dict[str, tuple[str, list[int], bytes]]
"""By name: datatype, shape and raw contents."""


def _tensor(values: NDArray[Any], datatype: str = "FP32") -> tuple[str, list[int], bytes]:
    return datatype, list(values.shape), values.tobytes()


def well(count: int) -> Outputs:
    """A readable answer: every score 0.25."""
    return {
        "scores": _tensor(np.full((count, len(LABELS)), 0.25, np.float32)),
        "uncertainty": _tensor(np.zeros((count, 1), np.float32)),
        "embedding": _tensor(np.zeros((count, 4), np.float32)),
    }


def _with(**changed: Callable[[int], tuple[str, list[int], bytes] | None]) -> Callable[[int], Outputs]:
    def answer(count: int) -> Outputs:
        outputs = {**well(count), **{name: make(count) for name, make in changed.items()}}
        return {name: output for name, output in outputs.items() if output is not None}

    return answer


UNREADABLE: Final[dict[str, Callable[[int], Outputs]]] = {
    "missing output": _with(uncertainty=lambda _: None),
    "no outputs": lambda _: {},
    "empty contents": _with(scores=lambda count: ("FP32", [count, 3], b"")),
    "short contents": _with(scores=lambda count: ("FP32", [count, 3], bytes(12 * count - 4))),
    "cut inside a number": _with(scores=lambda count: ("FP32", [count, 3], bytes(12 * count - 1))),
    "long contents": _with(embedding=lambda count: ("FP32", [count, 4], bytes(64 * count))),
    "other shape": _with(scores=lambda count: _tensor(np.zeros((count, 2), np.float32))),
    "no axes": _with(embedding=lambda _: ("FP32", [], bytes(4))),
    "other count": _with(uncertainty=lambda count: _tensor(np.zeros((count + 1, 1), np.float32))),
    "other type": _with(scores=lambda count: _tensor(np.zeros((count, 3), np.int32), "INT32")),
    "unknown type": _with(scores=lambda count: ("FP7", [count, 3], bytes(12 * count))),
    "texts": _with(scores=lambda count: ("BYTES", [count, 3], b"\xff\xff\xff\x7f")),
}
"""Answers as a whole that cannot be read: events wait."""

NO_PROBABILITIES: Final[dict[str, Callable[[int], Outputs]]] = {
    f"{name} {value}": _with(**{name: lambda count, w=width, v=value: _tensor(np.full((count, w), v, np.float32))})
    for name, width in (("scores", 3), ("uncertainty", 1))
    for value in (np.nan, np.inf, -np.inf, 1.5, -0.5, 100.0)
}
"""Answers that can be read, with numbers that are no probabilities: the image gets a status."""


class ModelServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves `brand_safety` version 1; `answer` makes the outputs for a batch of so many images."""

    def __init__(self) -> None:
        self.answer: Callable[[int], Outputs] = well
        self.asked = 0

    def ModelReady(self, _: Any, __: Any) -> Any:  # noqa: N802 - the protocol's names
        return MESSAGES.ModelReadyResponse(ready=True)

    def ModelMetadata(self, request: Any, _: Any) -> Any:  # noqa: N802
        return MESSAGES.ModelMetadataResponse(name=request.name, versions=["1"])

    def ModelConfig(self, _: Any, __: Any) -> Any:  # noqa: N802
        answer = MESSAGES.ModelConfigResponse()
        answer.config.input.add(name="image", dims=[SIZE, SIZE, 3])
        for name, text in (("labels", ",".join(LABELS)), ("preprocessing", "squash-area-1")):
            answer.config.parameters[name].string_value = text
        return answer

    def ModelInfer(self, request: Any, _: Any) -> Any:  # noqa: N802
        self.asked += 1
        answer = MESSAGES.ModelInferResponse(model_name=request.model_name, model_version="1")
        for name, (datatype, shape, contents) in self.answer(request.inputs[0].shape[0]).items():
            answer.outputs.add(name=name, datatype=datatype, shape=shape)
            answer.raw_output_contents.append(contents)
        return answer


@contextmanager
def serving() -> Iterator[tuple[ModelServer, str]]:
    """A running server and its `host:port`."""
    model, server = ModelServer(), grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(model, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield model, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
