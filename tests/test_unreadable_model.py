"""A model server whose answers cannot be read, over real gRPC: every one ends, in time and with a name."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import CapturingLogger

from moderation.classifier import Scores, TritonAddress, TritonClassifier
from moderation.errors import ImageError, ModelOverloaded, ModelUnavailable, ModelUnreadable
from moderation.events import Status
from moderation.evidence.view_scores import score_images
from moderation.images import views
from stream.patience import PatientModel
from stream.settings import TritonSettings
from tests.fakes import FakeClassifier
from tests.records import png
from tests.unreadable_model import NO_PROBABILITIES, SIZE, UNREADABLE, ModelServer, Outputs, serving, well

IMAGES = np.zeros((2, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[ModelServer, str]]:
    with serving() as running:
        yield running


@pytest.fixture
def model(served: tuple[ModelServer, str]) -> ModelServer:
    served[0].answer = well
    return served[0]


@pytest.fixture
def classifier(served: tuple[ModelServer, str], model: ModelServer) -> Iterator[TritonClassifier]:
    with closing(TritonClassifier(TritonAddress(served[1]))) as client:
        yield client


def test_a_readable_answer_is_read(classifier: TritonClassifier) -> None:
    assert classifier.submit(IMAGES, 5.0).result(5).values.tolist() == [[0.25] * 3] * 2


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=list(UNREADABLE))
def test_an_unreadable_answer_resolves_and_says_so(
    answer: Callable[[int], Outputs], model: ModelServer, classifier: TritonClassifier
) -> None:
    model.answer = answer
    with pytest.raises(ModelUnreadable):
        classifier.submit(IMAGES, 5.0).result(5)
    model.answer = well
    assert classifier.submit(IMAGES, 5.0).result(5).values.shape == (2, 3)


@pytest.mark.parametrize("answer", NO_PROBABILITIES.values(), ids=list(NO_PROBABILITIES))
def test_a_number_that_is_no_probability_is_an_error_of_its_image(
    answer: Callable[[int], Outputs], model: ModelServer, classifier: TritonClassifier
) -> None:
    model.answer = answer
    (found,) = score_images([views(png(), SIZE)], lambda pixels: classifier.submit(pixels, 5.0).result(5))
    assert isinstance(found, ImageError)
    assert found.status is Status.MODEL_REJECTED


def test_events_wait_for_a_readable_answer(
    model: ModelServer, classifier: TritonClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not the stream that the log goes to: other tests of the same process configure it.
    log = CapturingLogger()
    monkeypatch.setattr("stream.patience.log", log)
    left = [UNREADABLE["missing output"], UNREADABLE["empty contents"]]
    model.answer = lambda count: left.pop()(count) if left else well(count)
    patient = PatientModel(classifier, TritonSettings(patience_s=60))
    assert patient.score(IMAGES).values.shape == (2, 3)
    assert not patient.is_away()
    assert any("cannot be read" in str(call.kwargs) for call in log.calls)


def test_patience_with_unreadable_answers_ends(model: ModelServer, classifier: TritonClassifier) -> None:
    model.answer = UNREADABLE["empty contents"]
    started = time.monotonic()
    with pytest.raises(ModelUnreadable, match="ValueError"):
        PatientModel(classifier, TritonSettings(patience_s=0.5)).score(IMAGES)
    assert time.monotonic() - started < 5


def test_a_request_on_a_closed_client_ends_too(classifier: TritonClassifier) -> None:
    classifier.close()
    with pytest.raises(ModelUnavailable):
        classifier.submit(IMAGES, 5.0).result(5)


def test_a_request_that_never_comes_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the client makes of its own deadline."""

    class Silent(FakeClassifier):
        def submit(self, images: NDArray[np.uint8], timeout_s: float) -> "Future[Scores]":
            return Future()

    monkeypatch.setattr("moderation.evidence.view_scores.ANSWER_GRACE_S", 0.1)
    with pytest.raises(ModelOverloaded, match=r"no answer within 0\.3 s"):
        PatientModel(Silent(), TritonSettings(patience_s=0.2, timeout_s=0.2)).score(IMAGES)
