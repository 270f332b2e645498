"""Waiting for a model that is away."""

import gc
import threading
import time
import weakref

import numpy as np

from moderation.classifier import Scores
from moderation.errors import ModelOverloaded, ModelUnavailable
from stream.patience import PatientModel
from stream.settings import TritonSettings
from tests.fakes import FakeClassifier

IMAGES = np.zeros((1, 32, 32, 3), np.uint8)


def test_a_hung_model_stays_away_though_its_server_calls_itself_ready() -> None:
    """Else the worker would take the wait for a stall of its own."""
    classifier = FakeClassifier(failures=[ModelOverloaded("deadline") for _ in range(200)])
    model = PatientModel(classifier, TritonSettings(patience_s=60, timeout_s=0.1))
    answers: list[Scores] = []
    waiting = threading.Thread(target=lambda: answers.append(model.score(IMAGES)))
    waiting.start()
    time.sleep(0.3)
    seen = []
    for _ in range(8):
        seen.append(model.is_away())
        time.sleep(0.1)
    classifier.failures.clear()
    waiting.join(10)
    assert seen == [True] * 8
    assert len(answers) == 1
    assert not model.is_away()
    model.close()


def test_pixels_are_let_go_after_failures_without_the_garbage_collector() -> None:
    """A traceback that names the frame that names it keeps megabytes for minutes."""
    classifier = FakeClassifier(failures=[ModelOverloaded("deadline"), ModelUnavailable("gone")])
    model = PatientModel(classifier, TritonSettings(patience_s=60, max_batch=1))
    images = np.zeros((3, 32, 32, 3), np.uint8)
    held = weakref.ref(images)
    gc.collect()
    gc.disable()
    try:
        model.score(images)
        del images
        assert held() is None
    finally:
        gc.enable()
    model.close()
