"""Waiting for a model that is away."""

import threading
import time

import numpy as np

from moderation.classifier import Scores
from moderation.errors import ModelOverloaded
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
