"""The interface of a classifier, and the client of Triton."""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, InferResult, KeepAliveOptions
from tritonclient.utils import InferenceServerException

from moderation.errors import ModelError, ModelOverloaded, ModelRejected, ModelUnavailable, ModelUnreadable
from moderation.events import ModelStamp


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The published properties of a model.

    labels: order of the columns of `Scores.values`.
    size:   S of the input `[B,S,S,3] uint8`, pixels.
    """

    stamp: ModelStamp
    labels: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Scores:
    """The answer for a batch of B images.

    values:      `[B,L] float32`, calibrated probabilities in `spec.labels` order.
    uncertainty: `[B] float32` in 0..1, how unlike the training data each image is.
    embedding:   `[B,E] float32`.
    """

    spec: ModelSpec
    values: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    embedding: NDArray[np.float32]


class Classifier(Protocol):
    def spec(self) -> ModelSpec:
        """What is being served. Raises ModelUnavailable."""

    def submit(self, images: NDArray[np.uint8], timeout_s: float) -> "Future[Scores]":
        """Score `[B,S,S,3] uint8` RGB images; the future raises a ModelError."""

    def is_ready(self) -> bool:
        """Whether the model would answer now. Never raises."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TritonAddress:
    """Where a model is served. Certificates are PEM files; `ca` given means TLS."""

    url: str
    model: str = "brand_safety"
    version: str = ""
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class TritonClassifier:
    """A `Classifier` over Triton's gRPC endpoint; one for the life of a process, safe from many threads."""

    def __init__(self, address: TritonAddress) -> None:
        self._address = address
        self._client = InferenceServerClient(
            address.url,
            ssl=address.ca is not None,
            root_certificates=address.ca and str(address.ca),
            private_key=address.key and str(address.key),
            certificate_chain=address.certificate and str(address.certificate),
            keepalive_options=KeepAliveOptions(keepalive_time_ms=10_000, keepalive_timeout_ms=5_000),
            channel_args=_CHANNEL,
        )
        self._specs: dict[str, ModelSpec] = {}
        self._current: ModelSpec | None = None
        self._read_at = 0.0
        self._lock = threading.Lock()

    def spec(self) -> ModelSpec:
        """Read again every second: a server may return with another model under the same version."""
        with self._lock:
            if self._current is None or time.monotonic() - self._read_at > _SPEC_LIFE_S:
                self._current = self._read_spec(self._address.version or self._newest_version())
                self._specs = {self._current.stamp.version: self._current}
                self._read_at = time.monotonic()
            return self._current

    def submit(self, images: NDArray[np.uint8], timeout_s: float) -> "Future[Scores]":
        answer: Future[Scores] = Future()
        count = len(images)

        def answered(result: InferResult | None, error: InferenceServerException | None) -> None:
            try:
                answer.set_result(self._scores(result, count, error))
            except Exception as failure:  # noqa: BLE001 - whatever is not handed on is waited for, without end
                answer.set_exception(self._noted(_model_error(failure)))

        pixels = InferInput("image", list(images.shape), "UINT8")
        pixels.set_data_from_numpy(np.ascontiguousarray(images))
        try:
            self._client.async_infer(
                self._address.model,
                [pixels],
                answered,
                model_version=self._address.version,
                outputs=[InferRequestedOutput(name) for name in _OUTPUTS],
                client_timeout=timeout_s,
                # The server drops requests after their deadline; its unit is microseconds.
                timeout=int(timeout_s * 1_000_000),
            )
        except (InferenceServerException, ValueError) as error:  # ValueError: the channel is closed
            answer.set_exception(_model_error(error))
        return answer

    def is_ready(self) -> bool:
        try:
            return bool(self._client.is_model_ready(self._address.model, self._address.version, client_timeout=1.0))
        except InferenceServerException:
            return False

    def close(self) -> None:
        self._client.close()

    def _noted(self, error: ModelError) -> ModelError:
        """After an absence another model may answer."""
        if isinstance(error, ModelUnavailable):
            with self._lock:
                self._specs.clear()
                self._current = None
        return error

    def _scores(self, result: Any, count: int, error: InferenceServerException | None) -> Scores:
        if error is not None:
            raise error
        spec = self._spec_of(result.get_response().model_version)
        outputs = [result.as_numpy(name) for name in _OUTPUTS]
        found = [None if output is None else (str(output.dtype), *output.shape) for output in outputs]
        width = 1 if found[2] is None else found[2][-1]
        expected = [("float32", count, columns) for columns in (len(spec.labels), 1, width)]
        if found != expected:
            raise ModelUnreadable(f"model {spec.stamp.name} answered {found}, not {expected}")
        values, uncertainty, embedding = outputs
        return Scores(spec, values, uncertainty.reshape(-1), embedding)

    def _spec_of(self, version: str) -> ModelSpec:
        """The server may swap versions between two requests: an answer is stamped with its own."""
        with self._lock:
            if version not in self._specs:
                self._specs[version] = self._read_spec(version)
            self._current = self._specs[version]
            return self._current

    def _newest_version(self) -> str:
        try:
            metadata = self._client.get_model_metadata(self._address.model, client_timeout=_CONFIG_TIMEOUT_S)
        except InferenceServerException as error:
            raise _translated(error) from error
        if not metadata.versions:
            raise ModelUnavailable(f"model server: no version of {self._address.model} is ready")
        return str(max(metadata.versions, key=int))

    def _read_spec(self, version: str) -> ModelSpec:
        try:
            answer = self._client.get_model_config(self._address.model, version, client_timeout=_CONFIG_TIMEOUT_S)
        except InferenceServerException as error:
            raise _translated(error) from error
        published = {name: value.string_value for name, value in answer.config.parameters.items()}
        missing = [name for name in ("labels", "preprocessing") if not published.get(name)]
        if missing:
            raise ModelRejected(f"model {self._address.model} does not publish {missing} in its config's parameters")
        dims = list(answer.config.input[0].dims) if answer.config.input else []
        if len(dims) < _IMAGE_AXES or dims[-1] != _CHANNELS:
            raise ModelRejected(f"model {self._address.model} takes {dims}, not [S, S, 3]")
        return ModelSpec(
            stamp=ModelStamp(
                name=self._address.model,
                version=version,
                preprocessing=published["preprocessing"],
                calibration=published.get("calibration", ""),
            ),
            labels=tuple(label.strip() for label in published["labels"].split(",")),
            size=int(dims[-2]),
        )


_OUTPUTS: Final = ("scores", "uncertainty", "embedding")
_IMAGE_AXES, _CHANNELS = 3, 3
_SPEC_LIFE_S: Final = 1.0
_CONFIG_TIMEOUT_S: Final = 5.0
_CHANNEL: Final = [
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
    # A server that comes back is found within a second; gRPC's default grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Several clients in one process (tests, a restart) must not share a broken connection.
    ("grpc.use_local_subchannel_pool", 1),
]
_AWAY: Final = {"StatusCode.UNAVAILABLE", "StatusCode.NOT_FOUND", "StatusCode.CANCELLED"}
_AWAY_WORDS: Final = ("is not ready", "unknown model", "is not healthy")
"""In internal errors of Triton about a model being swapped, or a Python backend whose process died."""
_OVERLOADED: Final = {"StatusCode.DEADLINE_EXCEEDED", "StatusCode.RESOURCE_EXHAUSTED"}


def _model_error(failure: Exception) -> ModelError:
    """Any failure of an answer as an error of the project, without frames and therefore without pixels."""
    if isinstance(failure, InferenceServerException):
        return _translated(failure)
    if isinstance(failure, ModelError):
        failure.__traceback__ = None
        return failure
    return ModelUnreadable(f"model server: its answer cannot be read: {type(failure).__name__}: {failure}")


def _translated(error: InferenceServerException) -> ModelError:
    status, message = error.status(), str(error.message())
    if status in _AWAY or any(words in message for words in _AWAY_WORDS):
        return ModelUnavailable(f"model server: {message}")
    if status in _OVERLOADED or "queue" in message or "imeout" in message:
        return ModelOverloaded(f"model server: {message}")
    return ModelRejected(f"model server: {message}")
