"""What TritonClassifier makes of a server's answers; Triton itself answers in tests/services."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from moderation import classifier
from moderation.classifier import TritonAddress, TritonClassifier
from moderation.errors import ModelRejected, ModelUnavailable, ModelUnreadable

IMAGES = np.zeros((2, 8, 8, 3), np.uint8)


class Server:
    """What a Triton says; stands where the gRPC client would."""

    def __init__(self) -> None:
        self.versions, self.labels, self.calibration = ["1"], "violence,adult", "c1"
        self.dims = [8, 8, 3]
        self.outputs: dict[str, NDArray[np.float32] | None] = {
            "scores": np.zeros((2, 2), np.float32),
            "uncertainty": np.zeros((2, 1), np.float32),
            "embedding": np.zeros((2, 4), np.float32),
        }
        self.away = False

    def get_model_metadata(self, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(versions=self.versions)

    def get_model_config(self, *_: object, **__: object) -> SimpleNamespace:
        texts = {"labels": self.labels, "preprocessing": "p1", "calibration": self.calibration}
        parameters = {name: SimpleNamespace(string_value=text) for name, text in texts.items()}
        inputs = [SimpleNamespace(dims=self.dims)] if self.dims else []
        return SimpleNamespace(config=SimpleNamespace(parameters=parameters, input=inputs))

    def async_infer(self, _: str, __: list[object], answered: Callable[..., None], **___: object) -> None:
        if self.away:
            answered(None, InferenceServerException("gone", status="StatusCode.UNAVAILABLE"))
        else:
            response = SimpleNamespace(model_version=self.versions[-1])
            answered(SimpleNamespace(get_response=lambda: response, as_numpy=self.outputs.get), None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(classifier, "InferenceServerClient", lambda *_, **__: made)
    return made


@pytest.fixture
def client(server: Server) -> TritonClassifier:
    return TritonClassifier(TritonAddress("127.0.0.1:1"))


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("scores", np.zeros((2, 3), np.float32)),
        ("scores", np.zeros((1, 2), np.float32)),
        ("scores", None),
        ("uncertainty", np.zeros((2, 2), np.float32)),
        ("uncertainty", None),
        ("embedding", np.zeros((1, 4), np.float32)),
        ("embedding", None),
    ],
)
def test_an_answer_of_another_shape_is_not_read(
    server: Server, client: TritonClassifier, output: str, answer: Any
) -> None:
    server.outputs[output] = answer
    with pytest.raises(ModelUnreadable, match="answered"):
        client.submit(IMAGES, 1.0).result(1)


@pytest.mark.parametrize("dims", [[], [3, 8, 8], [8, 3]])
def test_a_model_that_takes_no_images_is_refused(server: Server, client: TritonClassifier, dims: list[int]) -> None:
    server.dims = dims
    with pytest.raises(ModelRejected, match=r"not \[S, S, 3\]"):
        client.spec()


def test_a_server_without_a_ready_version_is_waited_for(server: Server, client: TritonClassifier) -> None:
    server.versions = []
    with pytest.raises(ModelUnavailable, match="no version"):
        client.spec()


def test_another_model_under_the_same_version_is_seen_after_an_absence(
    server: Server, client: TritonClassifier
) -> None:
    """Cached scores are found by the stamp, so a stamp that stays behind would pass off old scores as new."""
    assert client.submit(IMAGES, 1.0).result(1).spec.stamp.calibration == "c1"
    server.away = True
    with pytest.raises(ModelUnavailable):
        client.submit(IMAGES, 1.0).result(1)
    server.away, server.calibration, server.labels = False, "c2", "adult,violence"
    spec = client.submit(IMAGES, 1.0).result(1).spec
    assert (spec.stamp.calibration, spec.labels) == ("c2", ("adult", "violence"))


def test_another_model_under_the_same_version_is_seen_by_an_idle_client(
    server: Server, client: TritonClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.spec().stamp.calibration == "c1"
    server.calibration = "c2"
    monkeypatch.setattr(classifier, "_SPEC_LIFE_S", 0.0)
    assert client.spec().stamp.calibration == "c2"
    assert client.submit(IMAGES, 1.0).result(1).spec.stamp.calibration == "c2"
