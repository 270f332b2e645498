"""Waiting for a model that is away: events stay on the broker and do not fail.

A call is retried, with longer deadlines for a slow server, until `triton.patience_s` has passed; meanwhile
`is_away` tells the worker to stop consuming. Only then does a batch get `MODEL_UNAVAILABLE`, and each
client's policy its say.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, stop_any, stop_when_event_set
from tenacity.wait import wait_exponential_jitter

from moderation.classifier import Classifier, ModelSpec, Scores
from moderation.errors import ModelOverloaded, ModelUnavailable
from moderation.evidence.view_scores import request_scores
from stream.settings import TritonSettings

log = structlog.get_logger()

T = TypeVar("T")

_PROBE_EVERY_S: Final = 0.5
_LONGEST_DEADLINE: Final = 4
"""Times `triton.timeout_s`."""


class PatientModel:
    """A classifier that waits for its server. Safe from many threads."""

    def __init__(self, classifier: Classifier, settings: TritonSettings) -> None:
        self._classifier = classifier
        self._settings = settings
        self._closing = threading.Event()
        self._away = threading.Event()
        self._last_probe = 0.0
        self._calls = 0
        self._counting = threading.Lock()
        self._retrying = Retrying(
            retry=retry_if_exception_type((ModelUnavailable, ModelOverloaded)),
            wait=wait_exponential_jitter(multiplier=0.05, max=1.0, jitter=0.05),
            stop=stop_any(stop_after_delay(settings.patience_s), stop_when_event_set(self._closing)),
            before_sleep=self._note_absence,
            sleep=self._pause,
            reraise=True,
        )

    def score(self, images: NDArray[np.uint8]) -> Scores:
        """Scores of `[B,S,S,3] uint8`, all by one model version. Raises ModelError when patience ends."""
        deadlines = self._deadlines()
        most = self._settings.max_batch
        return self._patiently(lambda: request_scores(self._classifier, images, most, next(deadlines)))

    def spec(self) -> ModelSpec:
        """What is served, waiting for it. Raises ModelError when patience ends."""
        return self._patiently(self._classifier.spec)

    def is_away(self) -> bool:
        """Whether calls would only wait. Asks the server itself where no call is about to find out.

        A server may call itself ready while its model hangs, so a call that waits knows better.
        """
        if self._away.is_set() and not self._calls and time.monotonic() - self._last_probe > _PROBE_EVERY_S:
            self._last_probe = time.monotonic()
            if self._classifier.is_ready():
                self._note_presence()
        return self._away.is_set()

    def close(self) -> None:
        self._closing.set()
        self._classifier.close()

    def _patiently(self, call: Callable[[], T]) -> T:
        with self._counting:
            self._calls += 1
        try:
            answer = self._retrying(call)
        finally:
            with self._counting:
                self._calls -= 1
        self._note_presence()
        return answer

    def _deadlines(self) -> Iterator[float]:
        """A server that is slow, not away, would never finish within a deadline that stays too short; one that
        lost the request is not waited for much longer than that."""
        deadline_s = self._settings.timeout_s
        longest_s = deadline_s * _LONGEST_DEADLINE
        while True:
            yield deadline_s
            deadline_s = min(deadline_s * 2, longest_s)

    def _pause(self, seconds: float) -> None:
        self._closing.wait(seconds)

    def _note_absence(self, state: RetryCallState) -> None:
        if not self._away.is_set():
            cause = state.outcome.exception() if state.outcome else None
            log.warning("the model does not answer; events wait", error=str(cause))
        self._away.set()

    def _note_presence(self) -> None:
        if self._away.is_set():
            log.info("the model answers again")
        self._away.clear()
