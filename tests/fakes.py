"""One honest fake for each seam of the score stage: the same contract, no server behind it."""

from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from moderation.classifier import ModelSpec, Scores
from moderation.errors import ImageError, ModelError
from moderation.events import ModelStamp
from moderation.images import Views, views

SPEC = ModelSpec(ModelStamp(name="fake", version="1", preprocessing="p1"), ("violence", "adult", "political"), 32)


class FakeClassifier:
    """Scores are the mean red, green and blue. `failures` are raised first, one a call."""

    def __init__(self, failures: list[ModelError] | None = None, spec: ModelSpec = SPEC) -> None:
        self.failures = failures or []
        self.current = spec
        self.batches: list[int] = []
        self.ready = True

    def spec(self) -> ModelSpec:
        return self.current

    def submit(self, images: NDArray[np.uint8], timeout_s: float) -> "Future[Scores]":
        answer: Future[Scores] = Future()
        if self.failures:
            answer.set_exception(self.failures.pop(0))
            return answer
        self.batches.append(len(images))
        values = (images.mean(axis=(1, 2)) / 255).astype(np.float32)
        count = len(images)
        answer.set_result(Scores(self.current, values, np.zeros(count, np.float32), np.zeros((count, 4), np.float32)))
        return answer

    def is_ready(self) -> bool:
        return self.ready

    def close(self) -> None: ...


class InlineDecoder:
    """Decodes in the calling thread, without the worker processes."""

    def __init__(self, decode: Callable[[bytes, int], Views] = views, size: int = SPEC.size) -> None:
        self._decode = decode
        self._size = size
        self.decoded = 0

    def submit(self, data: bytes, sha256: str | None = None) -> "Future[Views]":
        future: Future[Views] = Future()
        self.decoded += 1
        try:
            future.set_result(self._decode(data, self._size))
        except ImageError as error:
            future.set_exception(error)
        return future

    def close(self) -> None: ...


class FakeFetcher:
    def __init__(self, pages: dict[str, bytes | ImageError]) -> None:
        self._pages = pages

    def submit(self, url: str) -> "Future[bytes]":
        future: Future[bytes] = Future()
        page = self._pages[url]
        if isinstance(page, ImageError):
            future.set_exception(page)
        else:
            future.set_result(page)
        return future

    def close(self) -> None: ...
